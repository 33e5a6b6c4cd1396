"""A watchdog over code that may never come back, in the thread that runs it.

One daemon thread serves the whole process.  It sleeps until the earliest deadline that it knows of,
and raises an exception in the thread that missed it, at that thread's next bytecode.

Rules kept here:

* to take a :class:`Deadline` out of the table (an atomic ``dict.pop``) is to claim it: either its
  thread has met it, or the watchdog raises;
* the thread under watch takes no lock when it meets its deadline: the exception may come at any
  bytecode, and a lock that it held would stay locked;
* after :meth:`Deadline.met` the exception has come, or never will.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from ...events.event import Abandoned
from ...runtime.interrupts import raise_in

_NEVER: Final = float("inf")


class Deadline:
    """A time at which a thread must be done: made, started and met in that thread.

    Start it inside the ``try`` that catches :class:`~pluginserver.events.event.Abandoned`: from then on
    the exception may come.
    """

    __slots__ = ("_in_time", "_raised", "_seconds", "_thread", "_watchdog", "at")

    def __init__(self, watchdog: Watchdog, seconds: float) -> None:
        self.at = _NEVER
        self._watchdog = watchdog
        self._seconds = seconds
        self._thread = threading.get_ident()
        self._raised = False
        self._in_time = False

    def start(self) -> None:
        """Let the time run."""
        self.at = time.monotonic() + self._seconds
        self._watchdog.watch(self)

    def miss(self) -> None:
        """Raise :class:`~pluginserver.events.event.Abandoned` in its thread, unless that was faster."""
        if self._watchdog.pending.pop(self, self) is None:
            raise_in(self._thread, Abandoned)
            self._raised = True

    def met(self) -> bool:
        """Say that the thread is done, as often as it likes.

        :returns: whether it was in time.
        """
        if self._in_time or self._watchdog.pending.pop(self, self) is None:
            self._in_time = True
            return True
        while True:
            try:
                while not self._raised:
                    time.sleep(0)
                raise_in(self._thread, None)
                return False
            except Abandoned:
                continue


class Watchdog:
    """The watchdog of a process."""

    def __init__(self) -> None:
        self.pending: dict[Deadline, None] = {}
        """The deadlines that are neither met nor missed."""
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
                        deadline.miss()
                self._wakes = min((one.at for one in pending if one.at > now), default=_NEVER)
                self._changed.wait(None if self._wakes == _NEVER else self._wakes - now)


WATCHDOG: Final = Watchdog()
