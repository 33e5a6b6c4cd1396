"""The PDK in ProtoBuf:1, over a real socket: what is sent, and what a handler gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from support.plugins import plugin
from support.protobuf import Client

from pluginserver import Kong, PDKError, PluginServer, kong
from pluginserver.rpc.protobuf.asks import Ask, Given
from pluginserver.rpc.protobuf.functions import ask
from pluginserver.rpc.protobuf.messages import encode
from pluginserver.spec.entities import (
    Consumer,
    Credential,
    MemoryStats,
    Route,
    Service,
    SharedDict,
    WorkerVM,
)
from pluginserver.spec.functions import FUNCTIONS
from pluginserver.spec.multimap import Headers, Query
from pluginserver.spec.protobuf import BUILT
from pluginserver.spec.protobuf import FUNCTIONS as HERE

UUID = "3f2b4c5d-0000-4000-8000-00000000000a"
LATIN = "caf\udce9"


@attrs.frozen
class Case:
    """One call.

    :param call: makes it.
    :param sent: the callbacks that must leave, with their fields.
    :param answers: the fields that each of them gets.
    :param result: what the function must return.
    :param phase: where it is made.
    """

    call: Callable[[], Any]
    sent: list[tuple[str, Any]]
    answers: list[Any] = attrs.field(factory=list)
    result: Any = None
    phase: str = "access"


def one(
    call: Callable[[], Any],
    name: str,
    sent: Any,
    answer: Any = None,
    result: Any = None,
    phase: str = "access",
) -> Case:
    """A case of one callback."""
    return Case(call, [(f"kong.{name}", sent)], [answer], result, phase)


IN = kong.request
OUT = kong.response
UP = kong.service.request
HEADERS = ("kong.request.get_headers", {"v": 1000})
QUERY = ("kong.request.get_query", {"v": 100})

CASES = [
    one(kong.client.get_ip, "client.get_ip", {}, {"v": "10.0.0.1"}, "10.0.0.1"),
    one(kong.client.get_port, "client.get_port", {}, {"v": 40000}, 40000),
    one(kong.client.get_protocol, "client.get_protocol", {}, {"v": "https"}, "https"),
    one(lambda: kong.client.get_protocol(True), "client.get_protocol", {"v": True}),
    one(kong.client.get_consumer, "client.get_consumer", {}),
    one(
        lambda: kong.client.load_consumer("ann", search_by_username=True),
        "client.load_consumer",
        {"id": "ann", "by_username": True},
        {"id": UUID, "username": "ann", "created_at": 17, "tags": ["a"]},
        Consumer(id=UUID, username="ann", created_at=17, tags=["a"]),
    ),
    one(kong.client.get_credential, "client.get_credential", {}),
    one(
        kong.client.get_credential,
        "client.get_credential",
        {},
        {"id": UUID, "consumer_id": "c"},
        Credential(id=UUID, consumer_id="c"),
    ),
    one(
        lambda: kong.client.authenticate(
            Consumer(id=UUID, extra={"type": 0}), Credential(id="c", consumer=Consumer(id="d"))
        ),
        "client.authenticate",
        {"consumer": {"id": UUID}, "credential": {"id": "c", "consumer_id": "d"}},
    ),
    one(
        lambda: kong.client.authenticate(None, Credential(id="c")),
        "client.authenticate",
        {"credential": {"id": "c"}},
    ),
    one(lambda: kong.ctx.shared.get("k"), "ctx.shared.get", {"v": "k"}, "v", "v"),
    one(lambda: kong.ctx.shared.get("k", 5), "ctx.shared.get", {"v": "k"}, None, 5),
    one(lambda: kong.ctx.shared.get("k"), "ctx.shared.get", {"v": "k"}, False, False),
    one(lambda: kong.ctx.shared.get("k"), "ctx.shared.get", {"v": "k"}, {}, []),
    one(
        lambda: kong.ctx.shared.get("k"),
        "ctx.shared.get",
        {"v": "k"},
        {"a": {}, "b": [1.0, 2.5, {}]},
        {"a": [], "b": [1, 2.5, []]},
    ),
    one(
        lambda: kong.ctx.shared.set("k", {"a": [1, "x"]}),
        "ctx.shared.set",
        {"k": "k", "v": {"a": [1, "x"]}},
    ),
    one(lambda: kong.ctx.shared.set("k", b"\xff"), "ctx.shared.set", {"k": "k", "v": "\udcff"}),
    one(lambda: kong.ctx.shared.set("k"), "ctx.shared.set", {"k": "k"}),
    one(lambda: kong.ip.is_trusted("a"), "ip.is_trusted", {"v": "a"}, {"v": True}, True),
    one(lambda: kong.ip.is_trusted("a"), "ip.is_trusted", {"v": "a"}, {"v": False}, False),
    one(lambda: kong.log("a", 1), "log.notice", ["a 1"]),
    one(lambda: kong.log.emerg("a"), "log.alert", ["a"]),
    one(lambda: kong.log.warn(LATIN), "log.warn", [LATIN]),
    one(lambda: kong.log.deprecation("old"), "log.warn", ["old"]),
    one(
        lambda: kong.log.deprecation("old", after="1.0", removal="2.0"),
        "log.warn",
        ["old (deprecated after 1.0, scheduled for removal in 2.0)"],
    ),
    one(lambda: kong.log.inspect("a", {"b": 1}), "log.debug", ["'a' {'b': 1}"]),
    one(
        lambda: kong.log.set_serialize_value("a.b", [1]),
        "log.set_serialize_value",
        {"k": "a.b", "v": [1]},
    ),
    one(kong.log.serialize, "log.serialize", {}, {"v": '{"a": 1}'}, {"a": 1}, "log"),
    one(lambda: kong.nginx.get_var("x"), "nginx.get_var", {"v": "x"}, {"v": "on"}, "on"),
    one(lambda: kong.nginx.get_var("x"), "nginx.get_var", {"v": "x"}),
    one(kong.nginx.get_tls1_version_str, "nginx.get_tls1_version_str", {}),
    one(lambda: kong.nginx.get_ctx("k"), "nginx.get_ctx", {"v": "k"}, 1.5, 1.5),
    one(lambda: kong.nginx.set_ctx("k", 1), "nginx.set_ctx", {"k": "k", "v": 1}),
    one(kong.nginx.req_start_time, "nginx.req_start_time", {}, {"v": 1.5}, 1.5),
    one(
        kong.node.get_memory_stats,
        "node.get_memory_stats",
        {},
        {
            "lua_shared_dicts": {"kong": {"capacity": 5}},
            "workers_lua_vms": [{"http_allocated_gc": 9, "pid": 7}],
        },
        MemoryStats(
            lua_shared_dicts={"kong": SharedDict(capacity=5, allocated_slabs=0)},
            workers_lua_vms=[WorkerVM(pid=7, http_allocated_gc=9)],
        ),
    ),
    one(IN.get_scheme, "request.get_scheme", {}, {"v": "https"}, "https"),
    one(IN.get_raw_query, "request.get_raw_query", {}, {}, ""),
    one(IN.get_port, "request.get_port", {}, {"v": 8443}, 8443),
    one(IN.get_http_version, "request.get_http_version", {}, {"v": 1.1}, 1.1),
    one(IN.get_http_version, "request.get_http_version", {}, {}),
    one(lambda: IN.get_header("Host"), "request.get_header", {"v": "Host"}, {"v": LATIN}, LATIN),
    Case(
        lambda: IN.get_header("X-A"),
        [("kong.request.get_header", {"v": "X-A"}), HEADERS],
        [{}, {"x_a": ["", "1"]}],
        "",
    ),
    Case(
        lambda: IN.get_header("x-a"),
        [("kong.request.get_header", {"v": "x-a"}), HEADERS],
        [{}, {"x-b": "1"}],
        None,
    ),
    one(
        IN.get_headers,
        "request.get_headers",
        {"v": 100},
        {"host": "a.org", "x-a": ["1", LATIN]},
        Headers({"host": "a.org", "x-a": ["1", LATIN]}),
    ),
    one(lambda: IN.get_headers(5), "request.get_headers", {"v": 5}, {}, Headers()),
    Case(lambda: IN.get_query_arg("a"), [QUERY], [{"a": "1"}], "1"),
    Case(lambda: IN.get_query_arg("a"), [QUERY], [{"a": ["2", "1"]}], "2"),
    Case(lambda: IN.get_query_arg("a"), [QUERY], [{"a": True}], True),
    Case(lambda: IN.get_query_arg("a"), [QUERY], [{"a": ""}], ""),
    Case(lambda: IN.get_query_arg("a"), [QUERY], [{"A": ""}], None),
    one(
        IN.get_query,
        "request.get_query",
        {"v": 100},
        {"a": ["1", "2"], "b": True, "c": "", "A": LATIN},
        Query({"a": ["1", "2"], "b": True, "c": "", "A": LATIN}),
    ),
    one(IN.get_raw_body, "request.get_raw_body", {}, {"content": b"\xff\x00"}, b"\xff\x00"),
    one(IN.get_raw_body, "request.get_raw_body", {}, {"content": b""}, b""),
    one(IN.get_uri_captures, "request.get_uri_captures", {}, {}, {}),
    one(
        IN.get_uri_captures,
        "request.get_uri_captures",
        {},
        {"unnamed": [b"7", b"\xe9"], "named": {"id": b"7"}},
        {1: "7", 2: "\udce9", "id": "7"},
    ),
    one(IN.get_raw_path, "request.get_path_with_query", {}, {"v": "/%61?b?c"}, "/%61"),
    one(
        IN.get_start_time,
        "nginx.get_ctx",
        {"v": "KONG_PROCESSING_START"},
        1.7e12,
        1700000000000,
    ),
    Case(
        IN.get_start_time,
        [
            ("kong.nginx.get_ctx", {"v": "KONG_PROCESSING_START"}),
            ("kong.nginx.req_start_time", {}),
        ],
        [None, {"v": 1.5}],
        1500,
    ),
    Case(
        IN.get_forwarded_path,
        [
            ("kong.client.get_ip", {}),
            ("kong.ip.is_trusted", {"v": "::1"}),
            ("kong.request.get_header", {"v": "x-forwarded-path"}),
        ],
        [{"v": "::1"}, {"v": True}, {"v": "/a"}],
        "/a",
    ),
    Case(
        IN.get_forwarded_path,
        [
            ("kong.client.get_ip", {}),
            ("kong.ip.is_trusted", {"v": "::1"}),
            ("kong.request.get_path", {}),
        ],
        [{"v": "::1"}, {"v": False}, {"v": "/b"}],
        "/b",
    ),
    Case(
        IN.get_forwarded_prefix,
        [
            ("kong.client.get_ip", {}),
            ("kong.ip.is_trusted", {"v": "::1"}),
            ("kong.request.get_header", {"v": "x-forwarded-prefix"}),
            HEADERS,
            ("kong.nginx.get_var", {"v": "upstream_x_forwarded_prefix"}),
        ],
        [{"v": "::1"}, {"v": True}, {}, {}, {}],
        None,
    ),
    one(OUT.get_status, "response.get_status", {}, {"v": 200}, 200, "response"),
    Case(
        lambda: OUT.get_header("x"),
        [
            ("kong.response.get_header", {"v": "x"}),
            ("kong.response.get_headers", {"v": 1000}),
        ],
        [{}, {"x": ""}],
        "",
        "response",
    ),
    one(OUT.get_headers, "response.get_headers", {"v": 100}, {}, Headers(), "response"),
    one(lambda: OUT.set_status(404), "response.set_status", {"v": 404}),
    one(lambda: OUT.set_header("x", "é"), "response.set_header", {"k": "x", "v": "é"}),
    one(lambda: OUT.set_header("x", LATIN), "response.set_header", {"k": "x", "v": LATIN}),
    one(lambda: OUT.set_header("x", b"\xe9"), "response.set_header", {"k": "x", "v": "\udce9"}),
    one(lambda: OUT.set_header("x", False), "response.set_header", {"k": "x", "v": "false"}),
    one(lambda: OUT.set_header("x", 5.0), "response.set_header", {"k": "x", "v": "5"}),
    one(lambda: OUT.set_header("x", "y" * 300), "response.set_header", {"k": "x", "v": "y" * 300}),
    one(
        lambda: OUT.add_header("x", ["1", "2"]), "response.add_header", {"k": "x", "v": ["1", "2"]}
    ),
    one(
        lambda: OUT.set_headers({"a": 1, "b": ["x", True]}),
        "response.set_headers",
        {"a": "1", "b": ["x", "true"]},
    ),
    one(lambda: OUT.clear_header("x"), "response.clear_header", {"v": "x"}),
    one(kong.router.get_route, "router.get_route", {}),
    one(
        kong.router.get_route,
        "router.get_route",
        {},
        {"id": UUID, "paths": ["/"], "strip_path": True, "service": {"id": "s"}, "headers": ["x"]},
        Route(
            id=UUID,
            paths=["/"],
            strip_path=True,
            preserve_host=False,
            regex_priority=0,
            service=Service(id="s"),
        ),
    ),
    one(kong.router.get_service, "router.get_service", {}),
    one(
        kong.router.get_service,
        "router.get_service",
        {},
        {"id": UUID, "port": 80, "retries": 5},
        Service(id=UUID, port=80, retries=5),
    ),
    one(
        lambda: kong.service.set_upstream("u"),
        "service.set_upstream",
        {"v": "u"},
        {"v": True},
        True,
    ),
    one(lambda: kong.service.set_upstream("u"), "service.set_upstream", {"v": "u"}),
    one(lambda: kong.service.set_target("h", 80), "service.set_target", {"host": "h", "port": 80}),
    one(lambda: UP.set_raw_body("é"), "service.request.set_raw_body", {"v": "é".encode()}),
    one(
        lambda: UP.set_query({"a": ["1", True], "b": True}),
        "service.request.set_query",
        {"a": ["1", True], "b": True},
    ),
    one(
        kong.service.response.get_status,
        "service.response.get_status",
        {},
        {},
        None,
        "response",
    ),
    one(
        kong.service.response.get_raw_body,
        "service.response.get_raw_body",
        {},
        {"v": b"\xff"},
        b"\xff",
        "response",
    ),
]


def play(prefix: Path, case: Case) -> tuple[list[tuple[str, Any]], list[Any]]:
    """Make the call in a handler; gives the callbacks, and what it returned or raised."""
    results: list[Any] = []

    def handler(_self: object, _kong: Kong) -> None:
        try:
            results.append(case.call())
        except (PDKError, TypeError, ValueError) as error:
            results.append(error)

    kind = plugin(handler, threads="shared", response=handler, log=handler)
    with PluginServer(prefix / "s.sock", [kind]) as server, Client(server.socket_path) as client:
        calls = client.play(client.start("p"), case.phase, case.answers)
    return calls, results


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sent[0][0])
def test_a_call_and_what_it_gives(prefix: Path, case: Case) -> None:
    calls, results = play(prefix, case)
    assert calls == case.sent
    assert results == [case.result]
    assert type(results[0]) is type(case.result)


def refusal(prefix: Path, call: Callable[[], Any], answers: list[Any] | None = None) -> str:
    calls, results = play(prefix, Case(call, [], answers or []))
    assert len(calls) == len(answers or [])
    assert isinstance(results[0], Exception), results
    return str(results[0])


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - set(HERE) - BUILT))
def test_what_is_not_there_is_said_before_anything_is_sent(name: str) -> None:
    with pytest.raises(PDKError) as raised:
        ask(name, ("x",))
    assert str(raised.value) == (
        f"Kong's ProtoBuf:1 has no {name}: serve this plugin with protocol = 'msgpack'"
    )


@pytest.mark.parametrize("name", sorted(BUILT))
def test_what_is_said_to_be_built_can_be_had(name: str) -> None:
    assert name not in HERE
    args = ({}, "application/json") if name == "kong.service.request.set_body" else ("x",)
    assert isinstance(ask(name, args), (Ask, Given))


def test_what_kong_would_misunderstand_is_refused(prefix: Path) -> None:
    for value in (False, [1, False], {"a": {"b": False}}):
        assert "Kong takes False for nil here" in refusal(
            prefix, lambda value=value: kong.ctx.shared.set("k", value)
        )
    assert "Kong takes False for nil here" in refusal(
        prefix, lambda: kong.nginx.set_ctx("k", False)
    )
    assert "the key and the value are all that Kong takes" in refusal(
        prefix, lambda: kong.log.set_serialize_value("k", 1, mode="add")
    )
    assert "in bytes only" in refusal(prefix, lambda: kong.node.get_memory_stats("k"))


def test_a_body_that_nginx_wrote_to_a_file_is_read(prefix: Path, tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"x" * 100_000)
    answers = [{"body_filepath": str(file)}]
    _, results = play(prefix, Case(IN.get_raw_body, [], answers))
    assert results == [b"x" * 100_000]
    text = refusal(prefix, lambda: IN.get_raw_body(99_999), answers)
    assert text == "the request's body has 100000 bytes, and 99999 are allowed"
    file.unlink()
    text = refusal(prefix, IN.get_raw_body, answers)
    assert text.startswith("nginx wrote the request's body to a file that cannot be read here")
    assert str(file) in text
    text = refusal(prefix, IN.get_raw_body, [{"error": "no body"}])
    assert text == "kong.request.get_raw_body: no body"


@pytest.mark.parametrize(
    ("accept", "kind", "body"),
    [
        ("", "application/json", b'{\n  "message":"Not found",\n  "request_id":"7"\n}'),
        ("text/*", "text/plain", b"Not found\nrequest_id: 7\n"),
        ("text/html;q=0.5", "text/html", b"<p>Not found.</p>"),
    ],
)
def test_an_error_is_the_page_that_the_client_accepts(
    prefix: Path, accept: str, kind: str, body: bytes
) -> None:
    case = Case(lambda: OUT.error(404), [], [{"v": accept}, {"v": "7"}])
    calls, results = play(prefix, case)
    assert results == []
    assert calls[:2] == [
        ("kong.request.get_header", {"v": "accept"}),
        ("kong.nginx.get_var", {"v": "kong_request_id"}),
    ]
    name, fields = calls[2]
    assert name == "kong.response.exit"
    assert fields["status"] == 404
    assert body in fields["body"]
    assert fields["headers"] == {"Content-Type": f"{kind}; charset=utf-8"}


def test_an_error_with_a_message_of_its_own(prefix: Path) -> None:
    calls, _ = play(prefix, Case(lambda: OUT.error(400, {"a": 1}, {"x": "y"}), []))
    assert calls == [
        (
            "kong.response.exit",
            {
                "status": 400,
                "body": b'{"a":1}',
                "headers": {"x": "y", "Content-Type": "application/json; charset=utf-8"},
            },
        )
    ]
    case = Case(
        lambda: OUT.error(400, b"caf\xc3\xa9", {"content-type": "text/plain"}), [], [{"v": "7"}]
    )
    calls, _ = play(prefix, case)
    assert calls[1][1]["body"].decode() == "café\nrequest_id: 7\n"
    assert calls[1][1]["headers"] == {"Content-Type": "text/plain"}


FORM, JSON, MULTIPART = (
    "application/x-www-form-urlencoded",
    "application/json",
    "multipart/form-data",
)
TYPE = ("kong.request.get_header", {"v": "content-type"})
RAW = ("kong.request.get_raw_body", {})


@pytest.mark.parametrize(
    ("kind", "raw", "wanted"),
    [
        (FORM, {"content": b"a=1&b&a=+2%20&c=%e9&=x&&d="},
         {"a": ["1", " 2 "], "b": True, "c": "\udce9", "d": ""}),
        (f"{FORM}; charset=utf-8", {"content": b""}, {}),
        ("Application/JSON", {"content": b'{"a": [1.0, 2.5, null, {}], "b": 9007199254740993}'},
         {"a": [1, 2.5, None, []], "b": 9007199254740992.0}),
        ("application/json-patch+json", {"content": b"[]"}, {}),
        (JSON, {"content": b'["\\ud83d\\ude00", "\xe9\t"]'}, ["\U0001f600", "\udce9\t"]),
        (JSON, {"content": b'["\\ude00\\ud83d"]'}, None),
        (JSON, {"content": b"5"}, None),
        (JSON, {"content": b"[" * 100_000}, None),
        (JSON, {"content": b"[" * 900 + b"]" * 900}, ...),
        (JSON, {"content": b"{}x"}, None),
        (JSON, {"error": "no body"}, None),
    ],
)  # fmt: skip
def test_a_body_is_decoded_as_kong_does_it(
    prefix: Path, kind: str, raw: dict[str, Any], wanted: Any
) -> None:
    calls, results = play(prefix, Case(IN.get_body, [], [{"v": kind}, raw]))
    assert calls == [TYPE, RAW]
    assert wanted is ... or results == [wanted]
    assert not isinstance(results[0], Exception)
    calls, again = play(prefix, Case(lambda: IN.get_body(kind), [], [raw]))
    assert calls == [RAW]
    assert again == results


def test_a_body_that_cannot_be_decoded(prefix: Path, tmp_path: Path) -> None:
    calls, results = play(prefix, Case(IN.get_body, [], [{}]))
    assert (calls, results) == ([TYPE], [None])
    calls, results = play(prefix, Case(lambda: IN.get_body("text/plain"), []))
    assert (calls, results) == ([], [None])
    text = refusal(prefix, IN.get_body, [{"v": f"{MULTIPART}; boundary=x"}])
    assert text == (
        f"Kong's ProtoBuf:1 has no kong.request.get_body of {MULTIPART}: serve this plugin with"
        " protocol = 'msgpack'"
    )
    file = tmp_path / "body"
    file.write_bytes(b"a=1&b=2")
    answers = [{"body_filepath": str(file)}]
    assert play(prefix, Case(lambda: IN.get_body(FORM, 1), [], answers))[1] == [{"a": "1"}]
    assert play(prefix, Case(lambda: IN.get_body(FORM, 1, 3), [], answers))[1] == [None]


def test_the_body_of_the_services_response_is_decoded(prefix: Path) -> None:
    get_body = kong.service.response.get_body
    answers = [{"v": JSON}, {"v": b'{"a": 1}'}]
    calls, results = play(prefix, Case(get_body, [], answers, phase="response"))
    assert calls == [
        ("kong.service.response.get_header", {"v": "content-type"}),
        ("kong.service.response.get_raw_body", {}),
    ]
    assert results == [{"a": 1}]


def body_set(prefix: Path, args: Any, mimetype: str) -> tuple[bytes, str]:
    """What set_body makes of its arguments: the body and its type."""
    case = Case(lambda: UP.set_body(args, mimetype), [])
    calls, results = play(prefix, case)
    assert [name for name, _ in calls] == [
        "kong.service.request.set_raw_body",
        "kong.service.request.set_header",
    ]
    assert results == [True]
    assert calls[1][1]["k"] == "Content-Type"
    return calls[0][1]["v"], calls[1][1]["v"]


def test_a_body_is_encoded_as_kong_does_it(prefix: Path) -> None:
    form = {"b": "1 2&", "a": [True, "x", 2.0], "é": "\udce9", "no": False}
    assert body_set(prefix, form, FORM) == (b"%C3%A9=%E9&a&a=x&a=2&b=1%202%26", FORM)
    kind = f"{JSON}; charset=utf-8"
    assert body_set(prefix, {"a": [1], "b": {"c": "é"}}, kind) == (
        '{"a":[1],"b":{"c":"é"}}'.encode(),
        kind,
    )
    body, kind = body_set(prefix, {"b": 1, "a": "\n--QQ"}, f'{MULTIPART}; boundary="QQ"; x=1')
    boundary = kind.removeprefix(f"{MULTIPART}; boundary=")
    assert boundary.isdigit()
    assert body.decode().split(f"--{boundary}") == [
        "",
        '\r\nContent-Disposition: form-data; name="a"\r\n\r\n\n--QQ\r\n',
        '\r\nContent-Disposition: form-data; name="b"\r\n\r\n1\r\n',
        "--\r\n",
    ]
    assert body_set(prefix, {"a": "x"}, f"{MULTIPART}; boundary=Q")[0].startswith(b"--Q\r\n")
    for kind in (FORM, MULTIPART):
        text = refusal(prefix, lambda kind=kind: UP.set_body({"a": {"b": "c"}}, kind))
        assert "a dict cannot be the value of a field" in text


def test_an_argument_is_removed_from_the_query(prefix: Path) -> None:
    case = Case(lambda: UP.clear_query_arg("a b"), [], [{"v": "a+b=1&c&a%20b&d=+~%e9*'&=&&"}])
    calls, results = play(prefix, case)
    assert calls == [
        ("kong.request.get_raw_query", {}),
        ("kong.service.request.set_raw_query", {"v": "c=&d=%20%7E%E9*%27&="}),
    ]
    assert results == [None]
    calls, _ = play(prefix, Case(lambda: UP.clear_query_arg("a"), [], [{}]))
    assert calls == [("kong.request.get_raw_query", {})]


def test_what_else_is_built(prefix: Path) -> None:
    calls, results = play(prefix, Case(kong.plugin.get_id, [], [UUID]))
    assert calls == [("kong.nginx.get_ctx", {"v": "plugin_id"})]
    assert results == [UUID]
    for text, wanted in (("{vault://env/x}", True), ("{vault://env/x", False), ("", False)):
        case = Case(lambda text=text: kong.vault.is_reference(text), [])
        assert play(prefix, case) == ([], [wanted])


def test_what_a_function_without_a_name_in_the_pdk_is_called_by(prefix: Path) -> None:
    calls, results = play(
        prefix, Case(lambda: kong.call("kong.request.get_query", 7), [], [{"a": "1", "b": True}])
    )
    assert calls == [("kong.request.get_query", {"v": 7})]
    assert results == [{"a": ["1"], "b": []}]


@pytest.mark.parametrize("name", sorted(HERE))
def test_every_function_that_kong_has_here_can_be_asked_for(name: str) -> None:
    """With the arguments that fit its message; what is sent is the name and the message."""
    arguments: dict[str, tuple[Any, ...]] = {
        "Empty": (),
        "String": ("x",),
        "Bool": (True,),
        "Int": (5,),
        "ByteString": (b"x",),
        "KV": ("k", "v"),
        "Struct": ({"a": "b"},),
        "ListValue": ("a",),
        "ExitArgs": (204,),
        "Target": ("h", 1),
        "ConsumerSpec": ("id",),
        "AuthenticateArgs": ({"id": "a"},),
    }
    message = HERE[name].argument
    frames = ask(name, arguments[message]).frames
    sent = {
        "kong.request.get_query_arg": ("kong.request.get_query", encode("Int", {"v": 100})),
    }.get(name)
    if sent is None:
        fields: Any = {
            "Empty": {},
            "String": {"v": "x"},
            "Bool": {"v": True},
            "Int": {"v": 5},
            "ByteString": {"v": b"x"},
            "KV": {"k": "k", "v": "v"},
            "Struct": {"a": "b"},
            "ListValue": ["a"],
            "ExitArgs": {"status": 204},
            "Target": {"host": "h", "port": 1},
            "ConsumerSpec": {"id": "id"},
            "AuthenticateArgs": {"consumer": {"id": "a"}},
        }[message]
        sent = name, encode(message, fields)
    text, argument = sent
    assert frames == (
        len(text).to_bytes(4, "little")
        + text.encode()
        + len(argument).to_bytes(4, "little")
        + argument
    )


def test_json_that_lua_would_change_is_made_here(prefix: Path) -> None:
    calls, _ = play(prefix, Case(lambda: OUT.exit(200, {"a": [], "b": 2**53}), []))
    assert json.loads(calls[0][1]["body"]) == {"a": [], "b": 2**53}
