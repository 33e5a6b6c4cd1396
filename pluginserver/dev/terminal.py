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
from ..testing import Change, LogLine, Run
from ..testing.record.format import literal, plain, round_trips, took
from ..testing.record.timeline import CallStep, ServiceCall, Stage, timeline
from .deployment import Message, Status
from .history import Entry
from .page.bodies import as_json

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

    def messages(self, messages: Iterable[Message]) -> None:
        """Tell what became of the plugins, a line each."""
        now = time.strftime("%H:%M:%S")
        for one in messages:
            text = plain(" ".join(one.text.split()))
            mark = self.style("green", "*") if one.good else self.style("red", "!")
            self.write(f"{self.style('dim', now)} {mark} {text}")

    def plugins(self, plugins: Iterable[Status]) -> None:
        """List the plugins that requests meet."""
        for one in plugins:
            if one.on:
                phases = ", ".join(one.phases)
                about = self.style("dim", f"{one.version}  priority {one.priority}  {phases}")
                self.write(f"  {self.style('bold', one.name)} {about}")

    def failed(self, error: BaseException) -> None:
        """Tell of an error of the gateway's own."""
        self.messages([Message(False, f"the gateway itself failed: {fold(error)}")])

    def request(self, entry: Entry) -> None:
        """Tell of a request that is over."""
        self.write(*self._request(entry))

    def _request(self, entry: Entry) -> Iterator[str]:
        exchange = entry.exchange
        request, response = exchange.request, exchange.response
        status = "---" if response is None else str(response.status)
        yield (
            f"{self.style('dim', time.strftime('%H:%M:%S', time.localtime(exchange.time)))} "
            f"{self.style('bold', plain(f'{request.method} {request.target}', 200))} "
            f"{self.style(_status_style(status), status)} "
            f"{took(exchange.duration)}, {round_trips(exchange.round_trips)}"
        )
        shown = timeline(exchange)
        for stage in shown.stages:
            yield from self._stage(stage)
        for problem in shown.problems:
            yield f"  {self.style('red', '!')} {plain(problem.message)}"
        for text in entry.tracebacks.values():
            for one in text:
                yield from (self.style("dim", f"    {plain(line)}") for line in one.splitlines())

    def _stage(self, stage: Stage) -> Iterator[str]:
        subject = stage.subject
        if isinstance(subject, ServiceCall):
            yield self._service(subject)
        elif isinstance(subject, Run):
            yield self._run(subject)
        for step in stage.steps:
            if isinstance(step, CallStep):
                yield from self._callback(step)
            else:
                yield self._log(step.line)

    def _run(self, run: Run) -> str:
        ended = "" if run.ended == "ret" else f"  {run.ended}"
        error = f": {plain(run.error, 200)}" if run.error and run.ended != "throw" else ""
        phase = self.style("cyan", f"{run.phase:<8}")
        return f"  {phase} {run.plugin}  {self.style('dim', took(run.duration))}{ended}{error}"

    def _service(self, call: ServiceCall) -> str:
        status = "no response" if call.response is None else str(call.response.status)
        return (
            f"  {self.style('cyan', 'service ')} "
            f"{plain(f'{call.request.method} {call.request.url}', 200)}"
            f" -> {status}  {self.style('dim', took(call.duration))}"
        )

    def _callback(self, step: CallStep) -> Iterator[str]:
        call = step.call
        arguments = ", ".join(literal(argument, 60) for argument in call.args)
        duration = self.style("dim", took(call.duration))
        yield f"    {call.method}({arguments}) -> {self._answer(step)}  {duration}"
        for change in call.changes:
            yield f"      {self._change(change)}"

    def _answer(self, step: CallStep) -> str:
        call = step.call
        if step.outcome == "no answer":
            return self.style("dim", "no answer")
        error = plain(call.error, 200) if call.error else ""
        if step.outcome == "throw":
            return self.style("red", f"throws {error}")
        return f"{literal(as_json(call.answer), 60)}{f' ({error})' if error else ''}"

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


def coloured(stream: Any) -> bool:
    """Whether colours can be written to a stream, and are wanted."""
    try:
        terminal = stream.isatty()
    except (AttributeError, ValueError):
        return False
    return bool(terminal) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _status_style(status: str) -> str:
    return {"2": "green", "3": "blue", "4": "yellow"}.get(status[0], "red")
