"""What a thread did with the time of a slice: computed, waited for a processor, or blocked.

Wall time alone does not tell: a slice that waits for the interpreter's lock beside a computing neighbour, or
for a processor on a crowded machine, looks like one that waits for a database.  So a slice counts as blocked
only for the part of its wall time in which its thread had no processor and waited for none, and no other
thread of the process computed.  Rules kept here:

* a reading keeps the interpreter's lock: beside handlers that compute it would cost the leader three turns;
* a reading costs system calls, so the leader takes one after a poll, when the last one is not
  :data:`FRESH` any more, and none for a slice that is quick; a worker takes one for each slice of a trial;
* where the system does not tell for how long a thread waited for a processor, nothing is made up.
"""

from __future__ import annotations

from time import monotonic, process_time
from typing import Final, NamedTuple

from . import syscalls

FRESH: Final = 0.002
"""Seconds for which a reading stands for the beginning of a slice.

A reading costs 15 us, so this is less than one per cent of the leader's time; by so much may the time for
which a slice was blocked be overrated, when the leader was idle before it.
"""

SCHEDSTAT: Final = b"/proc/thread-self/schedstat"
"""Nanoseconds on a processor, nanoseconds of waiting for one, and the number of its turns."""


class Spent(NamedTuple):
    """Where the time of a slice went, in seconds.

    :param computed: its thread computed, at least.
    :param blocked: it was blocked, and nothing else explains why it did not go on.
    :param waited: it waited for a processor.
    """

    computed: float
    blocked: float
    waited: float

    @property
    def own(self) -> float:
        """For how long it would have held its thread up with nothing else on the machine, at least."""
        return max(self.computed, self.blocked)


class Usage:
    """A reading, of the thread that takes it."""

    __slots__ = ("_own", "_process", "at")

    def __init__(self) -> None:
        self.at = monotonic()
        self._process = process_time()
        self._own = _schedule()

    def spent(self, took: float) -> Spent | None:
        """What the slice that ends now has spent, on the thread of this reading.

        :param took: its seconds; the reading was taken before it, or when it began.
        :returns: None when the system does not tell.
        """
        now = Usage()
        if self._own is None or now._own is None:
            return None
        passed = now.at - self.at
        waited = now._own[1] - self._own[1]
        computed = now._own[0] - self._own[0] - (passed - took)
        blocked = passed - waited - (now._process - self._process)
        return Spent(*(max(0.0, min(took, one)) for one in (computed, blocked, waited)))


def _schedule() -> tuple[float, float] | None:
    """The seconds that this thread has had a processor, and has waited for one."""
    try:
        computed, waited, _ = syscalls.read_file(SCHEDSTAT, 100).split()
        return int(computed) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        return None
