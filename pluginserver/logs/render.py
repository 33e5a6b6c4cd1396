"""What a record looks like: one line of at most 8 KiB, with nothing in it that a console obeys.

Rules kept here:

* a record is one line, whatever is in it: line breaks are folded (:func:`fold`, :func:`one_line`), but for
  those of a traceback in JSON, which escapes them;
* what a record holds is copied here, in bounded pieces, when it is logged: the line is written later,
  nothing of a plugin is kept alive for it, and a body of 64 MiB costs no more than its beginning;
* a value whose ``__repr__`` fails costs itself, not the record;
* control characters, escapes and what turns the direction of a text are shown as ``\\x1b`` on a console;
  JSON escapes them itself;
* a line that is too long loses the ends of its longest values, the beginning for a traceback, whose end
  says what happened; it stays whole JSON.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final, Literal

from .writer import WRITER

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""The levels by name; the numbers are those of :mod:`logging`."""

FORMATS: Final = ("console", "json")

Format = Literal["console", "json"]

MAX_FRAMES: Final = 64
"""A folded traceback shows so many of the innermost frames: an endless recursion has a thousand."""

MAX_LINE: Final = 8192
"""Bytes of a line, its line break included: a long traceback fits, and 4,096 waiting lines are 32 MiB."""

MAX_BITS: Final = 1024
"""A longer integer is shown in hexadecimal, which takes no time that grows with its square."""

MAX_DEPTH: Final = 4
"""Lists and maps inside of each other that are shown."""

SHORT: Final = 256
"""Characters of a text that is taken as it is when there is nothing else than ASCII in it."""

CUTS: Final = (2048, 512, 96)
"""Characters that are kept of each value, tried in turn, when a line is too long."""

CUT: Final = "…"
"""Stands where something was left out."""

_HEADING: Final = "Traceback (most recent call last):"

_PLAIN: Final = frozenset({int, float, bool, type(None)})

Record = dict[str, Any]
Fold = Callable[[BaseException], str]


def fold(error: BaseException) -> str:
    """An exception and its traceback as one line.

    :returns: the lines of the traceback, without indentation and the line that begins it, between
        ``" | "``.
    """
    text = "".join(traceback.format_exception(error, limit=-MAX_FRAMES))
    lines = (line.strip() for line in text.splitlines())
    return " | ".join(line for line in lines if line.strip("^~ ") and line != _HEADING)


def whole(error: BaseException) -> str:
    """An exception and its traceback, in lines."""
    return "".join(traceback.format_exception(error, limit=-MAX_FRAMES)).rstrip("\n")


def one_line(text: str) -> str:
    """A text with its line breaks, and the blanks around them, folded into ``" | "``."""
    lines = [line.strip() for line in text.splitlines()]
    return " | ".join(line for line in lines if line) if len(lines) > 1 else text


def escaped(text: str) -> str:
    """A text in which everything that a console would obey is shown instead."""
    if text.isascii() and text.isprintable():
        return text
    return _obeyed().sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@cache
def _obeyed() -> re.Pattern[str]:
    """Control characters, marks of direction, and what is no character at all; made when there is one."""
    return re.compile(
        r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
    )


def renamed(fields: Record, old: str, new: str) -> Record:
    """The fields in their order, one of them under another name."""
    if old not in fields:
        return fields
    return {new if key == old else key: value for key, value in fields.items()}


class Settings:
    """A level, a format, and the *structlog* logger that is made of them when it is needed.

    :param level: the lowest that is written.
    :param output: what the logger writes lines with.
    :param fields: what every record holds.
    """

    def __init__(
        self, level: str, format: Format, output: Any, fields: Mapping[str, Any] | None = None
    ) -> None:
        self.level = level
        self.format = format
        self._output = output
        self._fields = dict(fields or {})
        self._logger: Any = None

    def logger(self) -> Any:
        """The logger."""
        if self._logger is None:
            import structlog

            self._logger = structlog.wrap_logger(
                self._output,
                processors=self.processors(),
                wrapper_class=structlog.make_filtering_bound_logger(LEVELS[self.level]),
            ).bind()
        return self._logger

    def processors(self) -> list[Any]:
        """What makes a line of a record, for *structlog*."""
        from structlog import dev, processors

        begin = [
            self._add_fields,
            processors.add_log_level,
            processors.TimeStamper(fmt="iso", utc=True),
        ]
        if self.format == "json":
            return [*begin, finished, _Fitted(processors.JSONRenderer(default=repr))]
        console = dev.ConsoleRenderer(
            colors=sys.stderr is not None and sys.stderr.isatty(),
            event_key="message",
            pad_event_to=0,
            sort_keys=False,
        )
        return [*begin, finished_in_one_line, _harmless, _Fitted(console)]

    def _add_fields(self, _logger: Any, _method: str, record: Record) -> Record:
        return {**self._fields, **record, **self._fields}

    def line(self, level: str, message: str) -> str:
        """A record as a line, without the logger."""
        made: Any = {"event": message}
        for processor in self.processors():
            made = processor(None, level, made)
        return f"{made}\n"


def finished(logger: Any, method: str, record: Record, fold: Fold = whole) -> Record:
    """A processor of *structlog*: what every record has comes first, and every value is a copy of bounded
    size without line breaks, but for those of a traceback.

    :param fold: makes a text of an exception.
    """
    error = record.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    traceback = {"traceback": fold(error)[-MAX_LINE:]} if error else {}
    head = {key: record.pop(key) for key in ("timestamp", "level")}
    head["message"] = record.pop("event", "")
    record = renamed(record, "event_id", "event")
    return {key: _copied(value) for key, value in (head | record).items()} | traceback


def finished_in_one_line(logger: Any, method: str, record: Record) -> Record:
    """The same, with a traceback in one line."""
    return finished(logger, method, record, fold)


def _copied(value: Any) -> Any:
    """A value of bounded size that nobody can change."""
    if type(value) is str and len(value) < SHORT and value.isascii() and value.isprintable():
        return value
    return _Copier().copy(value)


class _Copier:
    """Copies one value, in at most :data:`MAX_LINE` characters."""

    def __init__(self) -> None:
        self._left = MAX_LINE

    def copy(self, value: Any, depth: int = 0) -> Any:
        """A copy that nobody can change, of what is in it so far as there is room."""
        kind = type(value)
        if kind is str:
            return self._text(value)
        if kind in _PLAIN and (kind is not int or value.bit_length() <= MAX_BITS):
            self._left -= 8
            return value
        try:
            if isinstance(value, (bytes, bytearray)):
                return self._text(repr(bytes(value[: self._left])))
            if depth < MAX_DEPTH and kind in (list, tuple, set, frozenset):
                return kind(self._entries(value, depth))
            if depth < MAX_DEPTH and kind is dict:
                return dict(self._items(value, depth))
            if kind is int:
                return self._text(f"{value:#x}")
            return self._text(str(value) if isinstance(value, str) else repr(value))
        except Exception as error:
            return f"<{kind.__name__} that cannot be shown: {type(error).__name__}>"

    def _text(self, text: str) -> str:
        if len(text) > self._left:
            text = text[: self._left] + CUT
        self._left = max(0, self._left - len(text) - 2)
        return one_line(text)

    def _entries(self, value: Iterable[Any], depth: int) -> Iterator[Any]:
        for one in value:
            if self._left <= 0:
                yield CUT
                return
            yield self.copy(one, depth + 1)

    def _items(self, value: dict[Any, Any], depth: int) -> Iterator[tuple[Any, Any]]:
        for key, one in value.items():
            if self._left <= 0:
                yield CUT, CUT
                return
            shown = self.copy(key, MAX_DEPTH)
            yield shown, self.copy(one, depth + 1)


def _harmless(_logger: Any, _method: str, record: Record) -> Record:
    """A processor of *structlog*: nothing in the record is anything that a console obeys."""
    return {
        escaped(key): escaped(value) if type(value) is str else value
        for key, value in record.items()
    }


class _Fitted:
    """A processor of *structlog*: renders a record into a line that is not too long.

    :param renderer: makes a line of a record.
    """

    def __init__(self, renderer: Callable[[Any, str, Record], Any]) -> None:
        self._renderer = renderer

    def __call__(self, logger: Any, method: str, record: Record) -> str:
        line = str(self._renderer(logger, method, dict(record)))
        if _fits(line):
            return line
        WRITER.counts["cut"] += 1
        for limit in CUTS:
            shorter = {key[:limit]: _cut(key, value, limit) for key, value in record.items()}
            line = str(self._renderer(logger, method, shorter))
            if _fits(line):
                return line
        head = {key: record[key] for key in ("timestamp", "level", "message")}
        head["message"] = _cut("message", head["message"], CUTS[-1])
        return str(self._renderer(logger, method, head))


def _fits(line: str) -> bool:
    return len(line) < MAX_LINE and (
        line.isascii() or len(line.encode("utf-8", "backslashreplace")) < MAX_LINE
    )


def _cut(key: str, value: Any, limit: int) -> Any:
    if type(value) in _PLAIN:
        return value
    text = value if type(value) is str else repr(value)
    if len(text) <= limit:
        return value
    return CUT + text[-limit:] if key == "traceback" else text[:limit] + CUT
