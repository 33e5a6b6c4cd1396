"""Whether a phase's events share the leader's thread (inline) or have threads of their own.

It is judged by how long their slices take.  A phase that blocks must not run on the leader, where
everybody waits behind it; a phase that does not block should, because to hand it to another thread costs
more than to run it.  Rules kept here:

* a phase begins on threads of its own, until a row of events without a slow slice shows that it does not
  block: events started on a leader that then gets stuck are stuck with it;
* one slice so long that the leader had to be replaced, or :data:`STRIKES` slices over
  :data:`~pluginserver.runtime.requests.SLOW` within :data:`WINDOW`, end the inline placement;
* the row is twice as long each time, so that a phase that blocks now and then costs the leader less and
  less.

A placement is written by several threads without a lock: what it holds is a judgement, and a lost update
only delays it.
"""

from __future__ import annotations

from typing import Final

STRIKES: Final = 3
"""One slow slice may be the scheduler's doing, or a garbage collection."""

WINDOW: Final = 10.0
"""Seconds within which the strikes must come."""

FIRST_TRIAL: Final = 32
LAST_TRIAL: Final = 65_536
"""How many fast events in a row make a phase run inline: at first, and at most."""


class Placement:
    """Where the events of one phase of one plugin run, and what is known of them.

    :param chosen: ``"own"`` or ``"shared"`` when the plugin says so itself: then nothing is judged.
    """

    __slots__ = ("_chosen", "_fast", "_strikes", "_trial", "inline")

    def __init__(self, chosen: str | None = None) -> None:
        self.inline = chosen == "shared"
        self._chosen = chosen is not None
        self._strikes: list[float] = []
        self._fast = 0
        self._trial = FIRST_TRIAL

    def blocked(self) -> None:
        """Give the phase's events threads of their own, and try again."""
        if self._chosen:
            return
        self.inline = False
        self._fast = 0
        self._strikes.clear()

    def slow_inline(self, now: float) -> None:
        """Note a slow slice on the leader; ``now`` is seconds on the monotonic clock."""
        self._strikes = [at for at in self._strikes if now - at < WINDOW]
        self._strikes.append(now)
        if len(self._strikes) >= STRIKES:
            self.blocked()

    def ended_on_worker(self, slow: bool) -> None:
        """Note the end of an event on a thread of its own, and whether one of its slices was slow."""
        if slow:
            self._fast = 0
            return
        self._fast += 1
        if self._fast >= self._trial and not self.inline and not self._chosen:
            self._trial = min(2 * self._trial, LAST_TRIAL)
            self.inline = True
