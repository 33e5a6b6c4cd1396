"""A request's record as the page shows it: text, cut to what a person reads, and numbers.

Rules kept here:

* the templates decide nothing about values: what they get is shown as it is, escaped;
* the order is that of :mod:`pluginserver.testing.record.timeline`; a request with endless callbacks is cut.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import attrs

from ...testing import Change, Exchange, Headers, LogLine, Run
from ...testing.kong.headers import same
from ...testing.record.format import literal, plain, round_trips, size, took
from ...testing.record.timeline import CallStep, ServiceCall, Stage, Step, timeline
from ..history import Entry
from ..spared import spared
from .axis import Tick, ticks
from .bodies import as_json, pretty, whole
from .traces import Bug, bugs, told_by_server

STEPS: Final = 1000
"""Callbacks and log lines of a request that are shown at the most."""

LONG: Final = 120
"""Characters of an answer that a line of the timeline has."""

_ENDS: Final = {
    "ret": "",
    "exit": "answered the request",
    "error": "answered with an error",
    "throw": "Kong threw",
    "failed": "failed",
    "abandoned": "abandoned",
}


@attrs.frozen
class Row:
    """A request in the list."""

    id: str
    number: int
    time: str
    method: str
    target: str
    status: str
    tone: str
    took: str
    trips: int
    bugs: int
    over: bool
    who: str
    plugins: Sequence[str]


def row(entry: Entry) -> Row:
    """A request as one line."""
    exchange = entry.exchange
    response = exchange.response
    status = "…" if response is None else str(response.status)
    return Row(
        id=entry.id,
        number=entry.number,
        time=clock(exchange.time),
        method=plain(exchange.request.method, 40),
        target=plain(exchange.request.target, 300),
        status=status,
        tone=tone(status),
        took="…" if response is None else took(exchange.duration),
        trips=exchange.round_trips,
        bugs=len(exchange.problems),
        over=entry.over,
        who=answered_by(exchange),
        plugins=sorted({run.plugin for run in list(exchange.runs)}),
    )


def answered_by(exchange: Exchange) -> str:
    """Who made the response: the service, a plugin by its name, or Kong."""
    if exchange.response is None:
        return "…"
    if exchange.source == "service":
        return "service"
    ends = [run.plugin for run in list(exchange.runs) if run.ended in ("exit", "error")]
    return ends[0] if ends else "Kong"


def tone(status: str) -> str:
    """A class of statuses, for its colour."""
    return {"2": "good", "3": "moved", "4": "refused", "5": "bad"}.get(status[0], "open")


def clock(seconds: float) -> str:
    """A time of day with milliseconds."""
    whole = time.strftime("%H:%M:%S", time.localtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03d}"


@attrs.frozen
class Bar:
    """A stretch of time on the axis; ``x`` and ``width`` are percentages of the whole, and so is
    ``starting``, the part of ``width`` in which an instance started.
    """

    x: float
    width: float
    starting: float = 0.0


@attrs.frozen
class ChangeLine:
    """What a callback changed."""

    where: str
    what: str
    before: str | None
    after: str | None


@attrs.frozen
class CallLine:
    """A callback in the timeline; ``whole`` is an answer that is too long for a line, with a line for each
    value.
    """

    kind: str
    at: str
    space: str
    name: str
    arguments: str
    answer: str | None
    error: str | None
    took: str
    changes: Sequence[ChangeLine]
    whole: str | None
    anchor: str


@attrs.frozen
class LogEntry:
    """A log line in the timeline."""

    kind: str
    at: str
    level: str
    who: str
    text: str


Line = CallLine | LogEntry


@attrs.frozen
class Block:
    """A run of a phase, or the call of the service, with what happened in it.

    ``told`` is what the plugin server itself told Kong of an exception, ``started`` how long the instance
    took to start.
    """

    kind: str
    anchor: str
    phase: str
    title: str
    name: str
    took: str
    bar: Bar
    facts: Sequence[str]
    lines: Sequence[Line]
    error: str | None = None
    told: Sequence[Line] = ()
    started: str = ""


@attrs.frozen
class HeaderLine:
    """A header before and after; ``sign`` is ``" "``, ``"+"`` or ``"-"``."""

    sign: str
    name: str
    value: str


@attrs.frozen
class Side:
    """A message on one side of the gateway."""

    title: str
    line: str
    body: str | None
    size: str


@attrs.frozen
class Comparison:
    """A message as it reached the gateway, as it left it, and what differs."""

    title: str
    anchor: str
    before: Side | None
    after: Side | None
    headers: list[HeaderLine]
    body_changed: bool


@attrs.frozen
class RequestView:
    """Everything about a request."""

    row: Row
    client: str
    bugs: list[Bug]
    blocks: list[Block]
    ticks: list[Tick]
    comparisons: list[Comparison]
    hidden: int
    spared: int | None


def request(entry: Entry, plain_plugins: Collection[str] = ()) -> RequestView:
    """A request in full.

    :param plain_plugins: the plugins that save no round trips.
    """
    exchange = entry.exchange
    shown = timeline(exchange)
    whole = shown.end or 1e-9
    blocks, hidden = _blocks(entry, shown.stages, whole)
    return RequestView(
        row=row(entry),
        client=f"{exchange.request.client_ip}:{exchange.request.client_port}",
        bugs=bugs(entry, shown.stages, shown.problems),
        blocks=blocks,
        ticks=ticks(whole),
        comparisons=list(_comparisons(exchange)),
        hidden=hidden,
        spared=spared(exchange, plain_plugins),
    )


def _bar(start: float, length: float, whole: float) -> Bar:
    x = min(max(start / whole * 100, 0.0), 100.0)
    return Bar(round(x, 3), round(min(max(length / whole * 100, 0.0), 100.0 - x), 3))


def _blocks(entry: Entry, stages: Sequence[Stage], whole: float) -> tuple[list[Block], int]:
    """The blocks, and how many steps are not shown."""
    blocks: list[Block] = []
    left = STEPS
    for stage in stages:
        lines = [_line(step) for step in stage.steps[:left]]
        left -= len(lines)
        blocks.append(_block(stage, lines, whole, f"b{len(blocks)}"))
    return blocks, sum(len(stage.steps) for stage in stages) - (STEPS - left)


def _line(step: Step) -> Line:
    return _call(step) if isinstance(step, CallStep) else _log(step.line)


def _block(stage: Stage, lines: Sequence[Line], whole: float, anchor: str) -> Block:
    subject = stage.subject
    if subject is None:
        return Block("kong", anchor, "kong", "Kong", "Kong", "", Bar(0, 0), [], lines)
    bar = _bar(subject.start, subject.duration, whole)
    if isinstance(subject, Run):
        starting = min(round(subject.starting / whole * 100, 3), bar.width)
        return _run(subject, stage, lines, attrs.evolve(bar, starting=starting), anchor)
    return _service(subject, lines, bar, anchor)


def _run(run: Run, stage: Stage, lines: Sequence[Line], bar: Bar, anchor: str) -> Block:
    told = told_by_server(stage)
    failed = bool(told) and run.ended in ("exit", "error")
    facts = [round_trips(run.round_trips), "failed" if failed else _ENDS.get(run.ended, run.ended)]
    return Block(
        kind="run",
        anchor=anchor,
        phase=run.phase,
        title=run.plugin,
        name=run.plugin,
        took=took(run.duration),
        bar=bar,
        facts=[fact for fact in facts if fact],
        lines=[line for place, line in enumerate(lines) if place not in told],
        error=plain(run.error) if run.error and not told else None,
        told=[line for place, line in enumerate(lines) if place in told],
        started=took(run.starting) if run.starting else "",
    )


def _service(call: ServiceCall, lines: Sequence[Line], bar: Bar, anchor: str) -> Block:
    request, response = call.request, call.response
    return Block(
        kind="service",
        anchor=anchor,
        phase="service",
        title=plain(f"{request.method} {request.url}", 300),
        name=plain(f"{request.host}:{request.port}", 100),
        took=took(call.duration),
        bar=bar,
        facts=["no response" if response is None else f"answered {response.status}"],
        lines=lines,
    )


def _call(step: CallStep) -> CallLine:
    call = step.call
    space, _, name = call.method.rpartition(".")
    answer = as_json(call.answer)
    shown = literal(answer, 400)
    rest = None
    if len(shown) > LONG:
        shown, rest = literal(answer, LONG // 2), whole(answer)
    return CallLine(
        kind="call",
        at=f"+{took(step.at)}",
        space=plain(f"{space}." if space else "", 200),
        name=plain(name, 200),
        arguments=", ".join(literal(argument) for argument in call.args),
        answer=None if step.outcome in ("throw", "no answer") else shown,
        error=plain(call.error) if call.error else None,
        took=took(call.duration),
        changes=[_change(change) for change in call.changes],
        whole=rest,
        anchor=f"c{round(call.start * 1e9)}",
    )


def _change(change: Change) -> ChangeLine:
    before, after = (
        None if value is None else literal(value, 400) for value in (change.before, change.after)
    )
    return ChangeLine(change.where, plain(change.what, 200), before, after)


def _log(line: LogLine) -> LogEntry:
    return LogEntry(
        "log", f"+{took(line.time)}", line.level, line.plugin or "Kong", plain(line.message)
    )


def _comparisons(exchange: Exchange) -> Iterator[Comparison]:
    came, went = exchange.request, exchange.service_request
    yield Comparison(
        title="Request",
        anchor="request",
        before=_side("From the client", f"{came.method} {came.target}", came.body),
        after=None
        if went is None
        else _side("To the service", f"{went.method} {went.url}", went.body),
        headers=_compared(came.headers, went.headers if went else came.headers),
        body_changed=went is not None and went.body != came.body,
    )
    answered, given = exchange.service_response, exchange.response
    if given is None:
        return
    before = answered.headers if answered else None
    yield Comparison(
        title="Response",
        anchor="response",
        before=None
        if answered is None
        else _side("From the service", str(answered.status), answered.body),
        after=_side("To the client", str(given.status), given.body),
        headers=_compared(given.headers if before is None else before, given.headers),
        body_changed=answered is not None and answered.body != given.body,
    )


def _side(title: str, line: str, data: bytes) -> Side:
    return Side(title, plain(line, 1000), pretty(data) if data else None, size(len(data)))


def _compared(before: Headers, after: Headers) -> list[HeaderLine]:
    """Headers by name; where the values differ, what was and what is."""
    found: list[HeaderLine] = []
    names = {same(name): name for name, _ in [*after.pairs(), *before.pairs()]}
    for name in sorted(names.values(), key=str.lower):
        old, new = before.all(name), after.all(name)
        if old == new:
            found += [_header(" ", name, value) for value in new]
        else:
            found += [_header("-", name, value) for value in old]
            found += [_header("+", name, value) for value in new]
    return found


def _header(sign: str, name: str, value: str) -> HeaderLine:
    return HeaderLine(sign, plain(name, 200), plain(value, 1000))
