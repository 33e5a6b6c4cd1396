"""Kong's PDK on a simulated request, function by function: see pluginserver/testing/pdk."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Scripted

from pluginserver.spec.functions import FUNCTIONS
from pluginserver.testing import (
    TLS,
    Exchange,
    Gateway,
    Headers,
    Quirks,
    Response,
    make_request,
    pdk,
)
from pluginserver.testing.kong.lua import NULL, LuaError
from pluginserver.testing.kong.router import normalize
from pluginserver.testing.kong.state import Exit, Failure, State
from pluginserver.testing.record.exchange import Callback

UUID = "11111111-2222-4333-8444-555555555555"
FORM = "application/x-www-form-urlencoded"


def a_state(phase: str = "access", gateway: Gateway | None = None, **more: Any) -> State:
    """A request in some phase, with a route, a service and a consumer."""
    kong = gateway or Gateway(Scripted())
    more.setdefault(
        "headers", [("X_Bar", "1"), ("x-multi", "a"), ("x-multi", "b"), ("x-empty", "")]
    )
    method = more.pop("method", "GET")
    url = more.pop("url", "http://Example.com:8000/t/%61%2Fb//c/../d?a=1&a=2&b&c=&d=+%20")
    request = make_request(method, url, **more)
    state = State(kong.node, Exchange("0" * 32, 1700000000.1239, request))
    state.phase = phase
    service = kong.service("echo", path="/base")
    state.route = kong.route("/t", service=service, name="r")
    state.service = service
    return state


def call(state: State, name: str, *args: Any) -> Any:
    return pdk.call(state, f"kong.{name}", args)


def test_every_function_is_there() -> None:
    wanted = {name for name, one in FUNCTIONS.items() if not one.enterprise and not one.unusable}
    assert set(pdk.TABLE) == wanted


@pytest.mark.parametrize(
    "name", sorted(name for name, one in FUNCTIONS.items() if not one.enterprise)
)
@pytest.mark.parametrize(
    "phase", ["certificate", "rewrite", "access", "response", "preread", "log"]
)
def test_every_function_throws_where_kong_does_not_offer_it(name: str, phase: str) -> None:
    state = a_state(phase)
    if phase not in FUNCTIONS[name].phases:
        with pytest.raises(LuaError, match="cannot be called in"):
            pdk.call(state, name, ())
    else:
        try:
            pdk.call(state, name, ())
        except (LuaError, Exit) as outcome:
            assert "cannot be called" not in str(outcome)


@pytest.mark.parametrize(
    ("name", "args", "result"),
    [
        ("client.get_ip", (), "127.0.0.1"),
        ("client.get_forwarded_ip", (), "127.0.0.1"),
        ("client.get_port", (), 40000),
        ("client.get_forwarded_port", (), 40000),
        ("client.get_protocol", (), "http"),
        ("client.get_credential", (), None),
        ("client.get_consumer", (), None),
        ("ip.is_trusted", ("127.0.0.1",), False),
        ("ip.is_trusted", ("no address",), False),
        ("request.get_scheme", (), "http"),
        ("request.get_host", (), "example.com"),
        ("request.get_port", (), 8000),
        ("request.get_forwarded_scheme", (), "http"),
        ("request.get_forwarded_host", (), "example.com"),
        ("request.get_forwarded_port", (), 8000),
        ("request.get_forwarded_path", (), "/t/a%2Fb/d"),
        ("request.get_forwarded_prefix", (), None),
        ("request.get_http_version", (), 1.1),
        ("request.get_method", (), "GET"),
        ("request.get_path", (), "/t/a%2Fb/d"),
        ("request.get_raw_path", (), "/t/%61%2Fb//c/../d"),
        ("request.get_path_with_query", (), "/t/%61%2Fb//c/../d?a=1&a=2&b&c=&d=+%20"),
        ("request.get_raw_query", (), "a=1&a=2&b&c=&d=+%20"),
        ("request.get_query_arg", ("a",), "1"),
        ("request.get_query_arg", ("A",), None),
        ("request.get_query_arg", ("b",), True),
        ("request.get_query_arg", ("c",), ""),
        ("request.get_query_arg", ("d",), "  "),
        ("request.get_query", (), {"a": ["1", "2"], "b": True, "c": "", "d": "  "}),
        ("request.get_query", (1,), {"a": "1"}),
        ("request.get_header", ("x-bar",), "1"),
        ("request.get_header", ("X-Multi",), "a"),
        ("request.get_header", ("x-empty",), ""),
        ("request.get_header", ("x-none",), None),
        ("request.get_headers", (2,), {"host": "Example.com:8000", "x_bar": "1"}),
        ("request.get_raw_body", (), b""),
        ("request.get_start_time", (), 1700000000123),
        ("request.get_uri_captures", (), {"unnamed": {}, "named": {}}),
        ("nginx.req_start_time", (), 1700000000.124),
        ("nginx.get_subsystem", (), "http"),
        ("nginx.get_var", ("remote_addr",), "127.0.0.1"),
        ("nginx.get_var", ("http_x_multi",), "a"),
        ("nginx.get_var", ("arg_a",), "1"),
        ("nginx.get_var", ("arg_z",), None),
        ("nginx.get_var", ("server_port",), "8000"),
        ("nginx.get_var", ("no_such",), None),
        ("vault.is_reference", ("{vault://env/x}",), True),
        ("vault.is_reference", ("env/x",), False),
        ("vault.is_reference", ("{vault://}",), True),
        ("vault.is_reference", (5,), False),
        ("vault.get", ("{vault://env/x}",), "secret"),
    ],
)
def test_what_functions_return(name: str, args: tuple[Any, ...], result: Any) -> None:
    kong = Gateway(Scripted())
    kong.secrets["env/x"] = "secret"
    assert call(a_state(gateway=kong), name, *args) == result


@pytest.mark.parametrize(
    ("phase", "name", "args", "words"),
    [
        ("access", "request.get_header", (1,), "header name must be a string"),
        ("access", "request.get_headers", (0,), "max_headers must be >= 1"),
        ("access", "request.get_headers", (1001,), "max_headers must be <= 1000"),
        ("access", "request.get_headers", ("x",), "max_headers must be a number"),
        ("access", "request.get_query_arg", (), "query argument name must be a string"),
        ("access", "request.get_raw_body", ("x",), "non-negative"),
        ("access", "response.set_status", ("200",), "code must be a number"),
        ("access", "response.set_status", (99,), "between 100 and 599"),
        ("access", "response.set_header", (1, "x"), "invalid header name"),
        ("access", "response.set_header", ("x",), "invalid header value"),
        ("access", "response.set_header", ("x", {"a": 1}), "invalid header value"),
        ("access", "response.set_header", ("x", ["a", 1]), "in array"),
        ("access", "response.set_headers", ("x",), "headers must be a table"),
        ("access", "response.set_headers", (["x"],), "invalid header name"),
        ("access", "response.clear_header", (), "header name must be a string"),
        ("access", "response.exit", (), "code must be a number"),
        ("access", "response.exit", (True,), "code must be a number"),
        ("access", "response.exit", (600,), "between 100 and 599"),
        ("access", "response.exit", (200, 5), "body must be a nil, string or table"),
        ("access", "response.exit", (200, "", "x"), "headers must be a nil or table"),
        ("preread", "response.exit", (401,), "unacceptable code"),
        ("access", "response.error", (200,), "between 400 and 599"),
        ("access", "response.error", ("x",), "code must be a number"),
        ("access", "response.error", (500, 5), "message must be"),
        ("access", "response.error", (500, "", "x"), "headers must be"),
        ("access", "client.load_consumer", (5,), "consumer_id must be a string"),
        ("access", "client.load_consumer", ("bob",), "not a uuid"),
        ("access", "client.authenticate", (), "either credential or consumer"),
        ("access", "client.authenticate", ("bob",), "consumer must be a table or nil"),
        ("access", "client.authenticate", (None, "key"), "credential must be a table or nil"),
        ("access", "client.tls.set_client_verify", (1,), "must be a string"),
        ("access", "client.tls.set_client_verify", ("YES",), "unknown client verify"),
        ("access", "service.set_upstream", (1,), "host must be a string"),
        ("access", "service.set_target", (1, 80), "host must be a string"),
        ("access", "service.set_target", ("h", "80"), "port must be an integer"),
        ("access", "service.set_target", ("h", 80.5), "port must be an integer"),
        ("access", "service.set_target", ("h", 65536), "between 0 and 65535"),
        ("access", "service.set_retries", (-1,), "between 0 and 32767"),
        ("access", "service.set_timeouts", (1, 1), "read_timeout must be an integer"),
        ("access", "service.set_tls_verify", (1,), "must be a boolean"),
        ("access", "service.set_tls_verify_depth", ("1",), "must be a number"),
        ("access", "service.request.set_scheme", ("ftp",), "invalid scheme: ftp"),
        ("access", "service.request.set_path", ("x",), "path must start with /"),
        ("access", "service.request.set_path", (1,), "path must be a string"),
        ("access", "service.request.set_raw_query", (1,), "query must be a string"),
        ("access", "service.request.set_query", ("a",), "args must be a table"),
        ("access", "service.request.set_query", (["a"],), "arg keys must be strings"),
        ("access", "service.request.set_query", ({"a": {"b": 1}},), "query arg value"),
        ("access", "service.request.clear_query_arg", (1,), "must be a string"),
        ("access", "service.request.set_method", ("BREW",), "invalid method: BREW"),
        ("access", "service.request.set_header", ("x",), "invalid header value"),
        ("access", "service.request.clear_header", (), "header must be a string"),
        ("access", "service.request.set_raw_body", (1,), "body must be a string"),
        ("access", "service.request.set_body", ("x",), "args must be a table"),
        ("access", "service.request.set_body", ({}, 1), "mime must be a string"),
        ("access", "service.request.set_body", ({}, "text/plain"), "unsupported content type"),
        ("access", "service.request.set_body", ([1], "multipart/form-data"), "invalid key"),
        ("access", "service.request.set_body", ({"a": []}, "multipart/form-data"), "invalid value"),
        ("response", "service.response.get_raw_body", (), "only available with buffered"),
        ("access", "log.notice", (), "got no value"),
        ("access", "log.set_serialize_value", (1,), "key must be a string"),
        ("access", "log.set_serialize_value", ("a..b", 1), "valid path"),
        ("access", "log.set_serialize_value", ("a", 1, {"mode": "x"}), "mode must be"),
        ("access", "nginx.set_ctx", (), "table index is nil"),
        ("access", "nginx.get_var", (1,), "must be a string"),
        ("access", "node.get_memory_stats", ("x",), "invalid unit"),
        ("access", "node.get_memory_stats", ("k", -1), "scale must be"),
        ("access", "vault.update", ("x",), "options must be a table"),
        ("access", "telemetry.log", ("p", {}, "t", "m", "x"), "attributes must be a table"),
    ],
)  # fmt: skip
def test_what_throws(phase: str, name: str, args: tuple[Any, ...], words: str) -> None:
    with pytest.raises(LuaError, match=words):
        call(a_state(phase), name, *args)


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("service.set_upstream", ("nowhere",), "could not find an Upstream named 'nowhere'"),
        ("service.request.set_header", (":authority", "x"), "non-grpc"),
        ("service.request.set_body", ({},), "content type was neither"),
        ("request.get_body", (), "missing content type"),
        ("request.get_body", ("text/plain",), "unsupported content type"),
        ("request.get_body", ("application/json",), "invalid json body"),
        ("request.get_body", ("multipart/form-data",), "unable to decode"),
        ("nginx.get_tls1_version_str", (), "no TLS"),
        ("vault.get", ("x",), "not a reference"),
        ("vault.get", ("{vault://env/none}",), "could not get value"),
        ("vault.parse_reference", ("x",), "not a reference"),
        ("vault.parse_reference", ("{vault://env/}",), "empty path"),
    ],
)
def test_what_fails(name: str, args: tuple[Any, ...], words: str) -> None:
    result = call(a_state(), name, *args)
    assert isinstance(result, Failure)
    assert words in result.text


def test_too_many_arguments_are_dropped() -> None:
    assert call(a_state(), "request.get_method", 1, 2, 3) == "GET"


def test_an_unknown_function() -> None:
    assert call(a_state(), "request.brew") is pdk.MISSING


# -- the request


def test_forwarded_values_are_believed_from_trusted_addresses_only() -> None:
    forwarded = {
        "x-forwarded-proto": "HTTPS",
        "x-forwarded-host": "user@Other.org:444",
        "x-forwarded-path": "/p",
        "x-forwarded-prefix": "/pre",
        "x-real-ip": "9.9.9.9",
    }
    names = ("scheme", "host", "port", "path", "prefix")
    kong = Gateway(Scripted())
    state = a_state(gateway=kong, headers=forwarded)
    assert [call(state, f"request.get_forwarded_{name}") for name in names] == [
        "http", "example.com", 8000, "/t/a%2Fb/d", None,
    ]  # fmt: skip
    assert call(state, "client.get_forwarded_ip") == "127.0.0.1"
    kong.trusted_ips = ["127.0.0.0/8"]
    assert [call(state, f"request.get_forwarded_{name}") for name in names] == [
        "https", "other.org", 444, "/p", "/pre",
    ]  # fmt: skip
    assert call(state, "client.get_forwarded_ip") == "9.9.9.9"
    assert call(state, "ip.is_trusted", "127.1.2.3") is True
    state.headers.set("x-forwarded-port", ["1234"])
    assert call(state, "request.get_forwarded_port") == 1234
    state.headers.set("x-forwarded-port", ["99999"])
    assert call(state, "request.get_forwarded_port") == 444


def test_the_protocol_of_the_route() -> None:
    kong = Gateway(Scripted())
    state = a_state(gateway=kong, headers={"x-forwarded-proto": "https"})
    assert call(state, "client.get_protocol") == "http"
    assert call(state, "client.get_protocol", True) == "http"
    kong.trusted_ips = ["127.0.0.1"]
    assert call(state, "client.get_protocol", True) == "https"
    assert state.route is not None
    state.route.data["protocols"] = ["https"]
    assert call(state, "client.get_protocol") == "https"
    state.route = None
    assert isinstance(call(state, "client.get_protocol"), Failure)


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/", "/"),
        ("/t/Abc%20123%C3%B8%2f/parent/..//test/./", "/t/Abc 123ø%2F/test/"),
        ("/a/b/..", "/a/"),
        ("/../../x", "/x"),
        ("/a//b///c", "/a/b/c"),
        ("/%", "/%"),
        ("/%ff", "/\udcff"),
        ("/a/.", "/a/"),
    ],
)
def test_paths_are_normalised(path: str, normal: str) -> None:
    assert normalize(path) == normal


@given(st.text(st.sampled_from("/.a%2fF")))
def test_normalising_twice_changes_no_slash(path: str) -> None:
    once = normalize("/" + path)
    assert once.startswith("/")
    assert "//" not in once
    assert "/./" not in once


def test_headers_have_a_limit_of_a_hundred() -> None:
    state = a_state(headers=[(f"x-{n}", "v") for n in range(300)])
    assert len(call(state, "request.get_headers")) == 100
    assert len(call(state, "request.get_headers", 250)) == 250
    assert call(state, "request.get_header", "x-299") == "v"


def test_queries_have_a_limit_of_a_hundred() -> None:
    state = a_state(url="/?" + "&".join(f"a{n}=v" for n in range(150)))
    assert len(call(state, "request.get_query")) == 100
    assert len(call(state, "request.get_query", 120)) == 120


def test_text_that_is_no_utf8() -> None:
    state = a_state(url="/?a=%e9", headers={"x": b"\xe9"})
    assert call(state, "request.get_query_arg", "a") == "\udce9"
    assert call(state, "request.get_header", "x") == "\udce9"


def test_large_bodies() -> None:
    state = a_state(method="POST", body=b"x" * 9000, headers={"content-type": FORM})
    with pytest.raises(LuaError, match="client_body_buffer_size"):
        call(state, "request.get_raw_body")
    with pytest.raises(LuaError, match="too big"):
        call(state, "request.get_raw_body", 8999)
    assert len(call(state, "request.get_raw_body", 0)) == 9000
    assert len(call(state, "request.get_raw_body", 9000)) == 9000
    assert isinstance(call(state, "request.get_body"), Failure)
    assert isinstance(call(state, "request.get_body", FORM, 100, 10), Failure)
    assert len(call(state, "request.get_body", FORM, 100, 0)) == 1
    kind = a_state(gateway=Gateway(Scripted(), quirks=Quirks.none()), body=b"x" * 9000)
    assert len(call(kind, "request.get_raw_body")) == 9000


@pytest.mark.parametrize(
    ("content_type", "body", "result"),
    [
        (FORM, "a=1&a=2&b", {"a": ["1", "2"], "b": True}),
        (
            "application/json; charset=utf-8",
            '{"a": null, "b": [1, null]}',
            {"a": NULL, "b": [1, NULL]},
        ),
        (
            "multipart/form-data; boundary=B",
            '--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
            '--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n2\r\n'
            '--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n3\r\n'
            "--B\r\nContent-Type: text/plain\r\n\r\nnameless\r\n"
            '--B\r\nContent-Disposition: form-data; name="b"\r\n\r\nx\r\n--B--\r\n',
            {"a": ["1", "2", "3"], "b": "x"},
        ),
    ],
)
def test_decoded_bodies(content_type: str, body: str, result: Any) -> None:
    state = a_state(method="POST", body=body, headers={"content-type": content_type})
    assert call(state, "request.get_body") == result


def test_captures_of_a_regex_path() -> None:
    state = a_state()
    state.captures = {1: "x", "name": "x"}
    assert call(state, "request.get_uri_captures") == {"unnamed": {1: "x"}, "named": {"name": "x"}}


# -- the response


def changes(state: State, name: str, *args: Any) -> list[tuple[str, str, Any, Any]]:
    """Call a function and give what it changed."""
    state.callback = Callback(name, args, "p", state.phase, 0.0)
    call(state, name, *args)
    noted = state.callback.changes
    state.callback = None
    return [(one.where, one.what, one.before, one.after) for one in noted]


def test_response_headers() -> None:
    state = a_state()
    assert changes(state, "response.set_header", "X-A", "1") == [
        ("response", "header x-a", None, "1")
    ]
    assert changes(state, "response.add_header", "x-a", 2) == [
        ("response", "header x-a", "1", ["1", "2"])
    ]
    assert changes(state, "response.set_header", "x_a", ["3", "4"]) == [
        ("response", "header x_a", ["1", "2"], ["3", "4"])
    ]
    assert changes(state, "response.set_headers", {"B": True, "C": ""}) == [
        ("response", "header b", None, "true"),
        ("response", "header c", None, ""),
    ]
    assert changes(state, "response.clear_header", "X-A") == [
        ("response", "header x-a", ["3", "4"], None)
    ]
    assert changes(state, "response.set_headers", []) == []
    assert state.response_headers.pairs() == [("B", "true"), ("C", "")]
    state.phase = "response"
    assert call(state, "response.get_header", "b") == "true"
    assert call(state, "response.get_headers") == {"b": "true", "c": ""}


def test_transfer_encoding_cannot_be_set() -> None:
    state = a_state()
    call(state, "response.set_header", "Transfer_Encoding", "chunked")
    assert state.response_headers.pairs() == []
    assert [line.level for line in state.exchange.logs] == ["warn"]


def test_the_status() -> None:
    state = a_state("response")
    assert changes(state, "response.set_status", 404.0) == [("response", "status", None, 404)]
    assert call(state, "response.get_status") == 404


@pytest.mark.parametrize(
    ("args", "body", "headers"),
    [
        ((401,), b"", {"Content-Length": "0"}),
        ((401, "no"), b"no", {"Content-Length": "2"}),
        (
            (401, []),
            b"{}",
            {"Content-Type": "application/json; charset=utf-8", "Content-Length": "2"},
        ),
        (
            (401, {"a": [1]}, {"X": ["1", "2"], "Content-Type": "x/y"}),
            b'{"a":[1]}',
            {"X": ["1", "2"], "Content-Type": "x/y", "Content-Length": "9"},
        ),
        ((200, "é", {"content-length": 7}), "é".encode(), {"content-length": "7"}),
        ((200, "", {"a": 5}), b"", {"a": "5", "Content-Length": "0"}),
    ],
)
def test_exit(args: tuple[Any, ...], body: bytes, headers: dict[str, Any]) -> None:
    with pytest.raises(Exit) as answer:
        call(a_state(), "response.exit", *args)
    assert answer.value.response == Response(args[0], body, headers)
    assert answer.value.source == "exit"


def test_headers_set_before_an_exit_are_sent_with_it() -> None:
    state = a_state()
    call(state, "response.set_header", "x-a", "1")
    with pytest.raises(Exit) as answer:
        call(state, "response.exit", 403, "", {"x-b": "2"})
    assert answer.value.response.headers.pairs()[:2] == [("x-a", "1"), ("x-b", "2")]


@pytest.mark.parametrize(
    ("accept", "content_type", "word"),
    [
        (None, "application/json", '"message":"Not found"'),
        ("*/*", "application/json", '"message":"Not found"'),
        ("text/html", "text/html", "<p>Not found.</p>"),
        ("text/plain", "text/plain", "Not found\n"),
        ("application/xml", "application/xml", "<message>Not found</message>"),
        ("text/*", "text/plain", "Not found\n"),
        ("application/*", "application/json", '"message":"Not found"'),
        ("image/png", "application/json", '"message":"Not found"'),
        ("image/png, text/html", "application/json", '"message":"Not found"'),
        ("application/json;q=0.5, text/html", "text/html", "<p>Not found.</p>"),
        ("text/html;q=0.2, application/xml;q=0.9, */*;q=0.1", "application/xml", "<message>"),
        ("text/html;q=0", "application/json", '"message":"Not found"'),
        ("nonsense", "application/json", '"message":"Not found"'),
    ],
)
def test_error_pages(accept: str | None, content_type: str, word: str) -> None:
    state = a_state(headers={} if accept is None else {"accept": accept})
    with pytest.raises(Exit) as answer:
        call(state, "response.error", 404)
    response = answer.value.response
    assert response.status == 404
    assert response.headers["content-type"].startswith(content_type)
    assert word in response.text
    assert "0" * 32 in response.text


def test_several_accept_headers_are_one() -> None:
    state = a_state(headers=[("accept", "text/plain;q=0.1"), ("accept", "text/html")])
    with pytest.raises(Exit) as answer:
        call(state, "response.error", 404)
    assert answer.value.response.headers["content-type"] == "text/html; charset=utf-8"


def test_an_error_page_of_the_type_that_the_headers_name() -> None:
    state = a_state(headers={"accept": "text/html"})
    with pytest.raises(Exit) as answer:
        call(state, "response.error", 500, None, {"Content-Type": "text/plain"})
    response = answer.value.response
    assert response.headers.all("content-type") == ["text/plain"]
    assert response.text == f"An unexpected error occurred\nrequest_id: {'0' * 32}\n"
    with pytest.raises(LuaError, match="string expected, got nil"):
        call(a_state(), "response.error", 500, None, {"Content-Type": "image/png"})


def test_error_pages_with_words_of_ones_own() -> None:
    with pytest.raises(Exit) as answer:
        call(a_state(), "response.error", 499, 'say "no"', {"x": "y"})
    assert answer.value.response.json()["message"] == 'say "no"'
    assert answer.value.response.headers["x"] == "y"
    with pytest.raises(Exit) as answer:
        call(a_state(), "response.error", 499)
    assert "responded with 499" in answer.value.response.text
    with pytest.raises(Exit) as answer:
        call(a_state(), "response.error", 400, {"own": "words"})
    assert answer.value.response.json() == {"own": "words"}


# -- the service


def test_headers_of_the_request_to_the_service_show_at_once() -> None:
    state = a_state()
    assert changes(state, "service.request.set_header", "X_Bar", "9") == [
        ("service request", "header x_bar", "1", "9")
    ]
    assert call(state, "request.get_header", "x-bar") == "9"
    call(state, "service.request.add_header", "x-multi", ["c", "d"])
    assert state.headers.all("x-multi") == ["a", "b", "c", "d"]
    call(state, "service.request.clear_header", "X-Multi")
    assert call(state, "request.get_header", "x-multi") is None
    call(state, "service.request.set_headers", {"Host": "new.host", "y": ["1"]})
    assert call(state, "request.get_header", "host") == "new.host"
    assert call(state, "request.get_host") == "example.com"
    assert state.upstream_host == "new.host"


def test_method_path_and_scheme() -> None:
    state = a_state()
    assert changes(state, "service.request.set_method", "DELETE") == [
        ("service request", "method", "GET", "DELETE")
    ]
    assert call(state, "request.get_method") == "DELETE"
    call(state, "service.request.set_path", "/ä b?c")
    assert state.upstream_path == "/%C3%A4%20b%3Fc"
    assert call(state, "request.get_raw_path") == "/t/%61%2Fb//c/../d"
    call(state, "service.request.set_scheme", "https")
    assert state.upstream_scheme == "https"


@pytest.mark.parametrize(
    ("name", "args", "query"),
    [
        ("set_raw_query", ("x=+1&&",), "x=+1&&"),
        ("set_query", ({"foo": "hello world", "bar": ["baz", "bla", True], "zzz": True, "blo": ""},),
         "bar=baz&bar=bla&bar&blo=&foo=hello%20world&zzz"),
        ("set_query", ({"n": 1, "f": False},), "n=1"),
        ("set_query", ([],), ""),
        ("clear_query_arg", ("a",), "b=&c=&d=%20%20"),
        ("clear_query_arg", ("none",), "a=1&a=2&b=&c=&d=%20%20"),
    ],
)  # fmt: skip
def test_queries(name: str, args: tuple[Any, ...], query: str) -> None:
    state = a_state()
    call(state, f"service.request.{name}", *args)
    assert call(state, "request.get_raw_query") == query


def test_clearing_an_argument_of_no_query() -> None:
    state = a_state(url="/")
    call(state, "service.request.clear_query_arg", "a")
    assert state.query == ""


def test_bodies_of_the_request_to_the_service() -> None:
    state = a_state()
    call(state, "service.request.set_raw_body", "\udce9")
    assert state.body == b"\xe9"
    assert call(state, "request.get_raw_body") == b"\xe9"
    assert state.headers["content-length"] == "1"
    assert call(state, "service.request.set_body", {"b": "1 2", "a": [True]}, FORM) is True
    assert state.body == b"a&b=1%202"
    assert call(state, "service.request.set_body", {"a": [1]}, "application/json") is True
    assert state.body == b'{"a":[1]}'
    assert state.headers["content-type"] == "application/json"
    assert (
        call(state, "service.request.set_body", {"b": 1, "a": True}, "multipart/form-data") is True
    )
    assert b'name="a"\r\n\r\ntrue\r\n' in state.body
    boundary = state.headers["content-type"].partition("boundary=")[2]
    assert state.body.endswith(f"--{boundary}--\r\n".encode())
    call(state, "service.request.set_body", {"a": "x"}, 'multipart/form-data; boundary="QQ"')
    assert state.body.startswith(b"--QQ\r\n")


def test_where_the_request_goes() -> None:
    kong = Gateway(Scripted())
    kong.upstreams["pool"] = "http://nowhere"
    state = a_state(gateway=kong)
    assert call(state, "service.set_upstream", "pool") is True
    assert state.target == ("pool", None)
    call(state, "service.set_target", "10.0.0.1", 9000)
    assert state.target == ("10.0.0.1", 9000)
    assert state.upstream_host == "10.0.0.1"
    call(state, "service.set_retries", 3)
    call(state, "service.set_timeouts", 1, 2, 3)
    assert (state.retries, state.timeouts) == (3, (1, 2, 3))
    assert call(state, "service.set_tls_verify", True) is True
    assert call(state, "service.set_tls_verify_depth", 2) is True
    assert (state.tls_verify, state.tls_verify_depth) == (True, 2)
    call(state, "service.request.enable_buffering")
    assert state.buffered
    state.phase = "preread"
    assert call(state, "service.request.disable_tls") is True


def test_the_services_response() -> None:
    state = a_state("response")
    assert call(state, "service.response.get_status") is None
    assert call(state, "service.response.get_header", "a") is None
    state.buffered = True
    assert call(state, "service.response.get_raw_body") == b""
    state.service_response = Response(
        201, '{"a": null}', {"A": ["1", "2"], "Content-Type": "application/json"}
    )
    assert call(state, "service.response.get_status") == 201
    assert call(state, "service.response.get_header", "a") == "1"
    assert call(state, "service.response.get_headers") == {}
    assert call(state, "service.response.get_raw_body") == b'{"a": null}'
    assert call(state, "service.response.get_body") == {"a": NULL}
    assert call(state, "service.response.get_body", FORM) == {'{"a": null}': True}
    assert isinstance(call(state, "service.response.get_body", "text/x"), Failure)
    state.phase = "log"
    assert call(state, "service.response.get_headers")["a"] == ["1", "2"]
    kind = a_state("response", Gateway(Scripted(), quirks=Quirks.none()))
    kind.service_response = Response(200, "", {"A": "1"})
    assert call(kind, "service.response.get_headers") == {"a": "1"}
    kind.buffered = True
    assert isinstance(call(kind, "service.response.get_body"), Failure)
    kind.service_response.headers["content-type"] = "application/json"
    assert isinstance(call(kind, "service.response.get_body"), Failure)


# -- who calls, and what is known of it


def test_consumers() -> None:
    kong = Gateway(Scripted())
    bob = kong.consumer("bob", id=UUID, custom_id="b1")
    state = a_state(gateway=kong)
    assert call(state, "client.load_consumer", UUID) is bob.data
    assert call(state, "client.load_consumer", "bob", True) is bob.data
    assert call(state, "client.load_consumer", "alice", True) is None
    assert changes(state, "client.authenticate", bob.data, {"id": "k"}) == [
        ("context", "consumer", None, bob.data),
        ("context", "credential", None, {"id": "k"}),
    ]
    assert call(state, "client.get_consumer") == bob.data
    assert call(state, "client.get_credential") == {"id": "k"}
    call(state, "client.authenticate", [], None)
    assert call(state, "client.get_consumer") == {}
    assert call(state, "client.get_credential") is None


def test_tls() -> None:
    plain = a_state("certificate")
    assert isinstance(call(plain, "client.tls.disable_session_reuse"), Failure)
    state = a_state("certificate", url="https://x/", tls=TLS(client_certificate="PEM"))
    assert call(state, "client.tls.request_client_certificate") is True
    state.phase = "access"
    assert call(state, "client.tls.get_full_client_certificate_chain") == "PEM"
    assert call(state, "nginx.get_tls1_version_str") == "TLSv1.3"
    assert call(state, "nginx.get_var", "https") == "on"
    call(state, "client.tls.set_client_verify", "FAILED:why")
    assert state.client_verify == "FAILED:why"
    assert call(plain, "request.get_port") == 8000
    plain.phase = "access"
    assert call(plain, "client.tls.get_full_client_certificate_chain") is None


def test_router() -> None:
    state = a_state()
    assert call(state, "router.get_route")["name"] == "r"
    assert call(state, "router.get_service")["host"] == "echo"
    state.route = state.service = None
    assert call(state, "router.get_route") is None
    assert call(state, "router.get_service") is None


def test_contexts() -> None:
    state = a_state()
    for space in ("nginx.{}_ctx", "ctx.shared.{}"):
        assert call(state, space.format("get"), "k") is None
        call(state, space.format("set"), "k", {"a": 1})
        assert call(state, space.format("get"), "k") == {"a": 1}
        call(state, space.format("set"), "k", None)
        assert call(state, space.format("get"), "k") is None
        key = ["a table"]
        call(state, space.format("set"), key, 1)
        assert call(state, space.format("get"), key) == 1


def test_variables_of_ones_own() -> None:
    kong = Gateway(Scripted())
    kong.vars["remote_addr"] = "1.2.3.4"
    kong.ctx["k"] = "v"
    kong.shared["s"] = 5
    state = a_state(gateway=kong)
    assert call(state, "nginx.get_var", "remote_addr") == "1.2.3.4"
    assert call(state, "nginx.get_ctx", "k") == "v"
    assert call(state, "ctx.shared.get", "s") == 5


def test_the_node() -> None:
    kong = Gateway(Scripted())
    state = a_state(gateway=kong)
    assert call(state, "node.get_id") == kong.node_id
    assert call(state, "cluster.get_id") == kong.cluster_id
    assert call(state, "node.get_hostname") == kong.hostname
    assert call(state, "plugin.get_id") is None
    stats = call(state, "node.get_memory_stats")
    assert stats["lua_shared_dicts"]["kong"] == {"allocated_slabs": 40960, "capacity": 5242880}
    small = call(state, "node.get_memory_stats", "k", 1)
    assert small["lua_shared_dicts"]["kong"]["capacity"] == "5120.0 KiB"
    assert set(call(state, "nginx.get_statistics")) == {
        "connections_accepted", "connections_active", "connections_handled", "connections_reading",
        "connections_waiting", "connections_writing", "total_requests",
    }  # fmt: skip


def test_references() -> None:
    kong = Gateway(Scripted())
    kong.secrets = {"env/a": "A", "env/b/key": "B"}
    state = a_state(gateway=kong)
    assert call(state, "vault.parse_reference", "{vault://env/cert/key?prefix=SSL_#1}") == {
        "name": "env", "resource": "cert", "key": "key", "config": {"prefix": "SSL_"}, "version": 1,
    }  # fmt: skip
    assert call(state, "vault.parse_reference", "{vault://env/cert}") == {
        "name": "env", "resource": "cert",
    }  # fmt: skip
    options = {
        "a": "old",
        "$refs": {
            "a": "{vault://env/a}", "l": ["{vault://env/b/key}"], "m": {"x": "{vault://env/a}"}, "n": 5,
        },
    }  # fmt: skip
    updated = call(state, "vault.update", options)
    assert (updated["a"], updated["l"], updated["m"]) == ("A", ["B"], {"x": "A"})
    assert call(state, "vault.update", {"a": 1}) == {"a": 1}


# -- the log


@pytest.mark.parametrize(
    "level", ["debug", "info", "notice", "warn", "err", "crit", "alert", "emerg"]
)
def test_log_levels(level: str) -> None:
    state = a_state()
    call(state, f"log.{level}", "a", 1, True, 2.5)
    [line] = state.exchange.logs
    assert (line.level, line.message, line.phase) == (level, "a1true2.5", "access")


def test_more_of_the_log() -> None:
    state = a_state()
    call(state, "log", "x", {"a": 1})
    call(state, "log.inspect", {"a": [1]}, "x")
    call(state, "log.deprecation", "old ", "thing", {"after": "3.0", "removal": "4.0"})
    call(state, "telemetry.log", "p", {}, "type", "message")
    texts = [(line.level, line.message) for line in state.exchange.logs]
    assert texts[0][0] == "notice"
    assert texts[0][1].startswith("xtable: 0x")
    assert texts[1] == ("debug", '{"a":[1]} "x"')
    assert texts[2] == ("warn", "old thing (deprecated after 3.0) (scheduled for removal in 4.0)")
    assert texts[3] == ("debug", "telemetry type: message")


def test_the_serialised_request() -> None:
    kong = Gateway(Scripted())
    state = a_state(gateway=kong, url="https://example.com/t?a=1", tls=TLS())
    state.consumer = {"id": "c1"}
    state.credential = {"id": "k1", "key": "secret"}
    state.status = 200
    state.response_headers = Headers({"x": ["1", "2"], "y": "3"})
    call(state, "log.set_serialize_value", "own.value", 5)
    call(state, "log.set_serialize_value", "request.extra", True)
    call(state, "log.set_serialize_value", "own.value", 6, {"mode": "add"})
    call(state, "log.set_serialize_value", "own.other", 7, {"mode": "replace"})
    call(state, "log.set_serialize_value", "own.value.deep", 8)
    state.phase = "log"
    text = call(state, "log.serialize")
    assert isinstance(text, str)
    record = json.loads(text)
    assert record["own"] == {"value": 5}
    assert record["request"]["extra"] is True
    assert record["request"]["uri"] == "/t?a=1"
    assert record["request"]["url"] == "https://example.com:8443/t?a=1"
    assert record["request"]["querystring"] == {"a": "1"}
    assert record["request"]["tls"]["version"] == "TLSv1.3"
    assert record["response"] == {"status": 200, "headers": {"x": ["1", "2"], "y": "3"}, "size": 0}
    assert record["consumer"] == {"id": "c1"}
    assert record["authenticated_entity"] == {"id": "k1"}
    assert record["route"]["name"] == "r"
    assert record["service"]["host"] == "echo"
    assert record["started_at"] == 1700000000123
    assert record["latencies"]["proxy"] == -1


def test_times_are_now() -> None:
    before = time.time()
    kong = Gateway(Scripted(p={}))
    kong.get("/")
    assert before <= kong.exchange.time <= time.time()
