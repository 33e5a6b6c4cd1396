"""Every function of the PDK: what leaves for Kong, and what becomes of Kong's answer.

The table is played twice, by hand and over a server's socket.  The answers are as Kong's own client
sends them: nothing at all for nil, an empty list for an empty table, a list for each value of a
multi-map, text for bytes that are no UTF-8, floats where Lua has no integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from support.client import Client
from support.driving import ask

from pluginserver import Kong, PluginServer, kong
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

UUID = "3f2b4c5d-0000-4000-8000-00000000000a"
LATIN = "caf\udce9"
"""``café`` in Latin-1, as it comes out of bytes that are no UTF-8."""


class Absent:
    """Kong's answer without ``Data``, which is how it sends nil."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()


@attrs.frozen
class Case:
    """One call.

    :param name: the function that must leave for Kong.
    :param call: makes the call.
    :param sent: the arguments that must leave.
    :param answer: what Kong answers.
    :param result: what the function must return.
    """

    name: str
    call: Callable[[], Any]
    sent: list[Any]
    answer: Any = ABSENT
    result: Any = None

    @property
    def phase(self) -> str:
        phases = FUNCTIONS[self.name].phases
        return "access" if "access" in phases else min(phases)


CONSUMER = {"id": UUID, "username": "ann", "created_at": 1700000000, "tags": ["a"]}
CREDENTIAL = {"id": UUID, "consumer": {"id": UUID}, "key": "secret", "tags": []}
ROUTE = {
    "id": UUID,
    "name": "r",
    "paths": ["/a"],
    "headers": [],
    "methods": [],
    "strip_path": True,
    "preserve_host": False,
    "regex_priority": 0.0,
    "https_redirect_status_code": 426.0,
    "service": {"id": UUID},
    "created_at": 1.7e9,
    "of_tomorrow": {"x": 1},
}
SERVICE = {"id": UUID, "host": "up.local", "port": 80.0, "ca_certificates": {}}

HTTP = kong.request
OUT = kong.response
UP = kong.service.request

CASES = [
    Case("kong.client.get_ip", kong.client.get_ip, [], "10.0.0.1", "10.0.0.1"),
    Case("kong.client.get_forwarded_ip", kong.client.get_forwarded_ip, [], "::1", "::1"),
    Case("kong.client.get_port", kong.client.get_port, [], 40000, 40000),
    Case("kong.client.get_port", kong.client.get_port, [], 40000.0, 40000),
    Case("kong.client.get_forwarded_port", kong.client.get_forwarded_port, [], 443, 443),
    Case("kong.client.get_credential", kong.client.get_credential, []),
    Case(
        "kong.client.get_credential",
        kong.client.get_credential,
        [],
        CREDENTIAL,
        Credential(id=UUID, consumer=Consumer(id=UUID), tags=[], extra={"key": "secret"}),
    ),
    Case("kong.client.load_consumer", lambda: kong.client.load_consumer(UUID), [UUID]),
    Case(
        "kong.client.load_consumer",
        lambda: kong.client.load_consumer("ann", search_by_username=True),
        ["ann", True],
        CONSUMER,
        Consumer(id=UUID, username="ann", created_at=1700000000, tags=["a"]),
    ),
    Case("kong.client.get_consumer", kong.client.get_consumer, []),
    Case("kong.client.get_consumer", kong.client.get_consumer, [], [], Consumer()),
    Case("kong.client.authenticate", lambda: kong.client.authenticate(CONSUMER), [CONSUMER]),
    Case(
        "kong.client.authenticate",
        lambda: kong.client.authenticate(
            Consumer(id=UUID, extra={"type": 0}), Credential(id=UUID, consumer=Consumer(id=UUID))
        ),
        [{"id": UUID, "type": 0}, {"id": UUID, "consumer": {"id": UUID}}],
    ),
    Case(
        "kong.client.authenticate",
        lambda: kong.client.authenticate(None, Credential(id=UUID)),
        [None, {"id": UUID}],
    ),
    Case("kong.client.get_protocol", kong.client.get_protocol, [], "https", "https"),
    Case("kong.client.get_protocol", lambda: kong.client.get_protocol(True), [True]),
    Case("kong.client.get_consumer_group", kong.client.get_consumer_group, []),
    Case("kong.client.get_consumer_group", kong.client.get_consumer_group, [], [], {}),
    Case("kong.client.get_consumer_groups", kong.client.get_consumer_groups, []),
    Case(
        "kong.client.get_consumer_groups",
        kong.client.get_consumer_groups,
        [],
        [{"name": "gold"}],
        [{"name": "gold"}],
    ),
    Case(
        "kong.client.set_authenticated_consumer_group",
        lambda: kong.client.set_authenticated_consumer_group({"id": UUID, "name": "gold"}),
        [{"id": UUID, "name": "gold"}],
    ),
    Case(
        "kong.client.set_authenticated_consumer_group",
        kong.client.set_authenticated_consumer_group,
        [],
    ),
    Case(
        "kong.client.set_authenticated_consumer_groups",
        lambda: kong.client.set_authenticated_consumer_groups([{"name": "gold"}]),
        [[{"name": "gold"}]],
    ),
    Case(
        "kong.client.set_authenticated_consumer_groups",
        kong.client.set_authenticated_consumer_groups,
        [],
    ),
    Case(
        "kong.client.authenticate_consumer_group_by_consumer_id",
        lambda: kong.client.authenticate_consumer_group_by_consumer_id(UUID),
        [UUID],
    ),
    Case(
        "kong.client.authenticate_consumer_group_by_consumer_id",
        kong.client.authenticate_consumer_group_by_consumer_id,
        [],
    ),
    Case(
        "kong.client.tls.request_client_certificate",
        kong.client.tls.request_client_certificate,
        [],
        True,
        True,
    ),
    Case(
        "kong.client.tls.disable_session_reuse",
        kong.client.tls.disable_session_reuse,
        [],
        True,
        True,
    ),
    Case(
        "kong.client.tls.get_full_client_certificate_chain",
        kong.client.tls.get_full_client_certificate_chain,
        [],
    ),
    Case(
        "kong.client.tls.set_client_verify",
        lambda: kong.client.tls.set_client_verify("FAILED:too old"),
        ["FAILED:too old"],
    ),
    Case("kong.cluster.get_id", kong.cluster.get_id, [], UUID, UUID),
    Case("kong.ctx.shared.get", lambda: kong.ctx.shared.get("k"), ["k"], [1, 2], [1, 2]),
    Case(
        "kong.ctx.shared.get", lambda: kong.ctx.shared.get("k", "default"), ["k"], result="default"
    ),
    Case("kong.ctx.shared.get", lambda: kong.ctx.shared.get("k", "default"), ["k"], False, False),
    Case("kong.ctx.shared.set", lambda: kong.ctx.shared.set("k", {"a": [1]}), ["k", {"a": [1]}]),
    Case("kong.ctx.shared.set", lambda: kong.ctx.shared.set("k", b"\xff"), ["k", b"\xff"]),
    Case("kong.ctx.shared.set", lambda: kong.ctx.shared.set("k"), ["k"]),
    Case("kong.ip.is_trusted", lambda: kong.ip.is_trusted("10.0.0.1"), ["10.0.0.1"], False, False),
    Case("kong.log", lambda: kong.log("a", 1, None, {"b": [True]}), ["a 1 None {'b': [True]}"]),
    Case("kong.log", lambda: kong.log(), [""]),
    Case("kong.log.debug", lambda: kong.log.debug("d"), ["d"]),
    Case("kong.log.info", lambda: kong.log.info("i"), ["i"]),
    Case("kong.log.notice", lambda: kong.log.notice(LATIN), [LATIN]),
    Case("kong.log.warn", lambda: kong.log.warn("w", {1}), ["w {1}"]),
    Case("kong.log.err", lambda: kong.log.err("e", float("nan")), ["e nan"]),
    Case("kong.log.crit", lambda: kong.log.crit("c", 2**70), ["c 1180591620717411303424"]),
    Case("kong.log.alert", lambda: kong.log.alert("a\nb"), ["a\nb"]),
    Case("kong.log.emerg", lambda: kong.log.emerg("\ud800"), ["\\ud800"]),
    Case("kong.log.deprecation", lambda: kong.log.deprecation("old", 1), ["old 1"]),
    Case(
        "kong.log.deprecation",
        lambda: kong.log.deprecation("old", after="1.0", removal="2.0", trace=True),
        ["old", {"after": "1.0", "removal": "2.0", "trace": True}],
    ),
    Case(
        "kong.log.inspect",
        lambda: kong.log.inspect("a", 1, {"b": [2]}, None),
        ["a", 1, {"b": [2]}, "None"],
    ),
    Case("kong.log.inspect", lambda: kong.log.inspect(), [""]),
    Case(
        "kong.log.set_serialize_value",
        lambda: kong.log.set_serialize_value("my.field", {"a": 1}),
        ["my.field", {"a": 1}],
    ),
    Case(
        "kong.log.set_serialize_value",
        lambda: kong.log.set_serialize_value("my.field", 1, mode="add"),
        ["my.field", 1, {"mode": "add"}],
    ),
    Case(
        "kong.log.set_serialize_value",
        lambda: kong.log.set_serialize_value("my.field"),
        ["my.field"],
    ),
    Case(
        "kong.log.serialize",
        kong.log.serialize,
        [],
        '{"request": {"uri": "/", "querystring": {}}, "tries": []}',
        {"request": {"uri": "/", "querystring": {}}, "tries": []},
    ),
    Case("kong.nginx.get_var", lambda: kong.nginx.get_var("https"), ["https"], "on", "on"),
    Case("kong.nginx.get_var", lambda: kong.nginx.get_var("nothing"), ["nothing"]),
    Case(
        "kong.nginx.get_tls1_version_str",
        kong.nginx.get_tls1_version_str,
        [],
        "TLSv1.3",
        "TLSv1.3",
    ),
    Case("kong.nginx.get_ctx", lambda: kong.nginx.get_ctx("k"), ["k"], {"a": 1}, {"a": 1}),
    Case("kong.nginx.get_ctx", lambda: kong.nginx.ctx.get("k", 5), ["k"], result=5),
    Case("kong.nginx.set_ctx", lambda: kong.nginx.set_ctx("k", 1.5), ["k", 1.5]),
    Case("kong.nginx.set_ctx", lambda: kong.nginx.set_ctx("k"), ["k"]),
    Case("kong.nginx.req_start_time", kong.nginx.req_start_time, [], 1.5, 1.5),
    Case("kong.nginx.get_subsystem", kong.nginx.get_subsystem, [], "http", "http"),
    Case(
        "kong.nginx.get_statistics",
        kong.nginx.get_statistics,
        [],
        {"total_requests": 7, "connections_active": 2.0},
        {"total_requests": 7, "connections_active": 2},
    ),
    Case("kong.node.get_id", kong.node.get_id, [], UUID, UUID),
    Case("kong.node.get_hostname", kong.node.get_hostname, [], "kong-1", "kong-1"),
    Case(
        "kong.node.get_memory_stats",
        kong.node.get_memory_stats,
        [],
        {
            "lua_shared_dicts": {"kong": {"capacity": 1e6, "allocated_slabs": 5}},
            "workers_lua_vms": [{"pid": 7, "http_allocated_gc": 1024.0}, {"pid": 8, "err": "x"}],
        },
        MemoryStats(
            lua_shared_dicts={"kong": SharedDict(capacity=1000000, allocated_slabs=5)},
            workers_lua_vms=[
                WorkerVM(pid=7, http_allocated_gc=1024),
                WorkerVM(pid=8, err="x"),
            ],
        ),
    ),
    Case(
        "kong.node.get_memory_stats",
        lambda: kong.node.get_memory_stats("m"),
        ["m"],
        {"lua_shared_dicts": [], "workers_lua_vms": []},
        MemoryStats(),
    ),
    Case(
        "kong.node.get_memory_stats",
        lambda: kong.node.get_memory_stats(scale=1),
        ["b", 1],
        result=MemoryStats(),
    ),
    Case("kong.plugin.get_id", kong.plugin.get_id, [], UUID, UUID),
    Case("kong.request.get_scheme", HTTP.get_scheme, [], "https", "https"),
    Case("kong.request.get_host", HTTP.get_host, [], LATIN, LATIN),
    Case("kong.request.get_port", HTTP.get_port, [], 8443.0, 8443),
    Case("kong.request.get_forwarded_scheme", HTTP.get_forwarded_scheme, [], "http", "http"),
    Case("kong.request.get_forwarded_host", HTTP.get_forwarded_host, [], "a.org", "a.org"),
    Case("kong.request.get_forwarded_port", HTTP.get_forwarded_port, [], 80, 80),
    Case("kong.request.get_forwarded_path", HTTP.get_forwarded_path, [], "/a", "/a"),
    Case("kong.request.get_forwarded_prefix", HTTP.get_forwarded_prefix, []),
    Case("kong.request.get_http_version", HTTP.get_http_version, [], 1.1, 1.1),
    Case("kong.request.get_http_version", HTTP.get_http_version, [], 2, 2.0),
    Case("kong.request.get_method", HTTP.get_method, [], "GET", "GET"),
    Case("kong.request.get_path", HTTP.get_path, [], f"/{LATIN}", f"/{LATIN}"),
    Case("kong.request.get_raw_path", HTTP.get_raw_path, [], "/%61", "/%61"),
    Case("kong.request.get_path_with_query", HTTP.get_path_with_query, [], "/t?", "/t?"),
    Case("kong.request.get_raw_query", HTTP.get_raw_query, [], "", ""),
    Case("kong.request.get_query_arg", lambda: HTTP.get_query_arg("a"), ["a"], "1", "1"),
    Case("kong.request.get_query_arg", lambda: HTTP.get_query_arg("a"), ["a"], True, True),
    Case("kong.request.get_query_arg", lambda: HTTP.get_query_arg("a"), ["a"], "", ""),
    Case("kong.request.get_query_arg", lambda: HTTP.get_query_arg("a"), ["a"]),
    Case("kong.request.get_query_arg", lambda: HTTP.get_query_arg("a"), ["a"], ["1", "2"], "1"),
    Case("kong.request.get_query_arg", lambda: HTTP.get_query_arg("a"), ["a"], [], True),
    Case(
        "kong.request.get_query",
        HTTP.get_query,
        [],
        {"a": ["1", "2"], "b": [], "c": [""], "A": [LATIN]},
        Query({"a": ["1", "2"], "b": True, "c": "", "A": LATIN}),
    ),
    Case("kong.request.get_query", lambda: HTTP.get_query(5), [5], {}, Query()),
    Case("kong.request.get_header", lambda: HTTP.get_header("Host"), ["Host"], "a.org", "a.org"),
    Case("kong.request.get_header", lambda: HTTP.get_header("x"), ["x"], LATIN, LATIN),
    Case("kong.request.get_header", lambda: HTTP.get_header("é"), ["é"]),
    Case(
        "kong.request.get_headers",
        HTTP.get_headers,
        [],
        {"host": ["a.org"], "x-a": ["1", LATIN], "_method": ["x"]},
        Headers({"host": "a.org", "x-a": ["1", LATIN], "_method": "x"}),
    ),
    Case("kong.request.get_headers", lambda: HTTP.get_headers(1000), [1000], {}, Headers()),
    Case("kong.request.get_raw_body", HTTP.get_raw_body, [0], b"\xff\x00", b"\xff\x00"),
    Case("kong.request.get_raw_body", lambda: HTTP.get_raw_body(10), [10], "é", b"\xc3\xa9"),
    Case("kong.request.get_raw_body", HTTP.get_raw_body, [0], result=b""),
    Case("kong.request.get_body", HTTP.get_body, [False, 100, 0]),
    Case(
        "kong.request.get_body",
        lambda: HTTP.get_body("application/json", 5, 1000),
        ["application/json", 5, 1000],
        {"a": None, "b": [1.5], "_method": "x"},
        {"a": None, "b": [1.5], "_method": "x"},
    ),
    Case("kong.request.get_body", HTTP.get_body, [False, 100, 0], [], {}),
    Case("kong.request.get_body", HTTP.get_body, [False, 100, 0], [{"a": 1}], [{"a": 1}]),
    Case("kong.request.get_start_time", HTTP.get_start_time, [], 1.7e12, 1700000000000),
    Case("kong.request.get_start_time", HTTP.get_start_time, [], 1700000000000, 1700000000000),
    Case("kong.request.get_uri_captures", HTTP.get_uri_captures, [], [], {}),
    Case(
        "kong.request.get_uri_captures",
        HTTP.get_uri_captures,
        [],
        {0: "/a/7", 1: "7", "id": "7"},
        {0: "/a/7", 1: "7", "id": "7"},
    ),
    Case(
        "kong.request.get_uri_captures",
        HTTP.get_uri_captures,
        [],
        {"unnamed": {0: "/a/7", 1: "7"}, "named": {"id": "7"}},
        {0: "/a/7", 1: "7", "id": "7"},
    ),
    Case(
        "kong.request.get_uri_captures",
        HTTP.get_uri_captures,
        [],
        {"unnamed": ["7"], "named": []},
        {1: "7"},
    ),
    Case("kong.response.get_status", OUT.get_status, [], 200.0, 200),
    Case("kong.response.get_header", lambda: OUT.get_header("x"), ["x"], "1", "1"),
    Case("kong.response.get_header", lambda: OUT.get_header("é"), ["é"]),
    Case("kong.response.get_headers", OUT.get_headers, [], {"x": ["1"]}, Headers({"x": "1"})),
    Case("kong.response.get_headers", lambda: OUT.get_headers(3), [3], [], Headers()),
    Case("kong.response.get_source", OUT.get_source, [], "service", "service"),
    Case("kong.response.set_status", lambda: OUT.set_status(404), [404]),
    Case("kong.response.set_header", lambda: OUT.set_header("x", "1"), ["x", "1"]),
    Case("kong.response.set_header", lambda: OUT.set_header("x", LATIN), ["x", LATIN]),
    Case("kong.response.set_header", lambda: OUT.set_header("x", b"\xe9"), ["x", b"\xe9"]),
    Case("kong.response.set_header", lambda: OUT.set_header("x", 5), ["x", 5]),
    Case("kong.response.set_header", lambda: OUT.set_header("x", True), ["x", True]),
    Case("kong.response.set_header", lambda: OUT.set_header("x", 1.5), ["x", 1.5]),
    Case("kong.response.set_header", lambda: OUT.set_header("x", 2**60), ["x", str(2**60)]),
    Case(
        "kong.response.set_header",
        lambda: OUT.set_header("x", ["a", b"b", 1, 2.0, 2.5, True, False, 2**60]),
        ["x", ["a", b"b", "1", "2", "2.5", "true", "false", str(2**60)]],
    ),
    Case("kong.response.add_header", lambda: OUT.add_header("x", ("1", "2")), ["x", ["1", "2"]]),
    Case("kong.response.clear_header", lambda: OUT.clear_header("x"), ["x"]),
    Case(
        "kong.response.set_headers",
        lambda: OUT.set_headers({"a": "1", "b": [2], "A": "3"}),
        [{"b": ["2"], "A": "3"}],
    ),
    Case(
        "kong.response.set_headers",
        lambda: OUT.set_headers(Headers({"a": ["1", "2"]})),
        [{"a": ["1", "2"]}],
    ),
    Case("kong.response.exit", lambda: OUT.exit(204), [204]),
    Case("kong.response.exit", lambda: OUT.exit(200, "hello é"), [200, "hello é"]),
    Case("kong.response.exit", lambda: OUT.exit(200, b"\xff"), [200, b"\xff"]),
    Case("kong.response.exit", lambda: OUT.exit(200, {"a": 1}), [200, {"a": 1}]),
    Case("kong.response.exit", lambda: OUT.exit(200, [{"a": 1}]), [200, [{"a": 1}]]),
    Case("kong.response.exit", lambda: OUT.exit(401, headers={"a": "1"}), [401, "", {"a": "1"}]),
    Case("kong.response.exit", lambda: OUT.exit(401, "", {}), [401, ""]),
    Case("kong.response.exit", lambda: OUT.exit(200, {}, {"a": 1}), [200, {}, {"a": 1}]),
    Case("kong.response.error", lambda: OUT.error(404), [404]),
    Case("kong.response.error", lambda: OUT.error(404, "no"), [404, "no"]),
    Case("kong.response.error", lambda: OUT.error(404, {"a": 1}), [404, {"a": 1}]),
    Case("kong.response.error", lambda: OUT.error(404, {"a": []}), [404, '{"a":[]}']),
    Case(
        "kong.response.error",
        lambda: OUT.error(404, headers={"a": "1"}),
        [404, "Not found", {"a": "1"}],
    ),
    Case(
        "kong.response.error",
        lambda: OUT.error(498, headers={"content_type": "text/html"}),
        [498, "The upstream server responded with 498", {"Content-Type": "text/html"}],
    ),
    Case("kong.router.get_route", kong.router.get_route, []),
    Case(
        "kong.router.get_route",
        kong.router.get_route,
        [],
        ROUTE,
        Route(
            id=UUID,
            name="r",
            paths=["/a"],
            headers={},
            methods=[],
            strip_path=True,
            preserve_host=False,
            regex_priority=0,
            https_redirect_status_code=426,
            service=Service(id=UUID),
            created_at=1700000000,
            extra={"of_tomorrow": {"x": 1}},
        ),
    ),
    Case("kong.router.get_service", kong.router.get_service, []),
    Case(
        "kong.router.get_service",
        kong.router.get_service,
        [],
        SERVICE,
        Service(id=UUID, host="up.local", port=80, ca_certificates=[]),
    ),
    Case("kong.service.set_upstream", lambda: kong.service.set_upstream("up"), ["up"], True, True),
    Case("kong.service.set_upstream", lambda: kong.service.set_upstream("up"), ["up"]),
    Case("kong.service.set_target", lambda: kong.service.set_target("h", 80), ["h", 80]),
    Case("kong.service.set_retries", lambda: kong.service.set_retries(0), [0]),
    Case("kong.service.set_timeouts", lambda: kong.service.set_timeouts(1, 2, 3), [1, 2, 3]),
    Case(
        "kong.service.set_tls_verify",
        lambda: kong.service.set_tls_verify(False),
        [False],
        True,
        True,
    ),
    Case("kong.service.set_tls_verify_depth", lambda: kong.service.set_tls_verify_depth(2), [2]),
    Case("kong.service.request.enable_buffering", UP.enable_buffering, []),
    Case("kong.service.request.set_scheme", lambda: UP.set_scheme("https"), ["https"]),
    Case("kong.service.request.set_path", lambda: UP.set_path("/é"), ["/é"]),
    Case("kong.service.request.set_raw_query", lambda: UP.set_raw_query("a=1&b"), ["a=1&b"]),
    Case("kong.service.request.set_method", lambda: UP.set_method("POST"), ["POST"]),
    Case(
        "kong.service.request.set_query",
        lambda: UP.set_query({"a": "1", "b": True, "c": ["x", True]}),
        [{"a": "1", "b": True, "c": ["x", True]}],
    ),
    Case(
        "kong.service.request.set_query",
        lambda: UP.set_query(Query({"a": ["1", "2"], "b": True})),
        [{"a": ["1", "2"], "b": [True]}],
    ),
    Case("kong.service.request.clear_query_arg", lambda: UP.clear_query_arg("a"), ["a"]),
    Case("kong.service.request.set_header", lambda: UP.set_header("Host", "h"), ["Host", "h"]),
    Case("kong.service.request.set_header", lambda: UP.set_header("x", [1]), ["x", ["1"]]),
    Case("kong.service.request.set_header", lambda: UP.set_header("é", LATIN), ["é", LATIN]),
    Case("kong.service.request.add_header", lambda: UP.add_header("x", "1"), ["x", "1"]),
    Case("kong.service.request.clear_header", lambda: UP.clear_header("x"), ["x"]),
    Case("kong.service.request.set_headers", lambda: UP.set_headers({}), [{}]),
    Case("kong.service.request.set_raw_body", lambda: UP.set_raw_body("é"), ["é"]),
    Case(
        "kong.service.request.set_raw_body", lambda: UP.set_raw_body(bytearray(b"\xff")), [b"\xff"]
    ),
    Case(
        "kong.service.request.set_body",
        lambda: UP.set_body({"a": 1}, "application/json"),
        [{"a": 1}, "application/json"],
        True,
        True,
    ),
    Case(
        "kong.service.request.set_body",
        lambda: UP.set_body({"a": ["x", True]}, "application/x-www-form-urlencoded"),
        [{"a": ["x", True]}, "application/x-www-form-urlencoded"],
    ),
    Case("kong.service.request.disable_tls", UP.disable_tls, [], True, True),
    Case("kong.service.response.get_status", kong.service.response.get_status, []),
    Case("kong.service.response.get_status", kong.service.response.get_status, [], 502.0, 502),
    Case(
        "kong.service.response.get_header",
        lambda: kong.service.response.get_header("x"),
        ["x"],
        "1",
        "1",
    ),
    Case(
        "kong.service.response.get_headers", kong.service.response.get_headers, [], {}, Headers()
    ),
    Case(
        "kong.service.response.get_headers",
        lambda: kong.service.response.get_headers(1),
        [1],
        {"x": ["1"]},
        Headers({"x": "1"}),
    ),
    Case(
        "kong.service.response.get_raw_body",
        kong.service.response.get_raw_body,
        [],
        b"\x00",
        b"\x00",
    ),
    Case("kong.service.response.get_body", kong.service.response.get_body, [False, 100], [], {}),
    Case(
        "kong.service.response.get_body",
        lambda: kong.service.response.get_body("application/json", 7),
        ["application/json", 7],
    ),
    Case(
        "kong.telemetry.log",
        lambda: kong.telemetry.log("p", {}, "t", attributes={"a": 1}),
        ["p", {}, "t", "", {"a": 1}],
    ),
    Case(
        "kong.telemetry.log",
        lambda: kong.telemetry.log("p", {"__plugin_id": UUID}, "t", "m"),
        ["p", {"__plugin_id": UUID}, "t", "m"],
        True,
        True,
    ),
    Case(
        "kong.vault.get", lambda: kong.vault.get("{vault://env/k}"), ["{vault://env/k}"], "s", "s"
    ),
    Case("kong.vault.is_reference", lambda: kong.vault.is_reference("x"), ["x"], False, False),
    Case("kong.vault.parse_reference", lambda: kong.vault.parse_reference("x"), ["x"]),
    Case(
        "kong.vault.parse_reference",
        lambda: kong.vault.parse_reference("{vault://env/k}"),
        ["{vault://env/k}"],
        {"name": "env", "resource": "k", "config": [], "version": 1},
        {"name": "env", "resource": "k", "config": {}, "version": 1},
    ),
    Case(
        "kong.vault.parse_reference",
        lambda: kong.vault.parse_reference("{vault://env/k}"),
        ["{vault://env/k}"],
        {"name": "env", "resource": "k"},
        {"name": "env", "resource": "k"},
    ),
    Case(
        "kong.vault.update",
        lambda: kong.vault.update({"k": "old", "$refs": {"k": "{vault://env/k}"}}),
        [{"k": "old", "$refs": {"k": "{vault://env/k}"}}],
        {"k": "new"},
        {"k": "new"},
    ),
    Case(
        "kong.enterprise_edition.jwe.decode",
        lambda: kong.enterprise_edition.jwe.decode("a.b.c.d.e"),
        ["a.b.c.d.e"],
        ["a", "b"],
        ["a", "b"],
    ),
    Case(
        "kong.enterprise_edition.jwe.decrypt",
        lambda: kong.enterprise_edition.jwe.decrypt({"kty": "EC"}, "a.b"),
        [{"kty": "EC"}, "a.b"],
        "plain",
        "plain",
    ),
    Case(
        "kong.enterprise_edition.jwe.encrypt",
        lambda: kong.enterprise_edition.jwe.encrypt("ECDH-ES", "A256GCM", "pem", b"x"),
        ["ECDH-ES", "A256GCM", "pem", b"x"],
    ),
    Case(
        "kong.enterprise_edition.jwe.encrypt",
        lambda: kong.enterprise_edition.jwe.encrypt(
            "ECDH-ES", "A256GCM", "pem", "x", {"zip": "DEF"}
        ),
        ["ECDH-ES", "A256GCM", "pem", "x", {"zip": "DEF"}],
    ),
]

NAMED = pytest.mark.parametrize(
    "case", CASES, ids=[f"{place}-{case.name}" for place, case in enumerate(CASES)]
)


def test_every_usable_function_is_in_the_table() -> None:
    usable = {name for name, function in FUNCTIONS.items() if not function.unusable}
    assert {case.name for case in CASES} == usable


@NAMED
def test_by_hand(case: Case) -> None:
    answer = None if case.answer is ABSENT else case.answer
    calls, result = ask(case.call, answers=[answer], phase=case.phase)
    assert calls == [(case.name, tuple(case.sent))]
    assert result == case.result
    assert type(result) is type(case.result)


name = "every-function"
version = "1.0.0"
priority = 1


class Plugin:
    """Runs the case at hand, in whichever phase Kong asks for."""

    case: Case
    result: Any

    def __init__(self, config: dict[str, Any]) -> None:
        pass

    def access(self, kong: Kong) -> None:
        Plugin.result = Plugin.case.call()

    certificate = rewrite = response = preread = log = access


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, int]]:
    path = Path(tmp_path_factory.mktemp("s")) / "s"
    with PluginServer(path, [Plugin]) as server, Client(server.socket_path) as client:
        yield client, client.start("every-function")


@NAMED
def test_over_the_wire(case: Case, connection: tuple[Client, int]) -> None:
    client, instance = connection
    Plugin.case, Plugin.result = case, None
    out = client.begin(instance, case.phase)
    sent = [_text(argument) for argument in case.sent]
    assert out["Data"]["Method"] == case.name
    assert [_text(argument) for argument in out["Data"]["Args"] or []] == sent
    if FUNCTIONS[case.name].never_returns:
        return
    argument = {"EventId": out["EventId"]}
    if case.answer is not ABSENT:
        argument["Data"] = case.answer
    out = client.call(f"plugin.{FUNCTIONS[case.name].step}", argument)
    assert out["Data"] == "ret"
    assert Plugin.result == case.result


def _text(value: Any) -> Any:
    """A value with bytes as text, as Kong reads it."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
