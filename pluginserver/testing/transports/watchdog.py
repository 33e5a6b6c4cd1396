"""A watchdog over code that may never come back, in the thread that runs it.

One daemon thread serves the whole process.  It sleeps until the earliest deadline that it knows of, and
interrupts the thread that missed it, by the protocol of :mod:`pluginserver.runtime.interrupts`.  Rules kept
here:

* the thread under watch takes no lock between the start of its deadline and :meth:`Deadline.met`;
* after :meth:`Deadline.met` the interrupt has come, or never will.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from ...runtime.interrupts import Cancelled, Interruptible

_NEVER: Final = float("inf")


class Deadline(Interruptible):
    """A time at which a thread must be done: made, started and met in that thread.

    Start it inside the ``try`` that catches ``Cancelled``: from then on the exception may come.
    """

    __slots__ = ("_seconds", "_thread", "_watchdog", "at", "missed")

    def __init__(self, watchdog: Watchdog, seconds: float) -> None:
        super().__init__()
        self.at = _NEVER
        self.missed = False
        """Whether the watchdog was first."""
        self._watchdog = watchdog
        self._seconds = seconds
        self._thread = threading.get_ident()

    def start(self) -> None:
        """Let the time run."""
        self.at = time.monotonic() + self._seconds
        self._watchdog.watch(self)

    def miss(self) -> None:
        """Interrupt the thread, unless that was faster; the watchdog only."""
        if self.claim():
            self.missed = True
            self.interrupt(self._thread)

    def met(self) -> bool:
        """Say that the thread is done, as often as it likes.

        :returns: whether it was in time.
        """
        while True:
            try:
                if not self.claim():
                    self.acknowledge()
                self._watchdog.pending.pop(self, None)
                return not self.missed
            except Cancelled:
                continue


class Watchdog:
    """The watchdog of a process."""

    def __init__(self) -> None:
        self.pending: dict[Deadline, None] = {}
        """The deadlines that were started and neither met nor missed."""
        self._changed = threading.Condition(threading.Lock())
        self._wakes = _NEVER
        self._thread: threading.Thread | None = None

    def deadline(self, seconds: float) -> Deadline:
        """A deadline for this thread, which is yet to be started."""
        return Deadline(self, seconds)

    def watch(self, deadline: Deadline) -> None:
        """Take up a deadline that was started.

        While the lock is held here no deadline is missed, so that none is missed with the lock held.
        """
        with self._changed:
            self.pending[deadline] = None
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._watch, name="pluginserver-testing-watchdog", daemon=True
                )
                self._thread.start()
            elif deadline.at < self._wakes:
                self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                pending = list(self.pending)
                for deadline in pending:
                    if deadline.at <= now:
                        self.pending.pop(deadline, None)
                        deadline.miss()
                self._wakes = min((one.at for one in pending if one.at > now), default=_NEVER)
                self._changed.wait(None if self._wakes == _NEVER else self._wakes - now)


WATCHDOG: Final = Watchdog()
"""The watchdog of this process."""
