"""The order in which a request's events happened, computed once for everything that shows a request.

A :class:`Timeline` is a list of stages, a stage being a plugin's phase or the call of the service, each
with its steps: the callbacks (with their changes) and the log lines.  The transcript, the terminal and
the page of the development gateway render it, each in its own way.  Rules kept here:

* stages are ordered by when they began, and a stage's steps by when they happened;
* a callback belongs to its own phase; a log line to the stage that began last before it;
* the record may grow while it is looked at (the request's thread goes on): its lists are copied first;
* nothing is formatted here: times are seconds since the request began, values are as recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from ..kong.messages import Response, ServiceRequest
from .exchange import Callback, Exchange, LogLine, Outcome, Problem, Run


@attrs.frozen
class CallStep:
    """A callback.

    :param call: its record.
    :param outcome: how it ended.
    """

    call: Callback
    outcome: Outcome

    @property
    def at(self) -> float:
        """When it reached Kong, in seconds since the request began."""
        return self.call.start


@attrs.frozen
class LogStep:
    """A line of Kong's log.

    :param line: its record.
    """

    line: LogLine

    @property
    def at(self) -> float:
        """When it was written, in seconds since the request began."""
        return self.line.time


Step = CallStep | LogStep


@attrs.frozen
class ServiceCall:
    """The request to the service, and its response.

    :param request: what the service was sent.
    :param response: what it answered; None when it did not answer (yet).
    :param start: when it was called, in seconds since the request began.
    :param duration: how long it took, in seconds.
    """

    request: ServiceRequest
    response: Response | None
    start: float
    duration: float


@attrs.define
class Stage:
    """A stretch of the request.

    :param subject: the phase of a plugin, or the call of the service; None for what Kong itself logged
        before either.
    :param steps: what happened in it, in order.
    """

    subject: Run | ServiceCall | None
    steps: list[Step] = attrs.field(factory=list)

    @property
    def start(self) -> float:
        """When it began, in seconds since the request began."""
        return 0.0 if self.subject is None else self.subject.start

    @property
    def calls(self) -> list[CallStep]:
        """Its callbacks, in order."""
        return [step for step in self.steps if isinstance(step, CallStep)]


@attrs.frozen
class Timeline:
    """A request in order.

    :param stages: what happened until all was over.
    :param response: what the client got; None when it got nothing (yet).
    :param logs: all lines of Kong's log, which are among the steps too.
    :param problems: the plugins' bugs that showed.
    :param end: when the last stage, or the response, was over, in seconds since the request began.
    """

    stages: Sequence[Stage]
    response: Response | None
    logs: Sequence[LogLine]
    problems: Sequence[Problem]
    end: float


def timeline(exchange: Exchange) -> Timeline:
    """Put a request's record in order.

    :param exchange: the record; the request may still be under way.
    """
    logs = list(exchange.logs)
    stages = sorted(_stages(exchange), key=_start)
    for line in sorted(logs, key=_time):
        begun = [stage for stage in stages if stage.start <= line.time]
        if not begun:
            begun = [Stage(None)]
            stages.insert(0, begun[0])
        begun[-1].steps.append(LogStep(line))
    for stage in stages:
        stage.steps.sort(key=_at)
    ends = [
        stage.subject.start + stage.subject.duration
        for stage in stages
        if stage.subject is not None
    ]
    return Timeline(
        stages,
        exchange.response,
        logs,
        list(exchange.problems),
        max([exchange.duration, *ends]),
    )


def _stages(exchange: Exchange) -> Iterator[Stage]:
    for run in list(exchange.runs):
        yield Stage(run, [CallStep(call, call.outcome) for call in list(run.callbacks)])
    request, start = exchange.service_request, exchange.service_start
    if request is not None and start is not None:
        yield Stage(
            ServiceCall(request, exchange.service_response, start, exchange.service_duration)
        )


def _start(stage: Stage) -> float:
    return stage.start


def _time(line: LogLine) -> float:
    return line.time


def _at(step: Step) -> float:
    return step.at
