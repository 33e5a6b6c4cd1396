"""The development gateway as a whole: HTTP in and out, plugins that change, what the terminal tells."""

from __future__ import annotations

import gc
import http.server
import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.devgateway import HELLO, TIMEOUT, dev, wait_at
from support.http_server import serving

from pluginserver.dev import settings
from pluginserver.dev.http import origin_form
from pluginserver.dev.settings import Option, Settings
from pluginserver.errors import ListenError

NEEDY = HELLO.replace('message: str = "hello"', "message: str")


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    directory = tmp_path / "plugins"
    directory.mkdir()
    return directory


class Upstream(http.server.BaseHTTPRequestHandler):
    """Answers with what it got; ``Connection`` and its like stay here."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        lines = [f"{name}={value}" for name, value in self.headers.items()]
        self.send_response(200)
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        self.send_header("Content-Encoding", "odd")
        self.send_header("Keep-Alive", "timeout=5")
        data = body[::-1] if body else "\n".join([self.requestline, *lines]).encode()
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "12345")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[str]:
    with serving(Upstream) as url:
        yield url


def test_a_request_runs_through_the_plugins_to_the_echo(plugins: Path) -> None:
    (plugins / "hello.py").write_text(HELLO)
    with dev(plugins) as gateway:
        answer = gateway.request("POST", "/a?b=1", b"body", x_one="1")
        told = gateway.screen.wait_for("POST /a?b=1")
    shown = json.loads(answer.body)
    assert answer.status == 200
    assert answer.header("x-hello") == "hello"
    assert (shown["method"], shown["path"], shown["query"]) == ("POST", "/a", "b=1")
    assert (shown["body"], shown["headers"]["x-one"]) == ("body", "1")
    assert "200" in told
    assert "2 round trips" in told
    assert "kong.response.set_header('x-hello', 'hello') -> None" in told
    assert "response header x-hello: 'hello'" in told
    assert "service  POST http://echo:80/a?b=1 -> 200" in told
    assert "\x1b" not in told


def test_a_plugin_is_served_in_the_protocol_that_its_module_names(plugins: Path) -> None:
    secret = 'kong.vault.get("{vault://env/a}")'
    text = HELLO.replace("self.message)", f"str({secret}))")
    (plugins / "hello.py").write_text(text)
    with dev(plugins) as gateway:
        assert gateway.request("GET", "/").header("x-hello") == "None"
    (plugins / "hello.py").write_text(f'protocol = "protobuf"\n{text}')
    with dev(plugins) as gateway:
        assert gateway.request("GET", "/").status == 500
        gateway.screen.wait_for("Kong's ProtoBuf:1 has no kong.vault.get")


def test_bytes_pass_in_both_directions(plugins: Path, upstream: str) -> None:
    (plugins / "odd.py").write_text(
        HELLO.replace(
            'kong.response.set_header("x-hello", self.message)',
            'kong.response.set_header("x-got", kong.request.get_headers().get_all("x-in"))',
        )
    )
    with dev(plugins, upstream=upstream) as gateway:
        body = bytes(range(256)) * 100
        got = gateway.raw(
            b"POST /%%ff/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-In: \xe9\xff\r\nX-In: <b>\r\n"
            b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
    head, _, data = got.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert data == body[::-1]
    assert [line for line in lines if line.startswith(b"x-got")] == [
        b"x-got: \xe9\xff",
        b"x-got: <b>",
    ]
    assert [line for line in lines if line.startswith(b"Set-Cookie")] == [
        b"Set-Cookie: a=1",
        b"Set-Cookie: b=2",
    ]
    assert b"Content-Encoding: odd" in lines
    assert lines.count(b"Content-Length: %d" % len(body)) == 1
    assert not [line for line in lines if line.startswith((b"Keep-Alive", b"Content-Type"))]


def test_headers_of_one_connection_stay_there(plugins: Path, upstream: str) -> None:
    with dev(plugins, upstream=f"{upstream}/base/") as gateway:
        got = gateway.raw(
            b"GET http://other.example/a?b HTTP/1.1\r\nHost: other.example\r\nX-Hop: 1\r\n"
            b"Connection: close, X-Hop\r\nKeep-Alive: 5\r\nTE: trailers\r\nX-Stays: 1\r\n\r\n"
        )
    lines = got.partition(b"\r\n\r\n")[2].decode().splitlines()
    names = {line.partition("=")[0].lower() for line in lines[1:]}
    assert lines[0] == "GET /base/a?b HTTP/1.1"
    assert f"Host={upstream.removeprefix('http://')}" in lines
    assert "x-stays" in names
    assert not {"x-hop", "connection", "keep-alive", "te"} & names


def test_a_plugin_may_lead_a_request_elsewhere(plugins: Path, upstream: str) -> None:
    host, _, port = upstream.removeprefix("http://").partition(":")
    (plugins / "lead.py").write_text(
        HELLO.replace(
            'kong.response.set_header("x-hello", self.message)',
            f'kong.service.set_target("{host}", {port})',
        )
    )
    with dev(plugins, upstream="http://127.0.0.1:1") as gateway:
        assert gateway.get("/there").text.startswith("GET /there ")


def test_a_response_to_head_keeps_its_length(plugins: Path, upstream: str) -> None:
    with dev(plugins, upstream=upstream) as gateway:
        answer = gateway.request("HEAD", "/")
    assert (answer.status, answer.body) == (200, b"")
    assert [value for name, value in answer.headers if name == "Content-Length"] == ["12345"]


def test_a_response_without_a_body_leaves_the_connection_in_order(plugins: Path) -> None:
    (plugins / "empty.py").write_text(
        HELLO.replace(
            'kong.response.set_header("x-hello", self.message)',
            "kong.response.exit(204 if kong.request.get_path() == '/none' else 200, 'text')",
        )
    )
    with dev(plugins) as gateway:
        got = gateway.raw(
            b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n"
            b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
    heads = [part.split(b"\r\n")[0] for part in got.split(b"HTTP/")[1:]]
    assert heads == [b"1.1 204 No Content", b"1.1 200 OK", b"1.0 200 OK", b"1.1 200 OK"]
    assert got.count(b"\r\n\r\ntext") == 2
    assert got.count(b"Content-Length: 4\r\n") == 3
    assert got.count(b"Connection: keep-alive\r\n") == 1
    assert got.endswith(b"\r\n\r\ntext")


def test_an_upstream_that_is_down_is_a_502(plugins: Path) -> None:
    with dev(plugins, upstream="http://127.0.0.1:1") as gateway:
        assert gateway.get().status == 502
        gateway.screen.wait_for("upstream failed")


def test_large_bodies_pass_with_and_without_a_length(plugins: Path, upstream: str) -> None:
    body = b"0123456789abcdef" * 300_000
    chunked = b"".join(
        b"%x\r\n%s\r\n" % (len(part), part)
        for part in (body[at : at + 1_000_000] for at in range(0, len(body), 1_000_000))
    )
    with dev(plugins, upstream=upstream) as gateway:
        assert gateway.request("POST", "/", body).body == body[::-1]
        got = gateway.raw(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunked
            + b"0\r\n\r\n"
        )
        assert got.partition(b"\r\n\r\n")[2] == body[::-1]
        entries = gateway.gateway.history.entries()
        assert [len(entry.exchange.request.body) for entry in entries] == [len(body)] * 2


def test_whoever_asks_first_is_told_to_go_on(plugins: Path) -> None:
    with dev(plugins) as gateway:
        address = ("127.0.0.1", gateway.port)
        with socket.create_connection(address, TIMEOUT) as connection:
            connection.sendall(
                b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n"
                b"Content-Length: 4\r\n\r\n"
            )
            assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"body")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_several_requests_on_one_connection(plugins: Path) -> None:
    (plugins / "hello.py").write_text(HELLO)
    with dev(plugins) as gateway:
        got = gateway.raw(
            b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
            b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
            b"GET /3 HTTP/1.0\r\n\r\n"
        )
    assert got.count(b"x-hello: hello\r\n") == 3
    assert got.count(b"HTTP/1.1 200 OK") == 2
    assert b"HTTP/1.0 200 OK" in got


@pytest.mark.parametrize(
    ("target", "form"),
    [
        ("/a?b", "/a?b"),
        ("//a", "//a"),
        ("http://x/a?b", "/a?b"),
        ("https://x?b", "/?b"),
        ("http://x", "/"),
        ("http://x/?", "/?"),
        ("*", "/*"),
    ],
)
def test_the_forms_of_a_target(target: str, form: str) -> None:
    assert origin_form(target) == form


def test_no_tunnels(plugins: Path) -> None:
    with dev(plugins) as gateway:
        got = gateway.raw(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 405 ")


def test_what_is_no_http_is_refused_and_the_next_is_served(plugins: Path) -> None:
    with dev(plugins) as gateway:
        assert b" 400 " in gateway.raw(b"nonsense\r\n\r\n").split(b"\r\n")[0]
        assert gateway.get().status == 200


def test_the_client_has_its_response_before_the_log_phase(plugins: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    wait_at(plugins, gate, "logged")
    with dev(plugins) as gateway:
        assert gateway.get().status == 200
        (entry,) = gateway.gateway.history.entries()
        assert not entry.over
        assert "Under way" in gateway.page(f"/requests/{entry.id}").text
        gate.touch()
        gateway.screen.wait_for("[notice] late: logged")
        assert entry.over
        assert "Under way" not in gateway.page(f"/requests/{entry.id}").text


def test_a_slow_plugin_holds_up_nobody(plugins: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    (plugins / "slow.py").write_text(
        f"""
import time
from pathlib import Path
version = "1.0.0"
priority = 1
class Plugin:
    def access(self, kong):
        if kong.request.get_path() == "/slow":
            while not Path({str(gate)!r}).exists():
                time.sleep(0.01)
"""
    )
    with dev(plugins) as gateway:
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(gateway.get("/slow").status))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        assert gateway.get("/fast").status == 200
        assert found == []
        gate.touch()
        for thread in threads:
            thread.join()
        assert found == [200] * 8


def test_a_plugin_that_raises_shows_its_traceback(plugins: Path) -> None:
    file = plugins / "boom.py"
    file.write_text(HELLO.replace("kong.response.set_header(", "raise ValueError(kong, "))
    with dev(plugins) as gateway:
        assert gateway.get().status == 500
        told = gateway.screen.wait_for("Traceback")
        (entry,) = gateway.gateway.history.entries()
        (traceback,) = (text for texts in entry.tracebacks.values() for text in texts)
        page = gateway.page("/latest").text
    assert "boom raised ValueError" in told
    assert f'File "{file}", line 12, in access' in told
    assert traceback.splitlines()[1].strip().startswith(f'File "{file}"')
    assert "pluginserver/events/" not in traceback
    assert 'class="traceback"' in page


def test_a_changed_file_is_reloaded(plugins: Path) -> None:
    file = plugins / "hello.py"
    file.write_text(HELLO)
    with dev(plugins) as gateway:
        assert gateway.get().header("x-hello") == "hello"
        file.write_text(HELLO.replace('"hello"', '"good evening"'))
        gateway.screen.wait_for("reloaded hello 1.0.0")
        assert gateway.get().header("x-hello") == "good evening"


def test_a_reload_may_change_the_phases(plugins: Path) -> None:
    file = plugins / "hello.py"
    file.write_text(HELLO)
    with dev(plugins) as gateway:
        assert gateway.get().status == 200
        file.write_text(HELLO.replace("def access", "def rewrite"))
        gateway.screen.wait_for("reloaded hello")
        assert gateway.get().header("x-hello") == "hello"
        latest = gateway.gateway.history.entries()[0]
        assert [run.phase for run in latest.exchange.runs] == ["rewrite"]


def test_a_broken_file_keeps_the_old_plugin(plugins: Path) -> None:
    file = plugins / "hello.py"
    file.write_text(HELLO)
    with dev(plugins) as gateway:
        file.write_text(HELLO + "\nthis is no Python\n")
        told = gateway.screen.wait_for("the previous version stays in use")
        assert gateway.get().header("x-hello") == "hello"
        assert "the previous version stays in use" in gateway.page().text
        file.write_text(HELLO.replace('"hello"', '"mended"'))
        gateway.screen.wait_for("reloaded hello")
        assert gateway.get().header("x-hello") == "mended"
        assert "the previous version stays in use" not in gateway.page().text
    (line,) = (line for line in told.splitlines() if "the previous version stays in use" in line)
    assert "SyntaxError" in line
    assert str(file) in line


def test_files_come_and_go(plugins: Path) -> None:
    with dev(plugins) as gateway:
        assert gateway.get().header("x-hello") is None
        (plugins / "hello.py").write_text(HELLO)
        gateway.screen.wait_for("loaded hello 1.0.0")
        assert gateway.get().header("x-hello") == "hello"
        (plugins / "hello.py").unlink()
        gateway.screen.wait_for("removed hello: hello.py does not hold it any more")
        assert gateway.get().header("x-hello") is None


def test_a_directory_may_lie_where_nothing_is_watched_otherwise(tmp_path: Path) -> None:
    plugins = tmp_path / ".tox" / "plugins"
    (plugins / "node_modules").mkdir(parents=True)
    with dev(plugins) as gateway:
        (plugins / "node_modules" / "a.py").write_text(HELLO)
        (plugins / "hello.py").write_text(HELLO)
        gateway.screen.wait_for("loaded hello")
        (plugins / "node_modules" / "a.py").write_text("x = 1")
        (plugins / "hello.py").write_text(HELLO + "\n")
        told = gateway.screen.wait_for("reloaded hello")
    assert told.count("\n") == 2


def test_one_file_is_watched_with_what_lies_beside_it(plugins: Path) -> None:
    (plugins / "words.py").write_text("WORD = 'one'\n")
    file = plugins / "hello.py"
    file.write_text("import words\n" + HELLO.replace('"hello"', "words.WORD"))
    with dev(file) as gateway:
        assert gateway.get().header("x-hello") == "one"
        (plugins / "words.py").write_text("WORD = 'another'\n")
        gateway.screen.wait_for("reloaded hello")
        assert gateway.get().header("x-hello") == "another"


def test_a_required_field_is_named_and_the_plugin_waits_for_it(
    plugins: Path, tmp_path: Path
) -> None:
    (plugins / "needy.py").write_text(NEEDY)
    file = tmp_path / "dev.toml"
    file.write_text("")
    with dev(plugins, settings=settings.read(file), settings_file=file) as gateway:
        (message,) = gateway.gateway.messages
        assert message.text == (
            "needy is left out: its field message is required: give it with "
            "--config needy.message=VALUE, or under [plugins.needy] in a --config-file"
        )
        assert gateway.get().header("x-hello") is None
        file.write_text('[plugins.needy]\nmessage = "here"\n')
        gateway.screen.wait_for("configured needy 1.0.0")
        assert gateway.get().header("x-hello") == "here"
        file.write_text('[plugins.needy]\nmessage = "there"\n')
        gateway.screen.wait_for("configured needy 1.0.0", 2)
        assert gateway.get().header("x-hello") == "there"
        file.write_text("[plugins.needy]\nmessage = 5\n")
        gateway.screen.wait_for(
            "needy is left out: Kong refuses config.message: expected a string"
        )
        assert gateway.get().header("x-hello") is None


def test_settings_that_cannot_be_read_keep_the_old_ones(plugins: Path, tmp_path: Path) -> None:
    (plugins / "needy.py").write_text(NEEDY)
    file = tmp_path / "dev.toml"
    file.write_text('[plugins.needy]\nmessage = "here"\n')
    with dev(plugins, settings=settings.read(file), settings_file=file) as gateway:
        file.write_text("[plugins\n")
        gateway.screen.wait_for("is not TOML")
        gateway.screen.wait_for("the previous settings stay in use")
        assert gateway.get().header("x-hello") == "here"


def test_plugins_are_turned_off_and_on(plugins: Path, tmp_path: Path) -> None:
    (plugins / "hello.py").write_text(HELLO)
    file = tmp_path / "dev.toml"
    file.write_text('off = ["hello"]')
    with dev(plugins, settings=settings.read(file), settings_file=file) as gateway:
        assert gateway.get().header("x-hello") is None
        assert "· off" in gateway.page().text
        file.write_text("")
        gateway.screen.wait_for("configured hello 1.0.0\n")
        assert gateway.get().header("x-hello") == "hello"
        file.write_text('off = ["hello"]')
        gateway.screen.wait_for("configured hello 1.0.0 (it is off)")
        assert gateway.get().header("x-hello") is None


def test_consumers_and_secrets_are_there(plugins: Path, tmp_path: Path) -> None:
    (plugins / "who.py").write_text(
        HELLO.replace(
            'kong.response.set_header("x-hello", self.message)',
            """
        consumer = kong.client.load_consumer("ann", True)
        kong.response.set_header("x-who", f"{consumer.id} {consumer.custom_id} {self.message}")""",
        )
        .replace('str = "hello"', "str = attrs.field(metadata=attributes(referenceable=True))")
        .replace("import attrs", "import attrs\nfrom pluginserver.schema import attributes")
    )
    file = tmp_path / "dev.json"
    given = {
        "plugins": {"who": {"message": "{vault://env/word}"}},
        "consumers": [{"username": "ann", "custom_id": "c1"}],
        "vault": {"env/word": "secret"},
    }
    file.write_text(json.dumps(given))
    with dev(plugins, settings=settings.read(file), settings_file=file) as gateway:
        first = gateway.get().header("x-who") or ""
        assert first.split()[1:] == ["c1", "secret"]
        given["vault"] = {"env/word": "rotated"}
        file.write_text(json.dumps(given))
        gateway.screen.wait_for("configured who")
        second = gateway.get().header("x-who") or ""
        assert second.split()[1:] == ["c1", "rotated"]
        assert first.split()[0] == second.split()[0]


def test_what_is_set_for_nobody_is_plugin_traceback(plugins: Path) -> None:
    (plugins / "hello.py").write_text(HELLO)
    given = Settings({"helo": {}}, off=["other"], options=[Option("hell.message", "1")])
    with dev(plugins, settings=given) as gateway:
        texts = [one.text for one in gateway.gateway.messages]
    assert texts == [
        "--config hell.message is for no plugin that is loaded; there are: hello",
        "[plugins.helo] is for no plugin that is loaded; there are: hello",
        "other in off is for no plugin that is loaded; there are: hello",
    ]


def test_a_configuration_that_only_the_plugin_refuses_is_a_500_with_its_reason(
    plugins: Path,
) -> None:
    (plugins / "strict.py").write_text(
        HELLO.replace(
            "    def access",
            "    def __attrs_post_init__(self):\n        raise ValueError('no luck')\n\n    def access",
        )
    )
    with dev(plugins) as gateway:
        assert gateway.get().status == 500
        gateway.screen.wait_for("! strict cannot be started")


def test_a_port_that_is_taken_is_one_sentence(plugins: Path) -> None:
    with dev(plugins) as first:
        with pytest.raises(ListenError) as caught, dev(plugins, port=first.port):
            pass
        assert first.get().status == 200
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1 port {first.port}: Address already in use: "
        "choose another one with --port"
    )


def test_an_error_of_the_gateway_is_a_500_and_one_line(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dev(plugins) as gateway:
        monkeypatch.setattr("pluginserver.testing.kong.upstream.as_response", lambda _: 1 / 0)
        assert gateway.get().status == 500
        told = gateway.screen.wait_for("ZeroDivisionError")
        monkeypatch.undo()
        assert gateway.get().status == 200
    (line,) = (line for line in told.splitlines() if "ZeroDivisionError" in line)
    assert "the gateway itself failed" in line


def test_an_error_of_the_gateway_after_the_response_is_told_too(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dev(plugins) as gateway:
        monkeypatch.setattr("pluginserver.testing.kong.phases.RequestCycle.log", lambda _: 1 / 0)
        assert gateway.get().status == 200
        gateway.screen.wait_for("ZeroDivisionError")


def test_an_error_while_reloading_is_told_and_the_next_change_is_seen(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dev(plugins) as gateway:
        monkeypatch.setattr("pluginserver.dev.deployment.Deployment._deploy", lambda *_: 1 / 0)
        (plugins / "hello.py").write_text(HELLO)
        gateway.screen.wait_for("the gateway itself failed")
        monkeypatch.undo()
        (plugins / "hello.py").write_text(HELLO + "\n")
        gateway.screen.wait_for("reloaded hello")
        assert gateway.get().header("x-hello") == "hello"


def test_files_that_cannot_be_watched_are_plugin_traceback(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("inotify watch limit reached")

    monkeypatch.setattr("pluginserver.dev.watch.awatch", fail)
    with dev(plugins) as gateway:
        gateway.screen.wait_for("not seen any more: inotify watch limit reached")
        assert gateway.get().status == 200


def test_requests_side_by_side_are_told_apart(plugins: Path) -> None:
    (plugins / "hello.py").write_text(HELLO)
    with dev(plugins) as gateway:
        threads = [
            threading.Thread(target=lambda number=number: gateway.get(f"/{number}"))
            for number in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told = gateway.screen.wait_for("service  GET", 20)
    lines = [line for line in told.splitlines() if line]
    heads = [
        index for index, line in enumerate(lines) if " GET /" in line and "service" not in line
    ]
    assert len(heads) == 20
    blocks = [lines[at : at + 5] for at in heads]
    for block in blocks:
        path = block[0].split()[2]
        assert block[-1].split()[2].endswith(f":80{path}"), block


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_nothing_is_left_behind(plugins: Path) -> None:
    from conftest import descriptors

    (plugins / "hello.py").write_text(HELLO)
    with dev(plugins) as gateway:
        gateway.get()
    gc.collect()
    before = descriptors()
    for _ in range(3):
        with dev(plugins) as gateway:
            gateway.get()
    gc.collect()
    assert descriptors() <= before


def test_a_file_that_is_nearly_a_plugin_is_named_until_it_is_one(tmp_path: Path) -> None:
    path = tmp_path / "hello.py"
    path.write_text(HELLO.replace('version = "1.0.0"', ""))
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    with dev(tmp_path) as gateway:
        (message,) = gateway.gateway.messages
        assert "hello.py is not a plugin: it defines no version: write version" in message.text
        assert len(gateway.gateway.deployment.passed_over()) == 2
        path.write_text(HELLO.replace("priority = 100", ""))
        gateway.screen.wait_for("it defines no priority: write priority = 100")
        path.write_text(HELLO)
        gateway.screen.wait_for("loaded hello 1.0.0")
        assert gateway.get().header("x-hello") == "hello"
    assert gateway.screen.getvalue().count("is not a plugin") == 1
