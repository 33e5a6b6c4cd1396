"""Arguments that Kong could not take: they raise at the call, nothing is sent, the event goes on."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import attrs
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.driving import ask, drive
from support.holes import SEEN_ON_LUAJIT

from pluginserver import PDKError, PhaseError, kong
from pluginserver.pdk.values import MAX_DEPTH, json_text, survives_lua, to_jsonable, to_lua
from pluginserver.spec.entities import Consumer
from pluginserver.spec.functions import FUNCTIONS
from pluginserver.spec.multimap import Headers

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
ANY: Any = None


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def cycle() -> Any:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@attrs.define
class Point:
    x: int
    y: int | None = None
    _secret: str = "private"


class Color(enum.Enum):
    RED = "red"


UNSENDABLE = [
    pytest.param(NOON, TypeError, "value is a datetime", id="datetime"),
    pytest.param({1, 2}, TypeError, "value is a set", id="set"),
    pytest.param(Decimal("1.5"), TypeError, "value is a Decimal", id="Decimal"),
    pytest.param(Color.RED, TypeError, "value is a Color", id="Enum"),
    pytest.param(object(), TypeError, "value is a object", id="object"),
    pytest.param(2**70, ValueError, "value is an integer of 71 bits", id="big"),
    pytest.param(-(2**53) - 1, ValueError, "value is an integer of 54 bits", id="inexact"),
    pytest.param(float("nan"), ValueError, "value is nan", id="nan"),
    pytest.param(float("-inf"), ValueError, "value is -inf", id="inf"),
    pytest.param("\ud800", ValueError, "value holds a lone surrogate, '\\ud800'", id="surrogate"),
    pytest.param({1: "a"}, TypeError, "value has the key 1, a int", id="key"),
    pytest.param({None: "a"}, TypeError, "value has the key None", id="None as a key"),
    pytest.param({"\ud800": 1}, ValueError, "a key of value holds a lone", id="surrogate key"),
    pytest.param({"a": [1, None]}, ValueError, "value['a'][1] is None", id="None in a list"),
    pytest.param({"a": None}, ValueError, "value['a'] is None", id="None in a map"),
    pytest.param({"a": [{"b": NOON}]}, TypeError, "value['a'][0]['b'] is a datetime", id="nested"),
    pytest.param(Point(NOON), TypeError, "value['x'] is a datetime", id="attrs"),  # type: ignore[arg-type]
    pytest.param(cycle(), ValueError, "[...]['self']['self']", id="cycle"),
    pytest.param(deep(MAX_DEPTH + 1), ValueError, f"deeper than {MAX_DEPTH} levels", id="deep"),
]


@pytest.mark.parametrize(("value", "error", "words"), UNSENDABLE)
@pytest.mark.parametrize(
    "call",
    [
        lambda value: kong.ctx.shared.set("k", value),
        lambda value: kong.ctx.shared.__setitem__("k", value),
        lambda value: kong.nginx.set_ctx("k", value),
        lambda value: kong.log.set_serialize_value("k", value),
    ],
    ids=["ctx.shared.set", "ctx.shared[]", "nginx.set_ctx", "set_serialize_value"],
)
def test_values_that_cannot_be_sent(
    call: Callable[[Any], None], value: Any, error: type[Exception], words: str
) -> None:
    def handler() -> None:
        with pytest.raises(error) as raised:
            call(value)
        assert words in str(raised.value)
        kong.response.set_status(200)

    calls, ending, failures = drive(handler)
    assert failures == []
    assert calls == [("kong.response.set_status", (200,))]
    assert ending.call is None


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (Point(1), {"x": 1}),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Consumer(id="c", extra={"a": 1}), {"id": "c", "a": 1}),
        (Headers({"a": ["1", "2"]}), {"a": ["1", "2"]}),
        ((1, (2, 3)), [1, [2, 3]]),
        (memoryview(b"ab"), b"ab"),
        (2**53, 2**53),
        ("caf\udce9", "caf\udce9"),
        (deep(MAX_DEPTH), deep(MAX_DEPTH)),
    ],
)
def test_values_that_can_be_sent(value: Any, sent: Any) -> None:
    calls, _ = ask(kong.ctx.shared.set, "k", value)
    assert calls == [("kong.ctx.shared.set", ("k", sent))]
    msgpack.packb(calls, unicode_errors="surrogateescape")


WRONG = [
    # call, error, words
    (lambda: kong.client.load_consumer("ann"), ValueError, "must be a UUID, not 'ann'"),
    (lambda: kong.client.load_consumer(ANY), TypeError, "consumer_id must be str, not NoneType"),
    (lambda: kong.client.load_consumer("a", ANY), TypeError, "search_by_username must be bool"),
    (lambda: kong.client.authenticate(ANY), ValueError, "consumer and credential are None"),
    (lambda: kong.client.authenticate(5), TypeError, "consumer must be a mapping, not int"),
    (lambda: kong.client.tls.set_client_verify("OK"), ValueError, "value must be 'SUCCESS'"),
    (lambda: kong.ctx.shared.get(5), TypeError, "key must be str, not int"),
    (lambda: kong.ctx.shared.set(b"k", 1), TypeError, "key must be str, not bytes"),
    (lambda: kong.ip.is_trusted(5), TypeError, "address must be str"),
    (lambda: kong.log.deprecation("x", after=3), TypeError, "after must be str"),
    (lambda: kong.log.set_serialize_value("k", 1, mode="put"), ValueError, "set, add, replace"),
    (lambda: kong.log.set_serialize_value("k", mode="add"), ValueError, "value is None"),
    (lambda: kong.nginx.get_var(5), TypeError, "name must be str"),
    (lambda: kong.node.get_memory_stats("t"), ValueError, "unit must be one of b, B, k"),
    (lambda: kong.node.get_memory_stats(scale=-1), ValueError, "scale must be from 0 to 14"),
    (lambda: kong.request.get_header(5), TypeError, "name must be str, not int"),
    (lambda: kong.request.get_header("\udfff"), ValueError, "name holds a lone surrogate"),
    (lambda: kong.request.get_headers(0), ValueError, "max_headers must be from 1 to 1000"),
    (lambda: kong.request.get_headers(1001), ValueError, "max_headers must be from 1 to 1000"),
    (lambda: kong.request.get_headers(True), TypeError, "max_headers must be int, not bool"),
    (lambda: kong.request.get_query(1.5), TypeError, "max_args must be int, not float"),
    (lambda: kong.request.get_query_arg(5), TypeError, "name must be str"),
    (lambda: kong.request.get_raw_body(-1), ValueError, "max_allowed_file_size must be from 0"),
    (lambda: kong.request.get_raw_body(ANY), TypeError, "max_allowed_file_size must be int"),
    (lambda: kong.request.get_body(5), TypeError, "mimetype must be str"),
    (lambda: kong.request.get_body(max_args=0), ValueError, "max_args must be from 1"),
    (lambda: kong.response.set_status(99), ValueError, "status must be from 100 to 599, not 99"),
    (lambda: kong.response.set_status("200"), TypeError, "status must be int, not str"),
    (lambda: kong.response.set_header(5, "x"), TypeError, "name must be str, not int"),
    (
        lambda: kong.response.set_header("x", ANY),
        TypeError,
        "header 'x' must be str, bytes, a num",
    ),
    (lambda: kong.response.set_header("x", NOON), TypeError, "must be str or bytes, not datetime"),
    (
        lambda: kong.response.set_header("x", ["a", ANY]),
        TypeError,
        "'x' at 1 must be str or bytes",
    ),
    (lambda: kong.response.set_header("x", [float("nan")]), ValueError, "'x' at 0 is nan"),
    (lambda: kong.response.set_header("x", "\ud800"), ValueError, "'x' holds a lone surrogate"),
    (lambda: kong.response.set_headers(ANY), TypeError, "headers must be a mapping"),
    (lambda: kong.response.set_headers([("a", "b")]), TypeError, "headers must be a mapping"),
    (lambda: kong.response.set_headers({5: "b"}), TypeError, "name must be str, not int"),
    (lambda: kong.response.exit(200.0), TypeError, "status must be int, not float"),
    (lambda: kong.response.exit(600), ValueError, "status must be from 100 to 599"),
    (lambda: kong.response.exit(200, 5), TypeError, "body must be str, bytes, a mapping, a list"),
    (lambda: kong.response.exit(200, True), TypeError, "body must be str, bytes, a mapping"),
    (lambda: kong.response.exit(200, {"a": NOON}), TypeError, "body['a'] is a datetime"),
    (lambda: kong.response.exit(200, {"a": 2**64}), ValueError, "body['a'] is an integer of 65"),
    (lambda: kong.response.exit(200, [float("inf")]), ValueError, "body[0] is inf"),
    (lambda: kong.response.exit(200, "x", "y"), TypeError, "headers must be a mapping, not str"),
    (lambda: kong.response.error(399), ValueError, "status must be from 400 to 599"),
    (lambda: kong.response.error(400, 5), TypeError, "message must be str, bytes"),
    (
        lambda: kong.response.error(400, "x", {"content-type": "text/csv"}),
        ValueError,
        "Kong does not have other error pages",
    ),
    (lambda: kong.service.set_target("h", 65536), ValueError, "port must be from 0 to 65535"),
    (lambda: kong.service.set_target(ANY, 80), TypeError, "host must be str"),
    (lambda: kong.service.set_retries(32768), ValueError, "retries must be from 0 to 32767"),
    (lambda: kong.service.set_timeouts(1, 0, 1), ValueError, "write_timeout must be from 1"),
    (lambda: kong.service.set_tls_verify(1), TypeError, "on must be bool, not int"),
    (lambda: kong.service.request.set_scheme("ftp"), ValueError, "scheme must be one of http"),
    (lambda: kong.service.request.set_path("a"), ValueError, "path must begin with '/', not 'a'"),
    (lambda: kong.service.request.set_method("get"), ValueError, "method must be one of GET"),
    (lambda: kong.service.request.set_query({"a": None}), ValueError, "args['a'] is None"),
    (lambda: kong.service.request.set_query("a=1"), TypeError, "args must be a mapping"),
    (lambda: kong.service.request.set_header("HOST", ["a"]), ValueError, "takes one value"),
    (lambda: kong.service.request.set_headers({"host": ["a"]}), ValueError, "takes one value"),
    (
        lambda: kong.service.request.set_raw_body(5),
        TypeError,
        "body must be str or bytes, not int",
    ),
    (lambda: kong.service.request.set_body("x"), TypeError, "args must be a mapping, not str"),
    (
        lambda: kong.service.request.set_body({}, "text/plain"),
        ValueError,
        "mimetype must be one of application/x-www-form-urlencoded",
    ),
    (
        lambda: kong.service.request.set_body({"a": None}, "multipart/form-data"),
        ValueError,
        "args['a'] is None",
    ),
    (lambda: kong.telemetry.log("p", ANY, "t"), TypeError, "plugin_config must be a mapping"),
    (lambda: kong.vault.get(5), TypeError, "reference must be str"),
    (lambda: kong.call("kong.x", 1, None, 2), ValueError, "argument 2 is None"),
    (lambda: kong.call("kong.x", None, None, 2), ValueError, "argument 1 is None"),
    (lambda: kong.call("kong.x", 1, 2, 3, None, 5), ValueError, "argument 4 is None"),
    (lambda: kong.call("kong.x", None, {1}), TypeError, "argument 2 is a set"),
    (lambda: kong.call("kong.x", {1}), TypeError, "argument 1 is a set"),
    (lambda: kong.call(5), TypeError, "name must be str"),
]


@pytest.mark.parametrize(("call", "error", "words"), WRONG)
def test_wrong_arguments(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as raised:
        ask(call)
    assert words in str(raised.value)
    assert raised.value.calls == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [201, 404, 599])
def test_a_stream_ends_with_few_statuses(status: int) -> None:
    with pytest.raises(ValueError, match="must be one of 200, 400, 403, 500, 502, 503 in preread"):
        ask(kong.response.exit, status, phase="preread")


def test_a_stream_ends_with_one_of_these() -> None:
    calls, _ = ask(kong.response.exit, 403, "no", phase="preread")
    assert calls == [("kong.response.exit", (403, "no"))]


UNUSABLE = [
    (lambda: kong.response.get_raw_body(), "use kong.service.response.get_raw_body"),
    (lambda: kong.response.set_raw_body("x"), "use kong.response.exit"),
    (lambda: kong.service.set_tls_cert_key(1, 2), "takes an object of Lua"),
    (lambda: kong.service.set_tls_verify_store(1), "takes an object of Lua"),
    (lambda: kong.websocket.client.get_frame(), "kong.websocket.client.get_frame works only"),
    (lambda: kong.websocket.client.set_frame_data("x"), "WebSocket phases"),
    (lambda: kong.websocket.client.set_status(1000), "WebSocket phases"),
    (lambda: kong.websocket.upstream.drop_frame(), "kong.websocket.upstream.drop_frame works"),
    (lambda: kong.websocket.upstream.close(), "WebSocket phases"),
    (lambda: kong.websocket.upstream.set_max_payload_size(1), "WebSocket phases"),
]


@pytest.mark.parametrize(("call", "words"), UNUSABLE)
def test_functions_that_no_plugin_server_can_use(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(PhaseError) as raised:
        ask(call)
    assert words in str(raised.value)
    assert raised.value.calls == []  # type: ignore[attr-defined]


def test_a_phase_that_does_not_offer_the_function() -> None:
    for name, function in FUNCTIONS.items():
        for phase in {"certificate", "rewrite", "access", "response", "preread", "log"}:
            if phase not in function.phases:
                with pytest.raises(PhaseError) as raised:
                    ask(kong.call, name, phase=phase)
                assert name in str(raised.value)
                assert raised.value.calls == []  # type: ignore[attr-defined]


def test_call_drops_trailing_nones() -> None:
    calls, result = ask(kong.call, "kong.of.tomorrow", "a", 1, None, None, answers=[{"b": []}])
    assert calls == [("kong.of.tomorrow", ("a", 1))]
    assert result == {"b": []}


@pytest.mark.parametrize(("pattern", "count"), SEEN_ON_LUAJIT.items())
def test_call_refuses_only_the_nones_that_cut(pattern: str, count: int) -> None:
    args = [None if letter == "_" else place for place, letter in enumerate(pattern)]
    if count == len(pattern):
        calls, _ = ask(kong.call, "kong.of.tomorrow", *args)
        assert calls == [("kong.of.tomorrow", tuple(args))]
    else:
        with pytest.raises(ValueError, match="where Kong would cut the arguments off") as raised:
            ask(kong.call, "kong.of.tomorrow", *args)
        assert raised.value.calls == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["kong.response.exit", "kong.response.error"])
def test_call_does_not_come_back_from_exit(name: str) -> None:
    after: list[str] = []

    def handler() -> None:
        kong.call(name, 403, "no")
        after.append("here")

    calls, ending, failures = drive(handler)
    assert (calls, failures, after) == ([], [], [])
    assert ending.call == (name, (403, "no"))


def test_step_error_reaches_the_caller() -> None:
    with pytest.raises(PDKError, match="no route"):
        ask(kong.router.get_route, answers=[PDKError("no route")])


PLAIN = st.recursive(
    st.one_of(
        st.text(st.characters(codec="utf-8")),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
        st.binary(),
    ),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(PLAIN)
def test_plain_values_are_sent_as_they_are(value: Any) -> None:
    sent = to_lua(value, "value")
    assert sent == value
    assert msgpack.unpackb(msgpack.packb(sent)) == value


JSON = st.recursive(
    st.one_of(
        st.text(),
        st.booleans(),
        st.none(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def through_lua(value: Any) -> Any:
    """What comes out of Kong's JSON encoder when this value was sent as a table."""
    if isinstance(value, dict):
        return {key: through_lua(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [through_lua(item) for item in value] if value else {}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(f"{float(value):.14g}")
    return value


@given(st.dictionaries(st.text(), JSON) | st.lists(JSON))
def test_a_json_body_says_what_was_given(value: Any) -> None:
    try:
        converted = to_jsonable(value, "body")
    except ValueError as error:
        assert "surrogate" in str(error)
        return
    assert converted == value
    if survives_lua(converted):
        assert through_lua(converted) == value
    assert json.loads(json_text(converted)) == value
