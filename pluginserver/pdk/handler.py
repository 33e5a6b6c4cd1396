"""A handler that sends the records of :mod:`logging` to Kong's log.

Rules kept here:

* no lock is held while Kong is asked: the callback switches to another greenlet, and whoever waited
  for the lock in another thread would wait for Kong;
* a record that is written where no event runs goes to another handler.
"""

from __future__ import annotations

import logging
from typing import Final

from ..errors import EventEndedError, OutsideEventError
from ..events.callbacks import callback, in_event
from ..logs import one_line
from . import kong
from .log import Log, message

_METHODS: Final = (
    (logging.CRITICAL, "crit"),
    (logging.ERROR, "err"),
    (logging.WARNING, "warn"),
    (logging.INFO + 5, "notice"),
    (logging.INFO, "info"),
)
"""The lowest of Python's levels for each of Kong's; what is below the last is ``debug``."""


class KongHandler(logging.Handler):
    """Sends records to Kong's log, at the level that fits::

        logging.getLogger("my_plugin").addHandler(KongHandler())

    A level between ``INFO`` and ``WARNING``, from 25 on, is Kong's ``notice``.

    :param level: records below it are dropped.
    :param fallback: gets what is written where no event runs, such as in a thread of the plugin's own;
        None drops it.
    :param log: decides which levels are sent.
    """

    def __init__(
        self,
        level: int | str = logging.NOTSET,
        fallback: logging.Handler | None = logging.lastResort,
        log: Log = kong.log,
    ) -> None:
        super().__init__(level)
        self._log = log
        self._fallback = fallback
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def handle(self, record: logging.LogRecord) -> bool:
        """Send a record, without the lock that :class:`logging.Handler` would take."""
        passed = self.filter(record)
        if isinstance(passed, logging.LogRecord):
            record = passed
        if passed:
            self.emit(record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        method = next((name for low, name in _METHODS if record.levelno >= low), "debug")
        if not self._log.enabled(method):
            return
        try:
            words = message((one_line(self.format(record)),))
        except Exception:
            self.handleError(record)
            return
        try:
            if in_event():
                callback(f"kong.log.{method}", words)
                return
        except (OutsideEventError, EventEndedError):
            pass
        if self._fallback is not None and record.levelno >= self._fallback.level:
            self._fallback.handle(record)
