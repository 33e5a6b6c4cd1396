"""The typed PDK against the simulated Kong: what a plugin asks for, and what it gets.

Over both ways, and in both protocols; what ProtoBuf:1 does not have is in tests/support/protocols.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import attrs
import pytest
from support.protocols import NOT_CARRIED, missing

from pluginserver import Kong, PDKError
from pluginserver.testing import TLS, Gateway, Quirks, Response

Script = Callable[[Kong], Any]


@attrs.frozen
class NotCarried:
    """A result that there is not: ProtoBuf:1 does not have the function."""

    function: str


class Plugin:
    """Runs a test's script in whatever phase the test names."""

    name = "script"
    version = "1.0.0"
    priority = 1
    script: ClassVar[tuple[str, Script]]
    results: ClassVar[list[Any]] = []

    def _run(self, kong: Kong, phase: str) -> None:
        wanted, script = Plugin.script
        if wanted == phase:
            try:
                Plugin.results.append(script(kong))
            except PDKError as error:
                name = missing(error)
                if name is None:
                    raise
                Plugin.results.append(NotCarried(name))

    def certificate(self, kong: Kong) -> None:
        self._run(kong, "certificate")

    def rewrite(self, kong: Kong) -> None:
        self._run(kong, "rewrite")

    def access(self, kong: Kong) -> None:
        self._run(kong, "access")

    def response(self, kong: Kong) -> None:
        self._run(kong, "response")

    def log(self, kong: Kong) -> None:
        self._run(kong, "log")


@pytest.fixture(params=["in-process", "embedded"])
def kong(request: pytest.FixtureRequest, protocol: str) -> Iterator[Gateway]:
    Plugin.results.clear()
    with Gateway(request.param, timeout=20.0, protocol=protocol) as gateway:
        gateway.plugin(Plugin)
        gateway.trusted_ips = ["10.0.0.0/8"]
        gateway.secrets["env/token"] = "s3cret"
        gateway.shared["seen"] = {"n": 1.0, "empty": {}, "list": [1, 2]}
        gateway.consumer("bob", custom_id="b1", id="11111111-2222-4333-8444-555555555555")
        service = gateway.service("backend", path="/s")
        gateway.route("~/r/(?<name>\\w+)", service=service, name="r")
        gateway.upstream = lambda request: Response(201, b"\xffbody", {"X-Up": ["1", "2"]})
        yield gateway


def result(kong: Gateway, phase: str, script: Script, **more: Any) -> Any:
    """What the script gives when it runs in that phase."""
    Plugin.script = phase, script
    more.setdefault("headers", {"x-one": "1", "x-many": ["a", "b"], "x-raw": b"caf\xe9"})
    url = more.pop("url", "/r/abc?a=1&a=2&b&c=")
    kong.request(more.pop("method", "GET"), url, **more)
    [found] = Plugin.results
    Plugin.results.clear()
    if isinstance(found, NotCarried):
        pytest.skip(f"{found.function}: {NOT_CARRIED[found.function]}")
    return found


@pytest.mark.parametrize(
    ("phase", "script", "wanted"),
    [
        ("access", lambda kong: kong.request.get_method(), "GET"),
        ("rewrite", lambda kong: kong.request.get_path(), "/r/abc"),
        ("access", lambda kong: kong.request.get_host(), "localhost"),
        ("certificate", lambda kong: kong.request.get_port(), 8000),
        ("access", lambda kong: kong.request.get_http_version(), 1.1),
        ("access", lambda kong: kong.request.get_raw_query(), "a=1&a=2&b&c="),
        ("access", lambda kong: kong.request.get_query_arg("a"), "1"),
        ("access", lambda kong: kong.request.get_query_arg("b"), True),
        ("access", lambda kong: kong.request.get_query_arg("none"), None),
        ("access", lambda kong: kong.request.get_header("X-ONE"), "1"),
        ("access", lambda kong: kong.request.get_header("x-raw"), "caf\udce9"),
        ("access", lambda kong: kong.request.get_header("none"), None),
        ("access", lambda kong: kong.request.get_headers()["x-many"], "a"),
        ("access", lambda kong: kong.request.get_raw_body(), b""),
        ("log", lambda kong: kong.request.get_header("x-one"), "1"),
        ("access", lambda kong: kong.client.get_ip(), "127.0.0.1"),
        ("certificate", lambda kong: kong.client.get_port(), 40000),
        ("access", lambda kong: kong.client.get_consumer(), None),
        ("access", lambda kong: kong.client.load_consumer("bob", True).custom_id, "b1"),
        ("access", lambda kong: kong.client.load_consumer("eve", True), None),
        ("access", lambda kong: kong.client.get_protocol(), "http"),
        ("access", lambda kong: kong.ip.is_trusted("10.1.1.1"), True),
        ("access", lambda kong: kong.ip.is_trusted("11.1.1.1"), False),
        ("access", lambda kong: kong.router.get_route().name, "r"),
        ("log", lambda kong: kong.router.get_service().path, "/s"),
        ("rewrite", lambda kong: kong.ctx.shared.get("none"), None),
        ("access", lambda kong: kong.nginx.get_var("request_method"), "GET"),
        ("access", lambda kong: kong.nginx.get_var("none"), None),
        ("access", lambda kong: kong.nginx.get_subsystem(), "http"),
        ("access", lambda kong: kong.vault.get("{vault://env/token}"), "s3cret"),
        ("access", lambda kong: kong.vault.get("{vault://env/none}"), None),
        ("access", lambda kong: kong.vault.is_reference("x"), False),
        ("response", lambda kong: kong.response.get_status(), 201),
        ("log", lambda kong: kong.response.get_status(), 201),
        ("log", lambda kong: kong.response.get_source(), "service"),
        ("response", lambda kong: kong.response.get_header("x-up"), "1"),
        ("response", lambda kong: kong.service.response.get_status(), 201),
        ("response", lambda kong: kong.service.response.get_raw_body(), b"\xffbody"),
        ("response", lambda kong: kong.service.response.get_header("x-up"), "1"),
        ("access", lambda kong: kong.service.set_upstream("none"), None),
    ],
)  # fmt: skip
def test_what_a_plugin_gets(kong: Gateway, phase: str, script: Script, wanted: Any) -> None:
    url = "https://localhost:8000/r/abc" if phase == "certificate" else "/r/abc?a=1&a=2&b&c="
    assert result(kong, phase, script, url=url) == wanted


def test_all_values_of_headers_and_arguments(kong: Gateway) -> None:
    query = result(kong, "access", lambda kong: kong.request.get_query())
    assert query.get_all("a") == ["1", "2"]
    headers = result(kong, "response", lambda kong: kong.response.get_headers())
    assert headers.get_all("X-Up") == ["1", "2"]


def test_tables_that_lua_has_changed(kong: Gateway) -> None:
    shared = result(kong, "access", lambda kong: kong.ctx.shared.get("seen"))
    assert shared == {"n": 1, "empty": [], "list": [1, 2]}
    assert type(shared["n"]) is int


def test_captures(kong: Gateway) -> None:
    captures = result(kong, "access", lambda kong: kong.request.get_uri_captures())
    assert captures == {1: "abc", "name": "abc"}


def test_a_form_with_a_field_called_method(kong: Gateway) -> None:
    form = {"_method": "plugin.CloseInstance", "x": "1"}
    body = result(kong, "access", lambda kong: kong.request.get_body(), method="POST", form=form)
    assert body == form


def test_a_large_body(kong: Gateway) -> None:
    data = bytes(range(256)) * 100
    got = result(
        kong, "access", lambda kong: kong.request.get_raw_body(), method="POST", body=data
    )
    assert got == data


def test_tls(kong: Gateway) -> None:
    chain = result(
        kong,
        "access",
        lambda kong: kong.client.tls.get_full_client_certificate_chain(),
        url="https://localhost/r/a",
        tls=TLS(client_certificate="PEM"),
    )
    assert chain == "PEM"


def test_changes_to_the_service_request(kong: Gateway) -> None:
    def script(kong: Kong) -> None:
        kong.service.request.set_method("POST")
        kong.service.request.set_path("/new")
        kong.service.request.set_query({"x": ["1", "2"]})
        kong.service.request.set_header("x-one", "2")
        kong.service.request.add_header("x-many", "c")
        kong.service.request.clear_header("x-raw")
        kong.service.request.set_raw_body(b"\xffnew")
        kong.service.set_target("10.0.0.9", 9000)

    result(kong, "access", script)
    request = kong.service_request
    assert request.method == "POST"
    assert request.url == "http://10.0.0.9:9000/new?x=1&x=2"
    assert request.headers["x-one"] == "2"
    assert request.headers.all("x-many") == ["a", "b", "c"]
    assert "x-raw" not in request.headers
    assert request.body == b"\xffnew"


def test_the_body_can_be_encoded_by_kong(kong: Gateway) -> None:
    result(
        kong, "access", lambda kong: kong.service.request.set_body({"a": "1"}, "application/json")
    )
    assert kong.service_request.json() == {"a": "1"}


def test_values_that_go_to_kong_and_come_back(kong: Gateway) -> None:
    def script(kong: Kong) -> Any:
        kong.ctx.shared.set("k", {"a": [1, {}, 3.0]})
        return kong.ctx.shared.get("k")

    assert result(kong, "access", script) == {"a": [1, [], 3]}


def test_serialise(kong: Gateway) -> None:
    record = result(kong, "log", lambda kong: kong.log.serialize())
    assert record["response"]["status"] == 201
    assert record["request"]["headers"]["x-many"] == ["a", "b"]


def test_an_exit_with_everything(kong: Gateway) -> None:
    Plugin.script = (
        "access",
        lambda kong: kong.response.exit(403, headers={"x-a": ["1", "2"], "x-b": 5}),
    )
    response = kong.get("/r/a")
    assert (response.status, response.body) == (403, b"")
    assert response.headers.all("x-a") == ["1", "2"]
    assert response.headers["x-b"] == "5"


def test_an_error_that_an_older_kong_tells(kong: Gateway) -> None:
    def script(kong: Kong) -> str:
        try:
            kong.call("kong.service.set_upstream", "none")
        except PDKError as error:
            return str(error)
        return "nothing"

    assert result(kong, "access", script) == "nothing"
    kong.quirks = Quirks(first_result_only=False)
    assert result(kong, "access", script) == "could not find an Upstream named 'none'"
