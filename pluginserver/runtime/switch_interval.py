"""Keeps one handler that computes without end from slowing all others down.

CPython runs one thread at a time, and a thread that computes gives way only when another one has
asked for it for ``sys.getswitchinterval()``, 5 ms by default.  The leader asks again after every
poll, so a single endless loop on a worker makes each request wait for several such intervals.  Rules
kept here:

* the interval is short only while a slice computes for long: with many threads that take turns in
  good order, short intervals cost more than they bring;
* it belongs to the whole process, so servers side by side share one decision, and the last one to
  need it puts back what the program had chosen.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from ..logs import release_held

LONG: Final = 0.005
"""Seconds after which a slice is looked at: it may have held up others for an interval."""

PERIOD: Final = 0.05
"""Seconds between two looks."""

SHORT_INTERVAL: Final = 0.0002
"""Seconds; with an endless loop beside it, ``hello`` is twenty times as fast as with 5 ms."""

_HALF_A_MICROSECOND: Final = 0.5e-6
"""CPython cuts the interval down to whole microseconds: what was read and is set again would shrink."""

_lock = threading.RLock()
_requesting: set[object] = set()
_chosen = 0.005


def cpu_time(ident: int) -> float:
    """The CPU time that a thread, which must be alive, has used, in seconds."""
    return time.clock_gettime(time.pthread_getcpuclockid(ident))


class SwitchInterval:
    """One server's request for short intervals.

    :param cpu_time: how many seconds of CPU time a thread, named by its ident, has used.
    """

    def __init__(self, cpu_time: Callable[[int], float] = cpu_time) -> None:
        self._cpu_time = cpu_time
        self._spent: dict[int, float] = {}
        self._looked = 0.0

    def look(self, now: float, threads: Iterable[int]) -> None:
        """See whether the threads compute, each or in turn, and request them accordingly.

        :param now: seconds on the monotonic clock; looks that follow each other at once are skipped.
        :param threads: the idents of those that have been in one slice for longer than :data:`LONG`;
            they must be alive.
        """
        passed = now - self._looked
        if passed < PERIOD:
            return
        self._looked = now
        before = self._spent
        self._spent = {ident: self._cpu_time(ident) for ident in threads}
        spent = sum(now - before[one] for one, now in self._spent.items() if one in before)
        self._request(spent > passed / (8 if self in _requesting else 4))

    def close(self) -> None:
        """Request nothing any more."""
        self._request(False)

    @staticmethod
    def unlock() -> None:
        """Release what the calling thread holds, after something was raised in it at any place."""
        release_held(_lock)

    def _request(self, short: bool) -> None:
        global _chosen
        if (self in _requesting) is short:
            return
        with _lock:
            if short:
                if not _requesting:
                    _chosen = sys.getswitchinterval()
                    sys.setswitchinterval(min(SHORT_INTERVAL, _chosen) + _HALF_A_MICROSECOND)
                _requesting.add(self)
            else:
                _requesting.discard(self)
                if not _requesting:
                    sys.setswitchinterval(_chosen + _HALF_A_MICROSECOND)
