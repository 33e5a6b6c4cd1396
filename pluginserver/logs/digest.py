"""What comes again and again, told once in a while, with a count.

Rules kept here:

* an error that comes again and again is told once a minute, and in the end what was kept silent;
* :class:`Repeats` has a lock, so nothing here is called where an interrupt can strike (see
  :mod:`pluginserver.runtime.interrupts`): by the leader outside of its slices, by the clock, and by a
  thread that has acknowledged what it ran, never by a handler.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from .logger import Logger, get_logger
from .places import raised_at
from .render import one_line


class Repeats:
    """Counts what comes again and again, so that it is told once in a while only.

    May be used by any thread that cannot be interrupted then.

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


class Seldom:
    """Says whether something is to be told, as :class:`Repeats`, without a count and without a lock.

    So it may be asked where an interrupt may come; of two threads that ask at once both may be told so.

    :param interval: seconds between two times that the same thing is told.
    :param limit: how many different things are remembered; beyond it all are forgotten.
    """

    def __init__(self, interval: float = 60.0, limit: int = 1000) -> None:
        self._interval = interval
        self._limit = limit
        self._told: dict[Any, float] = {}

    def is_due(self, key: Any) -> bool:
        """Whether it was not told just now; it is taken to be told then.

        :param key: what is to be told; hashable.
        """
        now = time.monotonic()
        if now - self._told.get(key, -self._interval) < self._interval:
            return False
        if len(self._told) >= self._limit:
            self._told = {}
        self._told[key] = now
        return True


class ErrorDigest:
    """Logs what handlers raise, each distinct error once a minute, with its full traceback.

    Two errors are the same when plugin, phase, the exception's type and the place where it was
    raised are.  May be used by any thread that cannot be interrupted then.

    :param repeats: decides what is told when.
    :param logger: where to.
    """

    def __init__(self, repeats: Repeats | None = None, logger: Logger | None = None) -> None:
        self._repeats = Repeats() if repeats is None else repeats
        self._log = logger or get_logger()

    def report(
        self,
        error: BaseException,
        *,
        plugin: str,
        phase: str,
        instance: int,
        event: int,
        **more: Any,
    ) -> None:
        """Log an error, if it was not logged just now.

        The record's field ``repeats`` says how often the error came in silence since the last time.

        :param instance: the id of the plugin's instance.
        :param event: the id of the event.
        :param more: further fields of the record.
        """
        kind = type(error)
        key = (plugin, phase, f"{kind.__module__}.{kind.__qualname__}", raised_at(error))
        repeats = self._repeats.note(key)
        if repeats is not None:
            what = "".join(traceback.format_exception_only(error))
            self._log.error(
                f"the handler failed: {one_line(what.strip())}",
                plugin=plugin,
                phase=phase,
                instance=instance,
                event=event,
                **more,
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
                f"the handler failed again: {kind} at {place or 'an unknown place'}",
                plugin=plugin,
                phase=phase,
                repeats=count,
            )
        return self._repeats.interval if self._repeats else None
