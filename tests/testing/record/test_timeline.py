"""The order in which a request's events happened."""

from __future__ import annotations

from typing import Any

import pytest

from pluginserver.testing import (
    Callback,
    Exchange,
    LogLine,
    Response,
    Run,
    ServiceRequest,
    make_request,
)
from pluginserver.testing.record.timeline import (
    CallStep,
    LogStep,
    ServiceCall,
    Stage,
    timeline,
)


def call(method: str, start: float, **given: Any) -> Callback:
    return Callback(method, (), "one", "access", start, **given)


def line(text: str, time: float) -> LogLine:
    return LogLine("notice", text, None, None, time)


def exchange(*runs: Run, logs: tuple[LogLine, ...] = ()) -> Exchange:
    found = Exchange("0" * 32, 0.0, make_request("GET", "/"))
    found.runs, found.logs = list(runs), list(logs)
    return found


def service(found: Exchange, start: float, duration: float = 0.0) -> None:
    found.service_start, found.service_duration = start, duration
    found.service_request = ServiceRequest(
        method="GET", scheme="http", host="s", port=80, path="/", query="", headers={}, body=b""
    )


def told(stage: Stage) -> list[str]:
    """A stage's name, and those of its steps."""
    subject = stage.subject
    name = subject.phase if isinstance(subject, Run) else type(subject).__name__
    steps = [
        step.line.message if isinstance(step, LogStep) else step.call.method
        for step in stage.steps
    ]
    return [name, *steps]


def test_stages_are_in_the_order_of_their_beginnings() -> None:
    found = exchange(
        Run("one", "access", 0.1), Run("one", "response", 0.5), Run("one", "log", 0.9)
    )
    service(found, 0.3)
    assert [told(stage) for stage in timeline(found).stages] == [
        ["access"],
        ["ServiceCall"],
        ["response"],
        ["log"],
    ]


def test_a_log_line_belongs_to_the_stage_that_began_last_before_it() -> None:
    first = Run("one", "access", 0.1, callbacks=[call("kong.a", 0.15), call("kong.b", 0.25)])
    logs = (line("late", 0.4), line("between", 0.2), line("at once", 0.3), line("early", 0.05))
    found = exchange(first, logs=logs)
    service(found, 0.3)
    shown = timeline(found)
    assert [told(stage) for stage in shown.stages] == [
        ["NoneType", "early"],
        ["access", "kong.a", "between", "kong.b"],
        ["ServiceCall", "at once", "late"],
    ]
    assert [one.message for one in shown.logs] == ["late", "between", "at once", "early"]


def test_a_callback_stays_with_its_own_phase_when_the_clock_stands_still() -> None:
    first = Run("one", "rewrite", 0.0, callbacks=[call("kong.a", 0.0)])
    second = Run("one", "access", 0.0, callbacks=[call("kong.b", 0.0)])
    shown = timeline(exchange(first, second, logs=(line("last", 0.0),)))
    assert [told(stage) for stage in shown.stages] == [
        ["rewrite", "kong.a"],
        ["access", "kong.b", "last"],
    ]
    assert [len(stage.calls) for stage in shown.stages] == [1, 1]


def test_the_end_is_when_the_last_thing_was_over() -> None:
    found = exchange(Run("one", "access", 0.1, 0.2))
    assert timeline(found).end == pytest.approx(0.3)
    service(found, 0.3, 0.4)
    assert timeline(found).end == pytest.approx(0.7)
    found.duration = 0.8
    assert timeline(found).end == 0.8


def test_a_request_that_has_just_begun_has_an_empty_timeline() -> None:
    shown = timeline(exchange())
    assert (list(shown.stages), shown.response, shown.end) == ([], None, 0.0)


def test_a_timeline_does_not_change_with_its_record() -> None:
    run = Run("one", "access", 0.1, callbacks=[call("kong.a", 0.15)])
    found = exchange(run, logs=(line("one", 0.2),))
    shown = timeline(found)
    run.callbacks.append(call("kong.b", 0.3))
    found.runs.append(Run("one", "log", 0.9))
    found.logs.append(line("two", 0.4))
    found.response = Response(200)
    assert [told(stage) for stage in shown.stages] == [["access", "kong.a", "one"]]
    assert len(shown.logs) == 1


@pytest.mark.parametrize(
    ("given", "how"),
    [
        ({"step": "plugin.Step", "answer": 1}, "answer"),
        ({"step": "plugin.StepMultiMap"}, "answer"),
        ({"step": "plugin.Step", "error": "nil, err"}, "answer"),
        ({"step": "plugin.StepError", "error": "bad"}, "step error"),
        ({"error": "bad argument"}, "throw"),
        ({}, "no answer"),
    ],
)
def test_how_a_callback_ended(given: dict[str, Any], how: str) -> None:
    found = call("kong.a", 0.1, **given)
    assert found.outcome == how
    assert CallStep(found, found.outcome).at == 0.1


def test_a_service_call_has_what_the_record_has() -> None:
    found = exchange()
    service(found, 0.3, 0.1)
    found.service_response = Response(418)
    (stage,) = timeline(found).stages
    assert isinstance(stage.subject, ServiceCall)
    assert stage.subject.response is found.service_response
    assert (stage.subject.start, stage.subject.duration) == (0.3, 0.1)
