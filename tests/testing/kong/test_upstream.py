"""Upstreams, a real HTTP server among them: see pluginserver/testing/kong/upstream.py."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator

import pytest
from support.http_server import serving
from support.scripted import Scripted

from pluginserver.testing import FakeUpstream, Gateway


class Handler(http.server.BaseHTTPRequestHandler):
    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        text = f"{self.command} {self.path} {self.headers['host']} ".encode() + body
        self.send_response(201)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-Seen", self.headers.get("x-odd", ""))
        self.send_header("X-Twice", "1")
        self.send_header("X-Twice", "2")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_POST = do_HEAD = _answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with serving(Handler) as url:
        yield f"{url}/base"


def test_a_real_server(url: str) -> None:
    kong = Gateway(Scripted())
    kong.upstream = url
    response = kong.post("/a?b=c", body=b"data \xff", headers={"x-odd": b"caf\xe9"})
    assert response.status == 201
    assert response.body == b"POST /base/a?b=c echo data \xff"
    assert response.headers["x-seen"] == "caf\udce9"
    assert response.headers.all("x-twice") == ["1", "2"]
    assert "connection" not in response.headers
    assert kong.get("/").body.startswith(b"GET /base/ ")
    assert kong.request("HEAD", "/").body == b""
    assert kong.post("/").body == b"POST /base/ echo "


def test_nobody_there() -> None:
    kong = Gateway(Scripted())
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    kong.upstream = f"http://127.0.0.1:{port}"
    assert kong.get("/").status == 502
    kong.upstream = f"https://127.0.0.1:{port}"
    assert kong.get("/").status == 502
    assert "upstream failed" in kong.exchange.logs[0].message


def test_a_server_that_does_not_answer() -> None:
    kong = Gateway(Scripted())
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        service = kong.service(
            "s", read_timeout=50, upstream=f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
        kong.route("/", service=service)
        assert kong.get("/").status == 504
    assert "upstream timed out" in kong.exchange.logs[0].message


def test_a_server_that_speaks_no_http() -> None:
    def talk(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            client.recv(1000)
            client.sendall(b"hello\r\n\r\n")

    kong = Gateway(Scripted())
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=talk, args=(listener,))
        thread.start()
        kong.upstream = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert kong.get("/").status == 502
        thread.join()


def test_the_echo() -> None:
    kong = Gateway(Scripted())
    shown = kong.post("/a?b=c", body="text", headers={"x": ["1", "2"]}).json()
    assert shown["method"] == "POST"
    assert (shown["path"], shown["query"], shown["body"]) == ("/a", "b=c", "text")
    assert shown["headers"]["x"] == ["1", "2"]


def test_what_the_service_was_asked_is_kept() -> None:
    with Gateway(Scripted()) as kong:
        kong.get("/1")
        kong.upstream = lambda request: {"path": request.path}
        assert kong.post("/2", json=[1]).json() == {"path": "/2"}
        assert [one.target for one in kong.upstream.requests] == ["/1", "/2"]
        assert kong.upstream.requests[-1].json() == [1]


def test_a_service_with_an_upstream_of_its_own_keeps_its_own_requests() -> None:
    own = FakeUpstream(lambda _request: "own")
    with Gateway(Scripted()) as kong:
        kong.route("/own", service=kong.service("own", upstream=own))
        kong.route("/other")
        assert kong.get("/own").text == "own"
        kong.get("/other")
        assert [one.path for one in own.requests] == ["/"]
        assert [one.path for one in kong.upstream.requests] == ["/"]


def test_a_service_that_is_down_and_one_that_hangs() -> None:
    with Gateway(Scripted()) as kong:
        kong.upstream.fails("no route to host")
        assert kong.get("/").status == 502
        assert "no route to host" in kong.logs[-1].message
        kong.upstream.hangs()
        assert kong.get("/").status == 504
        assert len(kong.upstream.requests) == 2
        kong.upstream = lambda _request: "again"
        assert kong.get("/").text == "again"


def test_a_service_that_answers_in_chunks_says_no_length() -> None:
    with Gateway(Scripted()) as kong:
        kong.upstream.chunks("one ", b"two", status=206)
        response = kong.get("/")
        assert (response.status, response.text) == (206, "one two")
        assert not {"content-length", "transfer-encoding"} & set(response.headers)
        assert "transfer-encoding" in kong.exchange.service_response.headers  # type: ignore[union-attr]
