"""Everything else in a process that is the server and nothing else: it logs as the package does.

Rules kept here:

* our handler of :mod:`logging` has no lock: a handler's thread that is interrupted while it logs would
  keep it for ever, and every thread that logs after it would wait;
* this module imports :mod:`logging`, so it is imported only by a process that serves;
* what a library logs below ``warning`` is dropped, unless its logger was given a level: an HTTP client logs
  each request with its query, which is noise, and may hold a key;
* what a plugin cannot format costs a line that says so, never a traceback past the log.
"""

from __future__ import annotations

import logging
import sys
import sysconfig
import threading
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

from .logger import Logger, Stderr, get_logger, settings
from .printed import Printed
from .render import LEVELS, Record, renamed

LIBRARIES: Final = tuple(
    f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
"""Where the files of libraries are."""


def adopt(about: Callable[[], Mapping[str, Any]], is_ours: Callable[[str], bool]) -> None:
    """See :func:`pluginserver.logs.adopt`."""
    import structlog

    chosen = settings()
    structlog.configure(
        processors=[_Fields(about), *chosen.processors()],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[chosen.level]),
        logger_factory=lambda *_name: Stderr(),
        cache_logger_on_first_use=True,
    )
    log = get_logger()
    logging.basicConfig(
        handlers=[_Records(log, about, is_ours)], level=chosen.level.upper(), force=True
    )
    logging.captureWarnings(True)
    _catch_the_rest(log)


def adopt_output() -> None:
    """See :func:`pluginserver.logs.adopt_output`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Printed):
            setattr(sys, name, Printed(stream))


class _Fields:
    """A processor of *structlog*: adds what is known of the event that logs.

    :param about: gives the fields.
    """

    def __init__(self, about: Callable[[], Mapping[str, Any]]) -> None:
        self._about = about

    def __call__(self, _logger: Any, _method: str, record: MutableMapping[str, Any]) -> Record:
        return {**renamed(dict(self._about()), "event", "event_id"), **record}


class _Records(logging.Handler):
    """Logs the records of :mod:`logging`.

    :param log: where to.
    :param about: gives further fields.
    :param is_ours: whether a logger of that name is no library's.
    """

    def __init__(
        self,
        log: Logger,
        about: Callable[[], Mapping[str, Any]],
        is_ours: Callable[[str], bool],
    ) -> None:
        super().__init__()
        self._log = log
        self._about = about
        self._is_ours = is_ours

    def createLock(self) -> None:
        """Have none."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Log a record that the filters let through, and that is not what a library says all the time."""
        if self._is_chatter(record):
            return False
        found = self.filter(record)
        if isinstance(found, logging.LogRecord):  # from Python 3.12 on a filter may return another
            record = found
        if found:
            self.emit(record)
        return bool(found)

    def _is_chatter(self, record: logging.LogRecord) -> bool:
        """Whether a library says something below ``warning`` that nobody has asked it for."""
        if record.levelno >= logging.WARNING or not record.pathname.startswith(LIBRARIES):
            return False
        logger: Any = logging.Logger.manager.loggerDict.get(record.name)  # getLogger takes a lock
        while isinstance(logger, logging.Logger) and logger.parent is not None:
            if logger.level:
                return False
            logger = logger.parent
        return not self._is_ours(record.name)

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        level = next((x for x in reversed(LEVELS) if LEVELS[x] <= record.levelno), "debug")
        error = {"exc_info": record.exc_info[1]} if record.exc_info else {}
        try:
            text = record.getMessage()
        except Exception as failure:
            text = (
                f"{record.msg!s:.200}: the arguments of this record do not fit it, in"
                f" {record.pathname}:{record.lineno}: {type(failure).__name__}"
            )
        self._log.write(level, text, logger=record.name, **self._about(), **error)


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
