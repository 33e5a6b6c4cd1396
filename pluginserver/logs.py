"""The server's own log: one line a record, on stderr.

Kong starts the server as a child and logs its stderr line by line, so a record that holds a line
break would become several.  Rules kept here:

* a record is one line, whatever is in it: line breaks are folded (:func:`fold`, :func:`one_line`);
* *structlog* is imported for the first record that is written, not before: a dump, which Kong waits
  for at its start, writes none and pays nothing;
* the program decides where records go: what it gave to :func:`configure`, else its own
  configuration of *structlog*, else stderr from level ``warning`` up;
* a log that cannot be written (Kong is gone, and so is the pipe) never stops the server;
* an error that comes again and again is told once a minute, with a count (:class:`ErrorDigest`).

The fields of a record about an event are ``plugin``, ``phase``, ``instance`` and ``event``.  As
*structlog* calls the text of a record ``event``, the event's id travels as ``event_id`` inside of
it, and our own output shows the two as ``message`` and ``event``.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection
from typing import Any, Final, Literal

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""The levels by name; the numbers are those of :mod:`logging`."""

FORMATS: Final = ("console", "json")

Format = Literal["console", "json"]

MAX_FRAMES: Final = 64
"""A folded traceback shows so many of the innermost frames: an endless recursion has a thousand."""

_HEADING: Final = "Traceback (most recent call last):"


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
                getattr(target, level)(message, **_renamed(fields, "event", "event_id"))
        except Exception:
            pass  # what cannot be logged must not stop the thread that wanted to


def get_logger(**fields: Any) -> Logger:
    """A logger.

    :param fields: what every record of it holds.
    """
    return Logger(**fields)


def configure(level: str = "info", format: Format = "console") -> None:
    """Say what the package logs, and how; without this call the program's *structlog* decides.

    :param level: the lowest level that is written, one of :data:`LEVELS`.
    :param format: ``"console"`` for people, coloured on a terminal; ``"json"`` for programs.
    :raises ValueError: for any other level or format.
    """
    global _configured
    _check("level", level, LEVELS)
    _check("format", format, FORMATS)
    _configured = _Settings(level, format)


def _check(what: str, given: str, known: Collection[str]) -> None:
    if given not in known:
        raise ValueError(f"there is no log {what} {given!r}: use one of {', '.join(known)}")


def adopt() -> None:
    """Let everything else in this process log as the package does.

    For a program that is the server and nothing else, after :func:`configure`.  It takes on
    *structlog* and :mod:`logging`, as plugins use them, Python's warnings, and the exceptions that
    end a thread or the program, or are raised where nobody can catch them.
    """
    import logging

    import structlog

    settings = _configured or _DEFAULT
    structlog.configure(
        processors=settings.processors(),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[settings.level]),
        logger_factory=lambda *_name: _Stderr(),
        cache_logger_on_first_use=True,
    )
    log = get_logger()

    class Records(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            level = next((x for x in reversed(LEVELS) if LEVELS[x] <= record.levelno), "debug")
            error = {"exc_info": record.exc_info[1]} if record.exc_info else {}
            log.write(level, record.getMessage(), logger=record.name, **error)

    logging.basicConfig(handlers=[Records()], level=settings.level.upper(), force=True)
    logging.captureWarnings(True)
    _catch_the_rest(log)


def _catch_the_rest(log: Logger) -> None:
    """Log the exceptions that nobody can catch."""

    def thread_ended(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread is not None else "unknown"
        log.error(f"a thread ended with an exception: {name}", exc_info=args.exc_value)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        where = f"{args.err_msg or 'Exception ignored in'}: {args.object!r}"
        log.error(where, exc_info=args.exc_value)

    def program_ended(_type: object, error: BaseException, _traceback: object) -> None:
        log.critical("the program ended with an exception", exc_info=error)

    threading.excepthook = thread_ended
    sys.unraisablehook = unraisable
    sys.excepthook = program_ended


def fold(error: BaseException) -> str:
    """An exception and its traceback as one line.

    :returns: the lines of the traceback, without indentation and the line that begins it, between
        ``" | "``.
    """
    text = "".join(traceback.format_exception(error, limit=-MAX_FRAMES))
    lines = (line.strip() for line in text.splitlines())
    return " | ".join(line for line in lines if line.strip("^~ ") and line != _HEADING)


def one_line(text: str) -> str:
    """A text with its line breaks, and the blanks around them, folded into ``" | "``."""
    lines = [line.strip() for line in text.splitlines()]
    return " | ".join(line for line in lines if line) if len(lines) > 1 else text


class _Stderr:
    """What *structlog* writes to: whatever ``sys.stderr`` is at that moment, a line at a time."""

    _lock = threading.Lock()

    def msg(self, line: str) -> None:
        with self._lock:
            if sys.stderr is not None:
                sys.stderr.write(line + "\n")
                sys.stderr.flush()

    debug = info = warning = warn = error = exception = critical = fatal = log = msg


class _Settings:
    """A level, a format, and the *structlog* logger that is made of them when it is needed."""

    def __init__(self, level: str, format: Format) -> None:
        self.level = level
        self.format = format
        self._logger: Any = None

    def logger(self) -> Any:
        if self._logger is None:
            import structlog

            self._logger = structlog.wrap_logger(
                _Stderr(),
                processors=self.processors(),
                wrapper_class=structlog.make_filtering_bound_logger(LEVELS[self.level]),
            ).bind()
        return self._logger

    def processors(self) -> list[Any]:
        from structlog import dev, processors

        renderer: Any = processors.JSONRenderer(default=repr)
        if self.format == "console":
            renderer = dev.ConsoleRenderer(
                colors=sys.stderr is not None and sys.stderr.isatty(),
                event_key="message",
                pad_event_to=0,
                sort_keys=False,
            )
        return [
            processors.add_log_level,
            processors.TimeStamper(fmt="iso", utc=True),
            _finished,
            renderer,
        ]


def _finished(_logger: Any, _method: str, record: dict[str, Any]) -> dict[str, Any]:
    """A processor of *structlog*: what every record has comes first, and no value holds a line break."""
    error = record.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    if error:
        record["traceback"] = fold(error)
    head = {key: record.pop(key) for key in ("timestamp", "level")}
    head["message"] = record.pop("event", "")
    return {
        key: one_line(value) if isinstance(value, str) else value
        for key, value in (head | _renamed(record, "event_id", "event")).items()
    }


def _renamed(fields: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """The fields in their order, one of them under another name."""
    if old not in fields:
        return fields
    return {new if key == old else key: value for key, value in fields.items()}


def _target(level: str) -> Any:
    """The *structlog* logger for a record of that level; None when it is not to be written."""
    settings = _configured
    if settings is None:
        structlog = sys.modules.get("structlog")
        configured = getattr(structlog, "is_configured", None)
        if structlog is not None and configured is not None and configured():
            return structlog.get_logger()
        settings = _DEFAULT
    return settings.logger() if LEVELS[level] >= LEVELS[settings.level] else None


_DEFAULT: Final = _Settings("warning", "console")
_configured: _Settings | None = None


class Repeats:
    """Counts what comes again and again, so that it is told once in a while only.

    :param interval: seconds between two times that the same thing is told.
    :param limit: how many different things are remembered; beyond it the one that was told longest
        ago is forgotten.
    :param clock: seconds on a monotonic clock.
    """

    def __init__(
        self,
        interval: float = 60.0,
        limit: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval = interval
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[Any, tuple[float, int]] = {}
        """When each thing was told, and how often it came since; the oldest first."""

    def note(self, key: Any) -> int | None:
        """Note that something came.

        :param key: what came; hashable.
        :returns: None when it is to be kept silent now, else how often it came, and was kept
            silent, since it was last told.
        """
        now = self._clock()
        with self._lock:
            since, count = self._told.get(key, (None, 0))
            if since is not None and now - since < self.interval:
                self._told[key] = since, count + 1
                return None
            self._told.pop(key, None)
            self._told[key] = now, 0
            if len(self._told) > self._limit:
                del self._told[next(iter(self._told))]
            return count

    def __len__(self) -> int:
        """How many different things are remembered."""
        return len(self._told)

    def collect(self, everything: bool = False) -> list[tuple[Any, int]]:
        """Forget what was told an interval ago or longer.

        :param everything: forget the rest as well.
        :returns: each such thing that came again since, and how often.
        """
        now = self._clock()
        with self._lock:
            over = {
                key: count
                for key, (since, count) in self._told.items()
                if everything or now - since >= self.interval
            }
            for key in over:
                del self._told[key]
        return [(key, count) for key, count in over.items() if count]


class ErrorDigest:
    """Logs what handlers raise, each distinct error once a minute, with its full traceback.

    Two errors are the same when plugin, phase, the exception's type and the place where it was
    raised are.  May be used by any thread.

    :param repeats: decides what is told when.
    :param logger: where to.
    """

    def __init__(self, repeats: Repeats | None = None, logger: Logger | None = None) -> None:
        self._repeats = Repeats() if repeats is None else repeats
        self._log = logger or get_logger()

    def report(
        self, error: BaseException, *, plugin: str, phase: str, instance: int, event: int
    ) -> None:
        """Log an error, if it was not logged just now.

        The record's field ``repeats`` says how often the error came in silence since the last time.

        :param instance: the id of the plugin's instance.
        :param event: the id of the event.
        """
        kind = type(error)
        key = (plugin, phase, f"{kind.__module__}.{kind.__qualname__}", _place(error))
        repeats = self._repeats.note(key)
        if repeats is not None:
            what = "".join(traceback.format_exception_only(error))
            self._log.error(
                f"the handler failed: {one_line(what.strip())}",
                plugin=plugin,
                phase=phase,
                instance=instance,
                event=event,
                repeats=repeats,
                exc_info=error,
            )

    def flush(self, everything: bool = False) -> float | None:
        """Log how often errors came in silence whose minute is over and that came no more.

        :param everything: do not wait for the minute; for the end of the server.
        :returns: in how many seconds to call again; None when nothing is remembered.
        """
        for (plugin, phase, kind, place), count in self._repeats.collect(everything):
            self._log.error(
                f"the handler failed again: {kind} at {place}",
                plugin=plugin,
                phase=phase,
                repeats=count,
            )
        return self._repeats.interval if self._repeats else None


def _place(error: BaseException) -> str:
    """Where an exception was raised: file and line."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return "an unknown place"
    frame, line = frames[-1]
    return f"{frame.f_code.co_filename}:{line}"
