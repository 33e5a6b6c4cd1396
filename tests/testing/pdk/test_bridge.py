"""ProtoBuf:1's bridge to the PDK, against what Kong's own did: see pluginserver/testing/pdk/bridge.py."""

from __future__ import annotations

from typing import Any

import pytest

from pluginserver.rpc.protobuf import messages as ours
from pluginserver.spec.functions import FUNCTIONS as PDK
from pluginserver.spec.protobuf import FUNCTIONS
from pluginserver.testing.kong.lua import NULL, LuaError
from pluginserver.testing.pdk import TABLE, bridge
from pluginserver.testing.pdk.bridge import BodyResult

CAPTURES = "kong.request.get_uri_captures"


def test_a_row_for_each_message_and_a_function_behind_each_name() -> None:
    assert {one.argument for one in FUNCTIONS.values()} == set(bridge.UNWRAP)
    assert {one.result for one in FUNCTIONS.values()} == set(bridge.WRAP)
    assert len(FUNCTIONS) == 74
    assert set(FUNCTIONS) <= set(TABLE) & set(PDK)


@pytest.mark.parametrize(
    ("name", "data", "args"),
    [
        ("kong.request.get_method", "", ()),
        ("kong.request.get_header", "", ("",)),
        ("kong.request.get_header", "0a04686f7374", ("host",)),
        ("kong.request.get_headers", "", (0,)),
        ("kong.request.get_headers", "0864", (100,)),
        ("kong.client.get_protocol", "", (False,)),
        ("kong.client.get_protocol", "0801", (True,)),
        ("kong.ctx.shared.set", "0a016b", ("k", None)),
        ("kong.ctx.shared.set", "0a016b1200", ("k", None)),
        ("kong.ctx.shared.set", "0a016b12020800", ("k", "NULL_VALUE")),
        ("kong.ctx.shared.set", "0a016b12022000", ("k", None)),
        ("kong.ctx.shared.set", "0a016b12022001", ("k", True)),
        ("kong.ctx.shared.set", "0a016b1209110000000000000000", ("k", 0)),
        ("kong.ctx.shared.set", "0a016b12021a00", ("k", "")),
        ("kong.ctx.shared.set", "0a016b12022a00", ("k", [])),
        ("kong.ctx.shared.set", "0a016b12023200", ("k", [])),
        ("kong.log.err", "0a031a01780a001a0179", ("x",)),
        ("kong.log.err", "0a031a01780a000a031a0179", ("x",)),
        ("kong.log.err", "0a031a01780a031a0179", ("x", "y")),
        ("kong.log.err", "", ()),
        ("kong.response.exit", "08c901", (201, "", None)),
        ("kong.response.exit", "08c90112016f1a00", (201, "o", [])),
        ("kong.response.exit", "", (0, "", None)),
        ("kong.service.set_target", "0a0168", ("h", 0)),
        ("kong.client.load_consumer", "0a0169", ("i", False)),
        ("kong.client.authenticate", "", (None, None)),
        (
            "kong.client.authenticate",
            "0a00",
            ({"id": "", "created_at": 0, "username": "", "custom_id": "", "tags": []}, None),
        ),
        ("kong.client.authenticate", "12030a016b", (None, {"id": "k", "consumer_id": ""})),
        ("kong.service.request.set_raw_body", "0a01ff", ("\udcff",)),
    ],
)
def test_what_a_function_is_called_with(name: str, data: str, args: tuple[Any, ...]) -> None:
    found = bridge.arguments(name, bytes.fromhex(data))
    assert found == args
    assert [type(one) for one in found] == [type(one) for one in args]


def test_tables_that_a_function_is_called_with() -> None:
    given = {"a": "1", "b": ["x", "y"], "c": [1.0, {"d": True}], "e": None, "f": [False, "z"]}
    data = ours.encode("Struct", given)
    wanted = {"a": "1", "b": ["x", "y"], "c": [1, {"d": True}], "f": {2: "z"}}
    assert bridge.arguments("kong.response.set_headers", data) == (wanted,)


@pytest.mark.parametrize(
    ("name", "value", "data"),
    [
        ("kong.request.get_header", None, ""),
        ("kong.request.get_header", "", ""),
        ("kong.request.get_header", "a", "0a0161"),
        ("kong.nginx.set_ctx", "whatever", ""),
        ("kong.response.set_header", True, ""),
        ("kong.response.get_status", None, ""),
        ("kong.response.get_status", 0, ""),
        ("kong.response.get_status", 200, "08c801"),
        ("kong.ip.is_trusted", True, "0801"),
        ("kong.ip.is_trusted", False, "0800"),
        ("kong.service.set_upstream", None, ""),
        ("kong.ctx.shared.get", None, "0801"),
        ("kong.ctx.shared.get", NULL, "0801"),
        ("kong.ctx.shared.get", False, "2000"),
        ("kong.ctx.shared.get", 0, "110000000000000000"),
        ("kong.ctx.shared.get", "", "1a00"),
        ("kong.ctx.shared.get", b"\xff", "1a01ff"),
        ("kong.ctx.shared.get", [], "2a00"),
        ("kong.ctx.shared.get", {}, "2a00"),
        ("kong.ctx.shared.get", ["a"], "32050a031a0161"),
        ("kong.ctx.shared.get", {1: "a", "k": "lost"}, "32050a031a0161"),
        ("kong.ctx.shared.get", {"k": True}, "2a090a07120220010a016b"),
        ("kong.request.get_query", {"k": True}, "0a07120220010a016b"),
        ("kong.request.get_query", [], ""),
        ("kong.client.get_consumer", None, ""),
        ("kong.client.get_consumer", {}, ""),
        ("kong.client.get_consumer", {"id": "c", "custom": {"a": 1}}, "0a0163"),
        ("kong.client.get_credential", {"id": "k", "key": "secret"}, "0a016b"),
        ("kong.router.get_route", {"headers": {"x": ["1"]}, "expression": "e"}, ""),
        ("kong.router.get_route", {"service": {"id": "s"}}, "9201030a0173"),
        ("kong.request.get_raw_body", None, ""),
        ("kong.request.get_raw_body", b"", "0a00"),
        ("kong.request.get_raw_body", BodyResult(file="/f"), "12022f66"),
        ("kong.request.get_raw_body", BodyResult(error="e"), "1a0165"),
        (CAPTURES, {"unnamed": {}, "named": {}}, ""),
        (CAPTURES, {"unnamed": {1: "a", 2: "b"}, "named": {}}, "0a01610a0162"),
        (CAPTURES, {"unnamed": {0: "x"}, "named": {"n": "a"}}, "1206120161" + "0a016e"),
    ],
)  # fmt: skip
def test_what_a_result_becomes(name: str, value: Any, data: str) -> None:
    assert bridge.result(name, value).hex() == data


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("kong.request.get_query_arg", True, "string expected for field 'v', got boolean"),
        ("kong.nginx.get_var", 5, "string expected for field 'v', got number"),
        ("kong.request.get_headers", None, "table expected, got nil"),
        ("kong.router.get_route", {"sources": [{"ip": "1.2.3.4"}]}, "string expected"),
        ("kong.response.get_status", "x", "number expected"),
        ("kong.client.get_consumer", {"tags": "x"}, "table expected"),
    ],
)
def test_what_ends_the_request(name: str, value: Any, words: str) -> None:
    with pytest.raises(LuaError, match=words):
        bridge.result(name, value)


def test_an_argument_that_is_not_the_message() -> None:
    with pytest.raises(LuaError, match="type mismatch"):
        bridge.arguments("kong.request.get_header", b"\x08\x01")
