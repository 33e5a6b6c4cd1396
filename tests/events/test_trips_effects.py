"""Fewer round trips have no other effect: random handlers, in both modes, against the simulated Kong.

Each answer that is remembered is asked for before and after each call that may change it.  Then a state
machine writes a handler for each phase, call by call, and lets two gateways run it: one has every
call travel, the other spares what it can, and learns from request to request.  What the client got, what the
service got, Kong's log, the tables of the request, how each event ended and what each call gave the handler
must be the same.  A handler that is interrupted drops what it has not sent: then Kong must have done what it
would have done had each call travelled, and the handler been interrupted there or somewhat earlier.

Not compared, as it differs by nature: the order in which headers stand that are set together.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from support.cases import CASES

from pluginserver import Kong
from pluginserver.runtime.interrupts import Cancelled
from pluginserver.spec.functions import FUNCTIONS
from pluginserver.testing import Gateway, Response
from pluginserver.testing.kong.lua import LuaError

PHASES = ("rewrite", "access", "response", "log")
NAMES = (
    "x-a",
    "X-A",
    "x_a",
    "X-B",
    "cookie",
    "x-empty",
    "x.odd",
    "Host",
    "absent",
    "content-type",
)
ARGUMENTS = ("a", "A", "b", "c", "a-b", "a_b", "absent", "ä")
HEADERS = (
    *(("X-A", "1"), ("x_a", "2"), ("X-B", "b"), ("X-B", "bb"), ("Cookie", "c=1"), ("X-Empty", "")),
    *(
        ("x.odd", "o"),
        ("Content-Type", "application/json"),
        ("User-Agent", "u"),
        ("Accept", "*/*"),
    ),
)
SET = (*NAMES, "x-c", "x-d", "Transfer-Encoding")
VALUES = ("1", "", "ü", ["a", "b"], ["a"], [], 5, 2.5, True, "a\nb")
PARTS = ("a=1", "a=2", "A=3", "b", "c=", "a-b=1", "a_b=2", "%C3%A4=x", "d=1&e=2&f=3")

UNIQUE = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|event \d+|0x[0-9a-f]+|\b1\d{9}(\d{3}|\.\d+)?\b"
)
"""What is another in each gateway or event: ids, where an object lies, times in seconds and milliseconds."""

Op = tuple[str, tuple[Any, ...]]


def calls(names: str, *arguments: Iterable[Any]) -> list[Op]:
    """Each function with each choice of arguments."""
    return [
        (name, one) for name in names.split() for one in itertools.product(*map(list, arguments))
    ]


OPS: list[Op] = [
    *calls("request.get_header", NAMES) * 2,
    *calls("request.get_query_arg", ARGUMENTS) * 2,
    *calls("request.get_headers request.get_query"),
    *calls("request.get_headers request.get_query", (2, 1000)),
    *calls(
        "request.get_method request.get_path request.get_raw_query request.get_host"
        " request.get_uri_captures request.get_forwarded_host request.get_raw_body client.get_ip"
        " client.get_consumer client.get_credential router.get_route request.get_path_with_query"
        " request.get_forwarded_prefix service.response.get_status response.get_status"
        " response.get_headers response.get_source plugin.get_id"
    ),
    *calls("response.get_header service.response.get_header", NAMES),
    *calls("response.set_header service.request.set_header", SET, ("1", "2")) * 2,
    *calls("response.set_header service.request.set_header", ("x-a", "Host", "x-c"), VALUES),
    *calls("response.add_header service.request.add_header", ("x-a", "x-c"), ("1", ["a", "b"])),
    *calls("response.clear_header service.request.clear_header", ("x-a", "X_A", "x-c")),
    *calls("response.set_headers service.request.set_headers", ({}, {"x-a": "1", "x-c": "2"})),
    *calls("response.set_status", (200, 404)),
    *calls("service.request.set_method", ("POST", "PUT")),
    *calls("service.request.set_raw_query", ("", "a=9&b=8")),
    *calls("service.request.set_path", ("/there",)),
    *calls("service.request.set_raw_body", ("body",)),
    *calls("client.authenticate", ({"id": "i", "username": "ann"},)),
    *calls("log.notice", "xy"),
    *calls("ctx.shared.set nginx.set_ctx", "kl", "12"),
    *calls("ctx.shared.get", "kl"),
    *calls("call", ("kong.request.get_header",), ("x-a", ["x-a"])),
    *calls("call", ("kong.request.get_headers",), (3.0, True)),
    *calls("call", ("kong.response.set_header",), ("x-a",), ("called", {"no": "value"})),
    *calls("call", ("kong.service.request.set_header",), ("host",), (["a", "b"],)),
    *calls("call", ("kong.service.request.set_header", "kong.not.there"), ("x-b",)),
    *calls("call", ("test.throw", "test.silence")),
    *calls("response.exit", (403,)),
    *calls("response.exit", (200,), "x", ({"x-a": "exit"},)),
    *calls("response.error", (418,)),
    *calls("raise"),
]

HANDLERS = st.lists(st.sampled_from(OPS), min_size=2, max_size=6).flatmap(
    lambda some: st.lists(st.sampled_from(some), min_size=3, max_size=14)
)
"""Handlers that call a few functions again and again, since all that is to be found is in what repeats."""


@attrs.define
class Play:
    """What the handlers do, and what they saw."""

    programs: dict[str, list[Op]]
    stop: tuple[str, int] | None = None
    """The phase and place at which the handler is interrupted."""
    seen: list[Any] = attrs.field(factory=list)

    def run(self, kong: Kong, phase: str) -> None:
        for place, (name, arguments) in enumerate(self.programs[phase]):
            self.interrupt(phase, place)
            try:
                self.seen.append((phase, name, shown(self.call(kong, name, arguments))))
            except Exception as error:
                self.seen.append((phase, name, repr(error)))
                if name == "raise":
                    raise
        self.interrupt(phase, len(self.programs[phase]))

    def interrupt(self, phase: str, place: int) -> None:
        if self.stop == (phase, place):
            raise Cancelled("here")

    @staticmethod
    def call(kong: Kong, name: str, arguments: tuple[Any, ...]) -> Any:
        if name == "raise":
            raise RuntimeError("the handler's own")
        found: Any = kong
        for part in name.split("."):
            found = getattr(found, part)
        return found(*arguments)


def shown(answer: Any) -> str:
    """An answer, which the handler then changes as far as it can: the next one must be another."""
    text = masked(repr(answer))
    spoil(answer)
    return text


def spoil(answer: Any) -> None:
    if isinstance(answer, dict):
        for value in answer.values():
            spoil(value)
        answer.clear()
    elif isinstance(answer, list):
        for value in answer:
            spoil(value)
        answer.append("spoilt")
    elif attrs.has(type(answer)):
        for field in attrs.fields(type(answer)):
            spoil(getattr(answer, field.name))


class Side:
    """A gateway in one mode, with its plugin."""

    def __init__(self, round_trips: str, protocol: str) -> None:
        side = self

        class Plugin:
            name = "p"

            def rewrite(self, kong: Kong) -> None:
                side.play.run(kong, "rewrite")

            def access(self, kong: Kong) -> None:
                side.play.run(kong, "access")

            def response(self, kong: Kong) -> None:
                side.play.run(kong, "response")

            def log(self, kong: Kong) -> None:
                side.play.run(kong, "log")
                keys = ("k", "l")
                side.tables = [kong.ctx.shared.get(key) for key in keys]
                side.tables += [kong.nginx.get_ctx(key) for key in keys]

        self.play = Play({})
        self.tables: list[Any] = []
        self.kong = Gateway(round_trips=round_trips, protocol=protocol, raise_bugs=False)
        self.kong.route("~/(?<first>[a-z]+)", strip_path=False)
        self.kong.upstream = lambda _request: Response(
            200, b"hello", [("X-A", "1"), ("X-B", "b"), ("X-B", "bb"), ("x_c", "c")]
        )
        self.kong.functions["test.throw"] = throw
        self.kong.functions["test.silence"] = lambda: None
        self.kong.plugin(Plugin)

    def run(self, play: Play, request: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        """Send a request; gives what Kong did, and what the handlers saw."""
        self.play = play
        self.tables = []
        self.kong.faults.clear()
        self.kong.faults.silence("test.silence")
        self.kong.all_logs.clear()
        response = self.kong.request("GET", **request)
        exchange = self.kong.exchange
        sent = exchange.service_request
        effect = {
            "response": (response.status, headers(response), masked(response.text)),
            "service": sent
            and (
                *(sent.method, sent.url, sent.path, sent.query, headers(sent), sent.body),
                *(sent.host, sent.port, sent.retries, sent.timeouts),
            ),
            "log": [(line.level, masked(line.message), line.phase) for line in self.kong.all_logs],
            "tables": self.tables,
            "ended": [(run.phase, run.ended, masked(run.error or "")) for run in exchange.runs],
            "problems": [(problem.kind, repr(problem.error)) for problem in exchange.problems],
        }
        return effect, play.seen


def throw() -> None:
    raise LuaError("thrown")


def headers(message: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in message.headers.pairs():
        if not re.fullmatch("x-kong-(request-id|.*latency)", name, re.IGNORECASE):
            found.setdefault(name, []).append(value)
    return found


def masked(text: str) -> str:
    """A text without what is another in each gateway and event: ids, times, and where an object lies."""
    return UNIQUE.sub("ID", text)


ASKED: dict[str, tuple[Any, ...]] = {
    "kong.ip.is_trusted": ("10.0.0.1",),
    "kong.request.get_header": ("x-a",),
    "kong.request.get_query_arg": ("a",),
    "kong.response.get_header": ("x-a",),
    "kong.service.response.get_header": ("x-a",),
}
"""What the functions are asked that want arguments."""

CHANGES: dict[str, tuple[Any, ...]] = {
    "kong.client.authenticate": ({"id": "i", "username": "ann"}, {"id": "c"}),
    "kong.client.authenticate_consumer_group_by_consumer_id": ("i",),
    "kong.client.set_authenticated_consumer_group": ({"id": "g", "name": "g"},),
    "kong.client.set_authenticated_consumer_groups": ([{"id": "g", "name": "g"}],),
    "kong.client.tls.set_client_verify": ("SUCCESS",),
    "kong.nginx.set_ctx": ("authenticated_consumer", {"id": "i", "username": "ann"}),
    "kong.response.add_header": ("x-a", "changed"),
    "kong.response.clear_header": ("x-a",),
    "kong.response.set_header": ("x-a", "changed"),
    "kong.response.set_headers": ({"x-a": "changed"},),
    "kong.response.set_status": (418,),
    "kong.service.request.add_header": ("x-a", "changed"),
    "kong.service.request.clear_header": ("x-a",),
    "kong.service.request.clear_query_arg": ("a",),
    "kong.service.request.enable_buffering": (),
    "kong.service.request.set_body": ({"a": "changed"}, "application/json"),
    "kong.service.request.set_header": ("x-a", "changed"),
    "kong.service.request.set_headers": ({"x-a": "changed"},),
    "kong.service.request.set_method": ("PUT",),
    "kong.service.request.set_path": ("/changed",),
    "kong.service.request.set_query": ({"a": "changed"},),
    "kong.service.request.set_raw_body": ("changed",),
    "kong.service.request.set_raw_query": ("a=changed",),
    "kong.service.request.set_scheme": ("https",),
    "kong.service.set_retries": (1,),
    "kong.service.set_target": ("changed.test", 81),
    "kong.service.set_timeouts": (1, 2, 3),
    "kong.service.set_tls_verify": (True,),
    "kong.service.set_tls_verify_depth": (1,),
    "kong.service.set_upstream": ("changed",),
    "kong.not.there": (),
}
"""Calls that change what they can."""


def remembered(phase: str) -> list[Op]:
    """Each function whose answer is remembered, some with several arguments."""
    names = [one.name for one in FUNCTIONS.values() if one.remembered and phase in one.phases]
    asked: list[Op] = [("call", (name, *ASKED.get(name, ()))) for name in names]
    return [*asked, ("request.get_header", ("X-B",)), ("request.get_query_arg", ("b",))]


def changes(phase: str) -> list[Op]:
    """Calls that can be made in a phase, and change something."""
    return [
        ("call", (name, *arguments))
        for name, arguments in CHANGES.items()
        if name not in FUNCTIONS or phase in FUNCTIONS[name].phases
    ]


@pytest.mark.parametrize("protocol", ["msgpack", "protobuf"])
@pytest.mark.parametrize(
    ("phase", "changed"),
    [("rewrite", {"request"}), ("access", {"client", "request"}), ("response", {"response"})],
)
def test_each_answer_after_each_call_that_may_change_it(
    phase: str, changed: set[str], protocol: str
) -> None:
    plain, fewer = Side("plain", protocol), Side("fewer", protocol)

    def both(program: list[Op]) -> list[Any]:
        programs = {**{one: [] for one in PHASES}, phase: program}
        if phase == "response":
            programs["access"] = [("service.request.enable_buffering", ())]
        message = {"url": "/path?a=1&b=2", "headers": HEADERS}
        expected = plain.run(Play(programs), message)
        assert fewer.run(Play(programs), message) == expected, program
        spared.append(plain.kong.round_trips - fewer.kong.round_trips)
        return [answer for one, _, answer in expected[1] if one == phase]

    seen: set[str] = set()
    spared: list[int] = []
    asked = remembered(phase)
    for change in changes(phase):
        answers = both([*asked, change, *asked])
        for op, before, after in zip(asked, answers, answers[len(asked) + 1 :], strict=False):
            if before != after:
                both([op, change, op])
                seen.add(FUNCTIONS[f"kong.{op[0]}" if op[0] != "call" else op[1][0]].remembered)
    assert seen == changed, (
        "what the calls change has changed: look whether this test still proves anything"
    )
    assert max(spared) > 0
    plain.kong.close()
    fewer.kong.close()


def test_every_function_that_changes_something_is_tried() -> None:
    phases = {"rewrite", "access", "response", "log"}
    assert {one.name for one in FUNCTIONS.values() if one.changes and one.phases & phases} <= {
        *CHANGES
    }


class BothWays(RuleBasedStateMachine):
    """Has one handler after another run in both modes; what the events of a phase do is learnt meanwhile."""

    protocol = "msgpack"

    @initialize()
    def start(self) -> None:
        self.plain, self.fewer = Side("plain", self.protocol), Side("fewer", self.protocol)
        self.programs: dict[str, list[Op]] = {phase: [] for phase in PHASES}
        self.message: dict[str, Any] = {"url": "/path?a=1&b=2", "headers": HEADERS}

    def teardown(self) -> None:
        if hasattr(self, "plain"):
            self.plain.kong.close()
            self.fewer.kong.close()

    def once(self, side: Side, stop: tuple[str, int] | None = None) -> Any:
        return side.run(Play(self.programs, stop), self.message)

    @rule(
        phase=st.sampled_from(("access", "access", *PHASES)),
        handler=HANDLERS,
        times=st.sampled_from((1, 2, 9)),
    )
    def serve(self, phase: str, handler: list[Op], times: int) -> None:
        self.programs = {**self.programs, phase: handler}
        for _ in range(times):
            assert self.once(self.fewer) == self.once(self.plain)
        assert self.fewer.kong.round_trips <= self.plain.kong.round_trips + 3 * len(PHASES)

    @rule(
        lines=st.lists(st.sampled_from(HEADERS), max_size=8),
        query=st.lists(st.sampled_from(PARTS), max_size=5),
    )
    def serve_another_request(self, lines: list[tuple[str, str]], query: list[str]) -> None:
        self.message = {"url": f"/path?{'&'.join(query)}", "headers": lines}
        assert self.once(self.fewer) == self.once(self.plain)

    @rule(phase=st.sampled_from(PHASES), handler=HANDLERS, data=st.data())
    def interrupt(self, phase: str, handler: list[Op], data: st.DataObject) -> None:
        self.programs = {**self.programs, phase: handler}
        place = data.draw(st.integers(0, len(handler)))
        effect, _ = self.once(self.fewer, (phase, place))
        earlier = (self.once(self.plain, (phase, one))[0] for one in range(place, -1, -1))
        assert any(effect == one for one in earlier)


class BothWaysInProtobuf(BothWays):
    """The same in Kong's other protocol."""

    protocol = "protobuf"


TestBothWays = BothWays.TestCase
TestBothWaysInProtobuf = BothWaysInProtobuf.TestCase
for case in (TestBothWays, TestBothWaysInProtobuf):
    case.settings = settings(max_examples=CASES // 40, stateful_step_count=8, deadline=None)
