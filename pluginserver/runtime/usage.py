"""What a thread did with the time of a slice: computed, waited for a processor, or blocked.

Wall time alone does not tell: a slice that waits for the interpreter's lock beside a computing neighbour, or
for a processor on a crowded machine, looks like one that waits for a database.  So a slice counts as blocked
only for the part of its wall time in which its thread had no processor and waited for none, and no other
thread of the process computed.  Rules kept here:

* a reading costs system calls, so the leader takes one after a poll, when the last one is not
  :data:`FRESH` any more, and none for a slice that is quick;
* where the system does not tell for how long a thread waited for a processor, nothing counts as blocked.
"""

from __future__ import annotations

import os
from time import monotonic, process_time
from typing import Final

FRESH: Final = 0.002
"""Seconds for which a reading stands for the beginning of a slice.

A reading costs 15 us, so this is less than one per cent of the leader's time; by so much may the time for
which a slice was blocked be overrated, when the leader was idle before it.
"""

SCHEDSTAT: Final = "/proc/thread-self/schedstat"
"""Nanoseconds on a processor, nanoseconds of waiting for one, and the number of its turns."""


class Usage:
    """A reading, of the thread that takes it."""

    __slots__ = ("at", "computed", "waited")

    def __init__(self) -> None:
        self.at = monotonic()
        self.computed = process_time()
        """Seconds of processor time that the whole process has used."""
        self.waited = _run_delay()
        """Seconds that this thread has waited for a processor; None when that is not known."""

    def blocked(self, limit: float) -> float | None:
        """The seconds since then, on the same thread, in which it was blocked; None when not known.

        :param limit: the most that it can have been.
        """
        now = Usage()
        if self.waited is None or now.waited is None:
            return None
        excused = now.computed - self.computed + now.waited - self.waited
        return min(limit, max(0.0, now.at - self.at - excused))


def _run_delay() -> float | None:
    try:
        descriptor = os.open(SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return int(os.read(descriptor, 100).split()[1]) / 1e9
        finally:
            os.close(descriptor)
    except (OSError, ValueError, IndexError):
        return None
