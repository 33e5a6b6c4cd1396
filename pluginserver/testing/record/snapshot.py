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

from .format import short
from .lines import answered, called, changed, ended, headline, last_lines

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
    response = exchange.response
    yield headline(exchange)
    stages = [(run.start, list(_run(run))) for run in list(exchange.runs)]
    if exchange.service_request is not None and exchange.service_start is not None:
        stages.append((exchange.service_start, list(_service(exchange))))
    for _start, lines in sorted(stages, key=_begin):
        yield from lines
    if response is not None:
        yield f"  response {response.status}"
        yield from _message(response)
    yield from last_lines(exchange)


def _begin(stage: tuple[float, list[str]]) -> float:
    return stage[0]


def _run(run: Any) -> Iterator[str]:
    yield f"  {run.phase} {run.plugin}"
    for call in list(run.callbacks):
        yield f"    {called(call, _shown)} -> {_answer(call)}"
        for change in call.changes:
            yield f"      {changed(change, _shown)}"
    yield f"    {ended(run)}"


def _answer(call: Any) -> str:
    of_variable = call.method == "kong.nginx.get_var" and call.args
    varies = call.method in _TIMES or (of_variable and _VARIABLES.fullmatch(str(call.args[0])))
    if varies and call.outcome == "answer":
        return "<varies>"
    return answered(call, _shown)


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


def _shown(value: Any) -> str:
    return short(_steady(value))


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
