"""A request's record as text that is the same in each run: what snapshots are compared with.

It is the :mod:`transcript <.transcript>` without what changes from run to run.  Rules kept here:

* no times, ids or ports that the system chose, and no directories: a mark in angle brackets takes their
  place;
* what a test has chosen itself stays, an id or a port too, unless it looks like one of those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ...spec.methods import STEP_ERROR
from .format import short

_TIMES: Final = frozenset(
    {
        "kong.request.get_start_time",
        "kong.nginx.req_start_time",
        "kong.nginx.get_statistics",
        "kong.node.get_memory_stats",
        "kong.client.get_port",
        "kong.client.get_forwarded_port",
        "kong.log.serialize",
    }
)
"""Functions whose answers are times and figures that no two runs share, or hold them."""

_VARIABLES: Final = re.compile(
    r"msec|time_.*|.*_time|connection|connection_requests|pid|remote_port|server_port"
)
"""nginx variables of that kind."""

_HEADERS: Final = re.compile(
    r"date|x-kong-(upstream|proxy|response|total|client|third-party)-latency", re.IGNORECASE
)
_KEYS: Final = frozenset({"created_at", "updated_at", "started_at"})

_MARKS: Final = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"(?<![\w.])(127\.0\.0\.1|localhost|\[::1\]):\d+"), r"\1:<port>"),
    (re.compile(r"(?<![\w/:.])(?:/[^/\s'\"():,]+)+/([^/\s'\"():,]+\.py)\b"), r"\1"),
)


def snapshot(exchange: Any) -> str:
    """The whole request, one line for each thing that happened, without a line break at the end.

    :param exchange: an :class:`~.exchange.Exchange`.
    """
    text = "\n".join(_lines(exchange))
    for pattern, mark in _MARKS:
        text = pattern.sub(mark, text)
    return text


def _lines(exchange: Any) -> Iterator[str]:
    request, response = exchange.request, exchange.response
    url = f"{request.scheme}://{request.headers.get('host', '')}{request.target}"
    source = {"service": "the service", "exit": "kong.response.exit"}.get(exchange.source, "Kong")
    outcome = f"{response.status} from {source}" if response else "no response"
    yield f"{request.method} {url} -> {outcome}"
    stages = [(run.start, list(_run(run))) for run in list(exchange.runs)]
    if exchange.service_request is not None and exchange.service_start is not None:
        stages.append((exchange.service_start, list(_service(exchange))))
    for _start, lines in sorted(stages, key=_begin):
        yield from lines
    if response is not None:
        yield f"  response {response.status}"
        yield from _message(response)
    for line in list(exchange.logs):
        yield f"  log [{line.level}] {line.plugin or 'kong'}: {line.message}"
    for problem in list(exchange.problems):
        yield f"  BUG ({problem.kind}): {problem.message}"


def _begin(stage: tuple[float, list[str]]) -> float:
    return stage[0]


def _run(run: Any) -> Iterator[str]:
    yield f"  {run.phase} {run.plugin}"
    for call in list(run.callbacks):
        arguments = ", ".join(short(_steady(one)) for one in call.args)
        yield f"    {call.method}({arguments}) -> {_answer(call)}"
        for change in call.changes:
            before = "" if change.before is None else f"{short(_steady(change.before))} -> "
            after = "removed" if change.after is None else short(_steady(change.after))
            yield f"      {change.where} {change.what}: {before}{after}"
    yield f"    {run.ended}{f': {run.error}' if run.error else ''}"


def _answer(call: Any) -> str:
    if call.step is None:
        return f"throws: {call.error}" if call.error else "no answer"
    if call.step == STEP_ERROR:
        return f"StepError {short(call.error)}"
    of_variable = call.method == "kong.nginx.get_var" and call.args
    if call.method in _TIMES or (of_variable and _VARIABLES.fullmatch(str(call.args[0]))):
        return "<varies>"
    return short(_steady(call.answer)) + (f" (Kong said: {call.error})" if call.error else "")


def _service(exchange: Any) -> Iterator[str]:
    request, response = exchange.service_request, exchange.service_response
    yield f"  service {request.method} {request.url}"
    yield from _message(request)
    yield f"  the service answers {'nothing' if response is None else response.status}"


def _message(message: Any) -> Iterator[str]:
    for name, value in message.headers.pairs():
        shown = "<time>" if _HEADERS.fullmatch(name) else short(_marked(value), 100)[1:-1]
        yield f"    {name}: {shown}"
    if message.body:
        yield f"    {short(_marked(message.text), 200)}"


def _steady(value: Any) -> Any:
    """A value whose times and ids are marked before it is cut."""
    if isinstance(value, Mapping):
        return {key: "<time>" if key in _KEYS else _steady(one) for key, one in _in_order(value)}
    if isinstance(value, (list, tuple)):
        return [_steady(one) for one in value]
    return _marked(value) if isinstance(value, str) else value


def _in_order(value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    """The items of a map in an order that no run changes."""
    return sorted(value.items(), key=lambda item: str(item[0]))


def _marked(text: str) -> str:
    for pattern, mark in _MARKS:
        text = pattern.sub(mark, text)
    return text
