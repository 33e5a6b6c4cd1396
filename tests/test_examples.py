"""The examples do what they say, in process and over a real socket."""

from __future__ import annotations

import http.server
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.http_server import serving
from support.paths import ROOT

from pluginserver.testing import Gateway


@pytest.fixture(params=["in-process", "embedded"])
def kong(request: pytest.FixtureRequest, protocol: str) -> Iterator[Gateway]:
    with Gateway(request.param, root=ROOT, protocol=protocol) as gateway:
        yield gateway


def test_hello(kong: Gateway) -> None:
    kong.plugin("examples/hello.py", message="hi")
    response = kong.get("/", headers={"host": "example.com"})
    assert response.headers["x-hello"] == "hi to example.com"
    assert kong.round_trips == 3


@pytest.fixture
def keys(kong: Gateway) -> Gateway:
    kong.consumer("alice", custom_id="a1")
    kong.plugin(
        "examples/key-auth.py",
        keys=[{"key": "wonderland", "consumer": "alice"}, {"key": "ghost", "consumer": "nobody"}],
    )
    return kong


def test_key_auth_lets_a_consumer_in(keys: Gateway) -> None:
    response = keys.get("/", headers={"x-api-key": "wonderland"})
    assert response.status == 200
    headers = keys.service_request.headers
    assert headers["x-consumer-username"] == "alice"
    assert headers["x-consumer-id"]
    assert "x-api-key" not in headers
    assert "kong.client.authenticate" in [callback.method for callback in keys.callbacks]


def test_key_auth_can_leave_the_key(kong: Gateway) -> None:
    kong.consumer("alice")
    kong.plugin(
        "examples/key-auth.py",
        keys=[{"key": "k", "consumer": "alice"}],
        header="authorization",
        hide_key=False,
    )
    assert kong.get("/", headers={"authorization": "k"}).status == 200
    assert kong.service_request.headers["authorization"] == "k"


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({}, 401, "No API key found in the request"),
        ({"x-api-key": ""}, 401, "No API key found in the request"),
        ({"x-api-key": "wrong"}, 403, "Invalid API key"),
        ({"x-api-key": "w\udcffrong"}, 403, "Invalid API key"),
        ({"x-api-key": "ghost"}, 403, "Invalid API key"),
    ],
)
def test_key_auth_keeps_others_out(
    keys: Gateway, headers: dict[str, str], status: int, message: str
) -> None:
    response = keys.get("/", headers=headers)
    assert response.status == status
    assert response.json()["message"] == message
    assert ("www-authenticate" in response.headers) is (status == 401)
    assert keys.exchange.service_request is None


def test_rate_limit(kong: Gateway) -> None:
    kong.plugin("examples/rate-limit.py", limit=3, window=3600)
    left = []
    for _ in range(3):
        response = kong.get("/")
        assert response.status == 200
        left.append(response.headers["x-ratelimit-remaining"])
    assert left == ["2", "1", "0"]
    response = kong.get("/")
    assert response.status == 429
    assert 0 < int(response.headers["retry-after"]) <= 1201
    assert response.headers["x-ratelimit-limit"] == "3"


def test_rate_limit_tells_clients_apart(kong: Gateway) -> None:
    kong.plugin("examples/rate-limit.py", limit=1, window=3600, by="header")
    for key, status in (("a", 200), ("b", 200), ("a", 429), ("b", 429)):
        assert kong.get("/", headers={"x-api-key": key}).status == status


def test_rate_limit_counts_exactly_with_many_at_once(kong: Gateway) -> None:
    kong.plugin("examples/rate-limit.py", limit=20, window=36000)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: kong.get("/").status, range(60)))
    assert statuses.count(200) == 20
    assert statuses.count(429) == 40


def test_rate_limit_forgets_clients_it_does_not_see_any_more(kong: Gateway) -> None:
    kong.plugin("examples/rate-limit.py", limit=1, window=0.001, by="header")
    for number in range(50):
        assert kong.get("/", headers={"x-api-key": str(number)}).status == 200


def test_audit_log(kong: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    kong.plugin("examples/audit-log.py", path=str(path), headers=["x-tenant"])
    kong.get("/a?b=1", headers={"x-tenant": "blue", "x-other": "no"})
    kong.post("/c", headers={"x-other": "no"}, body=b"x")
    first, second = map(json.loads, path.read_text().splitlines())
    assert (first["method"], first["status"], first["source"]) == ("GET", 200, "service")
    assert "/a?b=1" in first["uri"]
    assert first["headers"] == {"x-tenant": "blue"}
    assert (second["method"], second["headers"]) == ("POST", {})


@pytest.fixture
def authority() -> Iterator[str]:
    """A service that knows one token."""

    class Authority(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == "Bearer good"
            self.send_response(200 if known else 401)
            self.send_header("x-user", "alice")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(Authority) as url:
        yield f"{url}/"


@pytest.mark.parametrize(
    ("token", "status"), [("Bearer good", 200), ("Bearer bad", 403), (None, 401)]
)
def test_slow_auth(kong: Gateway, authority: str, token: str | None, status: int) -> None:
    kong.plugin("examples/slow-auth.py", url=authority)
    headers = {} if token is None else {"authorization": token}
    assert kong.get("/", headers=headers).status == status
    if status == 200:
        assert kong.service_request.headers["x-user"] == "alice"


def test_slow_auth_when_nobody_answers(kong: Gateway) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as gone:
        url = f"http://127.0.0.1:{gone.server_port}/"
    kong.plugin("examples/slow-auth.py", url=url)
    assert kong.get("/", headers={"authorization": "Bearer good"}).status == 503
    assert "does not answer" in kong.exchange.logs[0].message


def test_all_together(kong: Gateway, authority: str, tmp_path: Path) -> None:
    kong.consumer("alice")
    kong.plugin("examples/hello.py")
    kong.plugin("examples/key-auth.py", keys=[{"key": "k", "consumer": "alice"}])
    kong.plugin("examples/rate-limit.py", limit=2)
    kong.plugin("examples/slow-auth.py", url=authority)
    kong.plugin("examples/audit-log.py", path=str(tmp_path / "log"))
    good = {"x-api-key": "k", "authorization": "Bearer good"}
    assert [kong.get("/", headers=good).status for _ in range(3)] == [200, 200, 429]
    assert kong.get("/").status == 401
    statuses = [json.loads(line)["status"] for line in (tmp_path / "log").read_text().splitlines()]
    assert statuses == [200, 200, 429, 401]
