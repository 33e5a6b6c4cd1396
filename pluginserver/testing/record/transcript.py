"""A request's record as text for people: what the plugins asked, what they got, how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...spec.methods import STEP_ERROR
from .diagnostics import short
from .exchange import Callback, Exchange, Run


def transcript(exchange: Exchange) -> str:
    """The whole request, one line for each thing that happened, without a line break at the end."""
    return "\n".join(_lines(exchange))


def summary(exchange: Exchange) -> str:
    """The request in one line: method, target, status, time, round trips."""
    request, response = exchange.request, exchange.response
    outcome = f"{response.status} from {_whose(exchange)}" if response else "no response"
    trips = exchange.round_trips
    return (
        f"{request.method} {_host(exchange)}{request.target} -> {outcome} "
        f"({_time(exchange.duration)}, {trips} round trip{'' if trips == 1 else 's'})"
    )


def _whose(exchange: Exchange) -> str:
    return {"service": "the service", "exit": "kong.response.exit"}.get(exchange.source, "Kong")


def _host(exchange: Exchange) -> str:
    return f"{exchange.request.scheme}://{exchange.request.headers.get('host', '')}"


def _lines(exchange: Exchange) -> Iterator[str]:
    yield summary(exchange)
    shown_service = False
    for run in exchange.runs:
        late = run.phase in ("response", "log")
        if late and not shown_service and exchange.service_request is not None:
            yield from _service(exchange)
            shown_service = True
        yield from _run(run)
    if not shown_service and exchange.service_request is not None:
        yield from _service(exchange)
    if exchange.response is not None:
        yield f"  response {exchange.response.status}"
        for name, value in exchange.response.headers.pairs():
            yield f"    {name}: {short(value, 100)[1:-1]}"
        if exchange.response.body:
            yield f"    {short(exchange.response.text, 200)}"
    for line in exchange.logs:
        yield f"  log [{line.level}] {line.plugin or 'kong'}: {line.message}"
    for problem in exchange.problems:
        yield f"  BUG ({problem.kind}): {problem.message}"


def _run(run: Run) -> Iterator[str]:
    where = "" if run.instance_id is None else f" instance {run.instance_id}"
    yield f"  {run.phase} {run.plugin}{where} ({_time(run.duration)})"
    for call in run.callbacks:
        yield from _callback(call)
    if run.ended != "exit":
        yield f"    {run.ended}{f': {run.error}' if run.error else ''}"


def _callback(call: Callback) -> Iterator[str]:
    args = ", ".join(short(arg) for arg in call.args)
    if call.step is None:
        answer = f"throws: {call.error}" if call.error else "no answer"
    elif call.step == STEP_ERROR:
        answer = f"StepError {short(call.error)}"
    else:
        answer = short(call.answer)
        if call.error:
            answer += f" (Kong said: {call.error})"
    yield f"    {call.method}({args}) -> {answer} ({_time(call.duration)})"
    for change in call.changes:
        before = "" if change.before is None else f"{_value(change.before)} -> "
        after = "removed" if change.after is None else _value(change.after)
        yield f"      {change.where} {change.what}: {before}{after}"


def _value(value: Any) -> str:
    return short(value)


def _service(exchange: Exchange) -> Iterator[str]:
    request, response = exchange.service_request, exchange.service_response
    assert request is not None
    outcome = response.status if response is not None else "no response"
    yield f"  service {request.method} {request.url} -> {outcome} ({_time(exchange.service_duration)})"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"
