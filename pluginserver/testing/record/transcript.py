"""A request's record as text for people: what the plugins asked, what they got, how it ended.

Rules kept here:

* one line for each thing that happened, in the order of the :mod:`timeline <.timeline>`; what is inside
  something is indented under it;
* the response, Kong's log and the plugins' bugs come last, where a reader of a failed test looks first.
"""

from __future__ import annotations

from collections.abc import Iterator

from .exchange import Exchange, Run
from .format import round_trips, short, took
from .lines import answered, called, changed, ended, headline, last_lines
from .timeline import CallStep, ServiceCall, Stage, Timeline, timeline


def transcript(exchange: Exchange) -> str:
    """The whole request, one line for each thing that happened, without a line break at the end."""
    return "\n".join([summary(exchange), *_lines(timeline(exchange))])


def summary(exchange: Exchange) -> str:
    """The request in one line: method, target, status, time, round trips."""
    cost = f"({took(exchange.duration)}, {round_trips(exchange.round_trips)})"
    return f"{headline(exchange)} {cost}"


def _lines(shown: Timeline) -> Iterator[str]:
    for stage in shown.stages:
        yield from _stage(stage)
    if shown.response is not None:
        yield f"  response {shown.response.status}"
        for name, value in shown.response.headers.pairs():
            yield f"    {name}: {short(value, 100)[1:-1]}"
        if shown.response.body:
            yield f"    {short(shown.response.text, 200)}"
    yield from last_lines(shown)


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
            yield f"    {ended(subject)}"


def _callback(step: CallStep) -> Iterator[str]:
    call = step.call
    yield f"    {called(call, short)} -> {answered(call, short)} ({took(call.duration)})"
    for change in call.changes:
        yield f"      {changed(change, short)}"
