"""A request's record as text for people: what the plugins asked, what they got, how it ended.

Rules kept here:

* one line for each thing that happened, in the order of the :mod:`timeline <.timeline>`; what is inside
  something is indented under it;
* the response, Kong's log and the plugins' bugs come last, where a reader of a failed test looks first.
"""

from __future__ import annotations

from collections.abc import Iterator

from .exchange import Change, Exchange, Run
from .format import round_trips, short, took
from .timeline import CallStep, ServiceCall, Stage, Timeline, timeline


def transcript(exchange: Exchange) -> str:
    """The whole request, one line for each thing that happened, without a line break at the end."""
    return "\n".join([summary(exchange), *_lines(timeline(exchange))])


def summary(exchange: Exchange) -> str:
    """The request in one line: method, target, status, time, round trips."""
    request, response = exchange.request, exchange.response
    source = {"service": "the service", "exit": "kong.response.exit"}.get(exchange.source, "Kong")
    outcome = f"{response.status} from {source}" if response else "no response"
    url = f"{request.scheme}://{request.headers.get('host', '')}{request.target}"
    return (
        f"{request.method} {url} -> {outcome} "
        f"({took(exchange.duration)}, {round_trips(exchange.round_trips)})"
    )


def _lines(shown: Timeline) -> Iterator[str]:
    for stage in shown.stages:
        yield from _stage(stage)
    if shown.response is not None:
        yield f"  response {shown.response.status}"
        for name, value in shown.response.headers.pairs():
            yield f"    {name}: {short(value, 100)[1:-1]}"
        if shown.response.body:
            yield f"    {short(shown.response.text, 200)}"
    for line in shown.logs:
        yield f"  log [{line.level}] {line.plugin or 'kong'}: {line.message}"
    for problem in shown.problems:
        yield f"  BUG ({problem.kind}): {problem.message}"


def _stage(stage: Stage) -> Iterator[str]:
    subject = stage.subject
    if isinstance(subject, ServiceCall):
        request, response = subject.request, subject.response
        status = "no response" if response is None else response.status
        yield f"  service {request.method} {request.url} -> {status} ({took(subject.duration)})"
    elif isinstance(subject, Run):
        where = "" if subject.instance_id is None else f" instance {subject.instance_id}"
        yield f"  {subject.phase} {subject.plugin}{where} ({took(subject.duration)})"
        for step in stage.calls:
            yield from _callback(step)
        if subject.ended != "exit":
            yield f"    {subject.ended}{f': {subject.error}' if subject.error else ''}"


def _callback(step: CallStep) -> Iterator[str]:
    call = step.call
    arguments = ", ".join(short(argument) for argument in call.args)
    yield f"    {call.method}({arguments}) -> {_answer(step)} ({took(call.duration)})"
    for change in call.changes:
        yield f"      {_change(change)}"


def _answer(step: CallStep) -> str:
    call = step.call
    match step.outcome:
        case "throw":
            return f"throws: {call.error}"
        case "no answer":
            return "no answer"
        case "step error":
            return f"StepError {short(call.error)}"
        case _:
            return short(call.answer) + (f" (Kong said: {call.error})" if call.error else "")


def _change(change: Change) -> str:
    before = "" if change.before is None else f"{short(change.before)} -> "
    after = "removed" if change.after is None else short(change.after)
    return f"{change.where} {change.what}: {before}{after}"
