"""Calls of ``kong`` that threads of a plugin's own make during a test: each fails it.

Rules kept here:

* only a thread that began after the gateway was made counts: this test answers for none that an earlier one
  has left;
* at the end of a test the threads that it has begun get a moment to come to their call.
"""

from __future__ import annotations

import threading
import time
from typing import Final
from weakref import WeakSet

from ...errors import OutsideEventError
from ...events.outside import OBSERVERS

MOMENT: Final = 0.1
"""Seconds that threads get at the end of a test, together."""


class Strays:
    """The calls that were made where no event runs, as long as a gateway is open."""

    def __init__(self) -> None:
        self._before = WeakSet(threading.enumerate())
        self._calls: list[str] = []
        OBSERVERS.append(self._note)

    def close(self) -> None:
        """Look no longer."""
        if self._note in OBSERVERS:
            OBSERVERS.remove(self._note)

    def take(self) -> list[str]:
        """What there is to be said, once."""
        calls, self._calls = self._calls, []
        return calls

    def check(self) -> None:
        """Wait a moment for the threads that have begun.

        :raises AssertionError: when one of them calls ``kong``, or has called it since the last request.
        """
        until = time.monotonic() + MOMENT
        for thread in self._begun():
            thread.join(max(0.0, until - time.monotonic()))
        calls = self.take()
        if calls:
            raise AssertionError("\n".join(calls))

    def _begun(self) -> list[threading.Thread]:
        """The threads that are not the package's own and were begun meanwhile."""
        return [
            thread
            for thread in threading.enumerate()
            if thread not in self._before and not thread.name.startswith("pluginserver")
        ]

    def _note(self, error: OutsideEventError) -> None:
        if threading.current_thread() not in self._before:
            self._calls.append(str(error))
