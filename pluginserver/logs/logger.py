"""The loggers that the package writes its records with, and where those go.

Rules kept here:

* *structlog* is imported for the first record that is written, not before: a dump, which Kong waits
  for at its start, writes none and pays nothing;
* the program decides where records go: what it gave to :func:`configure`, else its own
  configuration of *structlog*, else stderr from level ``warning`` up;
* a log that cannot be written (Kong is gone, and so is the pipe) never stops the server.

The fields of a record about an event are ``plugin``, ``phase``, ``instance`` and ``event``.  As
*structlog* calls the text of a record ``event``, the event's id travels as ``event_id`` inside of
it, and our own output shows the two as ``message`` and ``event``.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import Any, Final

from .printed import stream_of
from .render import FORMATS, LEVELS, Format, Settings, renamed
from .writer import BACKLOG, WRITER


class Logger:
    """Writes records; cheap to make, and cheap to call below the level in force.

    The methods are named after the levels.  Each takes the record's text and its fields; a field
    ``exc_info`` (an exception, or True for the one that is being handled) becomes the field
    ``traceback``.

    :param fields: what every record of this logger holds.
    """

    __slots__ = ("_fields",)

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def bind(self, **fields: Any) -> Logger:
        """A logger that adds further fields."""
        return Logger(**{**self._fields, **fields})

    def debug(self, message: str, /, **fields: Any) -> None:
        """Write what helps to find a fault."""
        self.write("debug", message, **fields)

    def info(self, message: str, /, **fields: Any) -> None:
        """Write what happens in the normal course of things."""
        self.write("info", message, **fields)

    def warning(self, message: str, /, **fields: Any) -> None:
        """Write what works, but probably not as it was meant."""
        self.write("warning", message, **fields)

    def error(self, message: str, /, **fields: Any) -> None:
        """Write what did not work."""
        self.write("error", message, **fields)

    def critical(self, message: str, /, **fields: Any) -> None:
        """Write what the server cannot live with."""
        self.write("critical", message, **fields)

    def write(self, level: str, message: str, /, **fields: Any) -> None:
        """Write a record of a level that is known only when the program runs.

        :param level: one of :data:`LEVELS`.
        :raises ValueError: for any other.
        """
        _check("level", level, LEVELS)
        try:
            target = _target(level)
            if target is not None:
                fields = {**self._fields, **fields}
                getattr(target, level)(message, **renamed(fields, "event", "event_id"))
        except Exception:
            # What cannot be logged must not stop the thread that wanted to.
            WRITER.counts["failed"] += 1


def get_logger(**fields: Any) -> Logger:
    """A logger.

    :param fields: what every record of it holds.
    """
    return Logger(**fields)


def configure(
    level: str = "info",
    format: Format = "console",
    backlog: int = BACKLOG,
    fields: Mapping[str, Any] | None = None,
) -> None:
    """Say what the package logs, and how; without this call the program's *structlog* decides.

    :param level: the lowest level that is written, one of :data:`LEVELS`.
    :param format: ``"console"`` for people, coloured on a terminal; ``"json"`` for programs.
    :param backlog: how many lines may wait to be written while a server runs.
    :param fields: what every record holds, whoever writes it.
    :raises ValueError: for any other level or format, and for a backlog under 1.
    """
    global _configured
    _check("level", level, LEVELS)
    _check("format", format, FORMATS)
    if type(backlog) is not int or backlog < 1:
        raise ValueError(f"backlog: {backlog!r} is not a whole number from 1 up")
    WRITER.limit = backlog
    _configured = Settings(level, format, Stderr(), fields)


def settings() -> Settings:
    """What was configured, or what is in force without that."""
    return _configured or _DEFAULT


def flush(timeout: float = 1.0) -> bool:
    """Wait until what was logged before is written: while a server runs, a thread of its own writes.

    Not to be called on a thread that may be interrupted: a plugin's.

    :param timeout: seconds to wait at most.
    :returns: whether everything is written.
    """
    return WRITER.flush(timeout)


class Stderr:
    """What *structlog* writes to: whatever ``sys.stderr`` is at that moment, a line at a time."""

    def msg(self, line: str) -> None:
        """Write a line."""
        WRITER.write(stream_of(sys.stderr), line + "\n")

    debug = info = warning = warn = error = exception = critical = fatal = log = msg


def _check(what: str, given: str, known: Collection[str]) -> None:
    if given not in known:
        raise ValueError(f"there is no log {what} {given!r}: use one of {', '.join(known)}")


def _target(level: str) -> Any:
    """The *structlog* logger for a record of that level; None when it is not to be written."""
    chosen = _configured
    if chosen is None:
        structlog = sys.modules.get("structlog")
        configured = getattr(structlog, "is_configured", None)
        if structlog is not None and configured is not None and configured():
            return structlog.get_logger()
        chosen = _DEFAULT
    return chosen.logger() if LEVELS[level] >= LEVELS[chosen.level] else None


def _dropped(count: int) -> str:
    """The line that says how many were dropped."""
    text = f"{count} lines of the log were dropped: nobody read it fast enough"
    return settings().line("warning", text)


_DEFAULT: Final = Settings("warning", "console", Stderr())
_configured: Settings | None = None
WRITER.note = _dropped
