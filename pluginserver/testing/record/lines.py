"""The lines that a transcript and a snapshot of a request have in common.

Rules kept here:

* how a value is shown is the caller's to say: ``show`` gives its text;
* a record is known by its attributes alone, which :mod:`.exchange` has: it renders itself by these lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Show = Callable[[Any], str]


def headline(exchange: Any) -> str:
    """A request in one line: method, URL, status, and who it is from."""
    request, response = exchange.request, exchange.response
    source = {"service": "the service", "exit": "kong.response.exit"}.get(exchange.source, "Kong")
    outcome = f"{response.status} from {source}" if response else "no response"
    url = f"{request.scheme}://{request.headers.get('host', '')}{request.target}"
    return f"{request.method} {url} -> {outcome}"


def called(call: Any, show: Show) -> str:
    """A callback: the function and its arguments."""
    return f"{call.method}({', '.join(map(show, call.args))})"


def answered(call: Any, show: Show) -> str:
    """What became of a callback."""
    match call.outcome:
        case "throw":
            return f"throws: {call.error}"
        case "no answer":
            return "no answer"
        case "step error":
            return f"StepError {show(call.error)}"
        case _:
            return show(call.answer) + (f" (Kong said: {call.error})" if call.error else "")


def changed(change: Any, show: Show) -> str:
    """What a callback has changed."""
    before = "" if change.before is None else f"{show(change.before)} -> "
    after = "removed" if change.after is None else show(change.after)
    return f"{change.where} {change.what}: {before}{after}"


def ended(run: Any) -> str:
    """How a plugin's phase ended."""
    return f"{run.ended}{f': {run.error}' if run.error else ''}"


def last_lines(exchange: Any) -> Iterator[str]:
    """Kong's log, and the plugins' bugs."""
    for line in list(exchange.logs):
        yield f"  log [{line.level}] {line.plugin or 'kong'}: {line.message}"
    for problem in list(exchange.problems):
        yield f"  BUG ({problem.kind}): {problem.message}"
