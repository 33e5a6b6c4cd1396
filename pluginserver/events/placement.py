"""Which phases of which plugins block, judged by how long their slices take.

A *slice* is the time from a switch into a handler to the switch out of it.  A phase that blocks
must not run on the leader, where everybody waits behind it; a phase that does not block should,
because to hand it to another thread costs more than to run it.  Rules kept here:

* a phase counts as *blocking* until a row of events without a slow slice, on workers, shows that
  it is not: events started on a leader that then gets stuck are stuck with it;
* one slice so long that the leader had to be replaced, or :data:`STRIKES` slices over
  :data:`SLOW` within :data:`WINDOW`, make a phase blocking again;
* the row is twice as long each time, so that a phase that blocks now and then costs the leader
  less and less.

A pace is written by several threads without a lock: what it holds is a judgement, and a lost
update only delays it.
"""

from __future__ import annotations

from typing import Final

SLOW: Final = 0.002
"""Seconds.  A handler that computes takes microseconds; a network call takes milliseconds."""

STRIKES: Final = 3
"""One slow slice may be the scheduler's doing, or a garbage collection."""

WINDOW: Final = 10.0
"""Seconds within which the strikes must come."""

FIRST_PROBATION: Final = 32
LAST_PROBATION: Final = 65_536
"""How many fast events in a row make a phase run inline: at first, and at most."""


class Pace:
    """What is known of one phase of one plugin."""

    __slots__ = ("_fast", "_probation", "_strikes", "blocking")

    def __init__(self) -> None:
        self.blocking = True
        self._strikes: list[float] = []
        self._fast = 0
        self._probation = FIRST_PROBATION

    def block(self) -> None:
        """Make an inline phase blocking."""
        self.blocking = True
        self._fast = 0
        self._strikes.clear()

    def slow_inline(self, now: float) -> None:
        """Note a slice over :data:`SLOW` on the leader; ``now`` is seconds on a monotonic
        clock."""
        self._strikes = [at for at in self._strikes if now - at < WINDOW]
        self._strikes.append(now)
        if len(self._strikes) >= STRIKES:
            self.block()

    def ended_on_worker(self, slow: bool) -> None:
        """Note the end of an event on a worker, and whether one of its slices was over
        :data:`SLOW`."""
        if slow:
            self._fast = 0
            return
        self._fast += 1
        if self._fast >= self._probation and self.blocking:
            self._probation = min(2 * self._probation, LAST_PROBATION)
            self.blocking = False
