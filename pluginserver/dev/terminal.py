"""What the author sees in the terminal: what became of the plugins, and each request.

Rules kept here:

* colours only where the output is a terminal, and ``NO_COLOR`` is not set;
* one request is one block, written at once: requests that run side by side do not mix;
* nothing from outside reaches the terminal as a control character.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, TextIO

from ..logs import fold
from ..testing import Callback, Change, LogLine, Run
from .deployment import Member, Note
from .format import literal, plain, took
from .history import Entry

_CODES: Final = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
_LEVELS: Final = {"debug": "dim", "info": "dim", "notice": "cyan", "warn": "yellow"}


class Terminal:
    """Writes for people.

    :param stream: where to.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._lock = threading.Lock()
        self._colours = coloured(self._stream)

    def write(self, *lines: str) -> None:
        """Write lines; a terminal that is gone stops nobody."""
        text = "".join(f"{line}\n" for line in lines)
        with self._lock:
            try:
                self._stream.write(text.encode("utf-8", "replace").decode())
                self._stream.flush()
            except (OSError, ValueError):
                pass

    def style(self, style: str, text: str) -> str:
        """The text in a colour or weight, where there are any."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._colours else text

    def notes(self, notes: Iterable[Note]) -> None:
        """Tell what became of the plugins, a line each."""
        now = time.strftime("%H:%M:%S")
        for note in notes:
            text = plain(" ".join(note.text.split()))
            mark = self.style("green", "*") if note.good else self.style("red", "!")
            self.write(f"{self.style('dim', now)} {mark} {text}")

    def members(self, members: Iterable[Member]) -> None:
        """List the plugins."""
        for one in members:
            if one.on:
                phases = ", ".join(one.phases)
                about = self.style("dim", f"{one.version}  priority {one.priority}  {phases}")
                self.write(f"  {self.style('bold', one.name)} {about}")

    def failed(self, error: BaseException) -> None:
        """Tell of an error of the gateway's own."""
        self.notes([Note(False, f"the gateway itself failed: {fold(error)}")])

    def request(self, entry: Entry) -> None:
        """Tell of a request that is over."""
        self.write(*self._request(entry))

    def _request(self, entry: Entry) -> Iterator[str]:
        exchange = entry.exchange
        request, response = exchange.request, exchange.response
        trips = exchange.round_trips
        status = "---" if response is None else str(response.status)
        yield (
            f"{self.style('dim', time.strftime('%H:%M:%S', time.localtime(exchange.time)))} "
            f"{self.style('bold', plain(f'{request.method} {request.target}', 200))} "
            f"{self.style(_status_style(status), status)} "
            f"{took(exchange.duration)}, {trips} round trip{'' if trips == 1 else 's'}"
        )
        for thing in moments(entry):
            if isinstance(thing, Run):
                yield self._run(thing)
            elif isinstance(thing, Callback):
                yield from self._callback(thing)
            elif isinstance(thing, LogLine):
                yield self._log(thing)
            else:
                yield from self._service(entry)
        for problem in exchange.problems:
            yield f"  {self.style('red', '!')} {plain(problem.message)}"
        for text in entry.tracebacks.values():
            for one in text:
                yield from (self.style("dim", f"    {plain(line)}") for line in one.splitlines())

    def _run(self, run: Run) -> str:
        ended = "" if run.ended == "ret" else f"  {run.ended}"
        error = f": {plain(run.error, 200)}" if run.error and run.ended != "throw" else ""
        phase = self.style("cyan", f"{run.phase:<8}")
        return f"  {phase} {run.plugin}  {self.style('dim', took(run.duration))}{ended}{error}"

    def _callback(self, call: Callback) -> Iterator[str]:
        arguments = ", ".join(literal(argument, 60) for argument in call.args)
        time_ = self.style("dim", took(call.duration))
        yield f"    {call.method}({arguments}) -> {self._answer(call)}  {time_}"
        for change in call.changes:
            yield f"      {self._change(change)}"

    def _answer(self, call: Callback) -> str:
        if call.step is None:
            text = plain(call.error, 200) if call.error else None
            return self.style("red", f"throws {text}") if text else self.style("dim", "no answer")
        answer = literal(call.answer, 60)
        return f"{answer} ({plain(call.error, 200)})" if call.error else answer

    def _change(self, change: Change) -> str:
        before, after = (
            literal(value, 60) if value is not None else "none"
            for value in (change.before, change.after)
        )
        moved = after if change.before is None else f"{before} -> {after}"
        return self.style("green", f"{change.where} {plain(change.what, 100)}: {moved}")

    def _log(self, line: LogLine) -> str:
        level = self.style(_LEVELS.get(line.level, "red"), f"[{line.level}]")
        return f"    {level} {line.plugin or 'kong'}: {plain(line.message, 500)}"

    def _service(self, entry: Entry) -> Iterator[str]:
        exchange = entry.exchange
        request, answer = exchange.service_request, exchange.service_response
        if request is not None:
            status = "no response" if answer is None else str(answer.status)
            yield (
                f"  {self.style('cyan', 'service ')} {plain(f'{request.method} {request.url}', 200)}"
                f" -> {status}  {self.style('dim', took(exchange.service_duration))}"
            )


def coloured(stream: Any) -> bool:
    """Whether colours can be written to a stream, and are wanted."""
    try:
        terminal = stream.isatty()
    except (AttributeError, ValueError):
        return False
    return bool(terminal) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


SERVICE: Final = object()
"""Stands for the call of the service among the moments of a request."""


def moments(entry: Entry) -> list[Any]:
    """What happened in a request, in order: runs, their callbacks, log lines, :data:`SERVICE`."""
    exchange = entry.exchange
    found: list[tuple[float, int, Any]] = []
    for run in list(exchange.runs):
        found.append((run.start, 0, run))
        found += [(call.start, 1, call) for call in list(run.callbacks)]
    found += [(line.time, 2, line) for line in list(exchange.logs)]
    if exchange.service_start is not None:
        found.append((exchange.service_start, 0, SERVICE))
    found.sort(key=lambda moment: moment[:2])
    return [thing for _, _, thing in found]


def _status_style(status: str) -> str:
    return {"2": "green", "3": "blue", "4": "yellow"}.get(status[0], "red")
