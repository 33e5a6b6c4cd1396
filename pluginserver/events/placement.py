"""Whether a phase's events share the leader's thread (inline) or have threads of their own.

A phase that blocks must not run on the leader, where everybody waits behind it; one whose code is tied to
its thread (a lock held across a callback, a thread-local value, a running loop) must not share a thread at
all; any other phase should, because to hand it to another thread costs more than to run it.  So a phase
begins on threads of its own, and has to earn its place on the leader's.  Its states::

    TRIAL  --> SHARED  a row of events without a slow slice, and nothing that ties
    TRIAL  --> OWN     something ties it to its thread: until the plugin is loaded again
    SHARED --> TRIAL   the leader had to be replaced, or STRIKES slow slices within WINDOW
    TRIAL  --> SHARED  the slice for which it was replaced has only waited for a processor
    SHARED --> OWN     STRIKES slices that blocked: until the plugin is loaded again

Rules kept here:

* what the plugin's source says is asked when the trial is about to be passed, on the worker that ends the
  event; the frames of a suspended event are looked at on its own thread, as long as it is not decided
  that the phase stays there;
* a trial is twice as long as the one before, and half as long for each :data:`FORGIVEN` that the phase
  ran inline in between;
* each decision is one line in the log, with its reason.

Counters are written by several threads without a lock: a lost update only delays a judgement.  Decisions are
made under one.
"""

from __future__ import annotations

import threading
from time import monotonic
from types import FrameType
from typing import Final, Protocol

from ..logs import Logger, Repeats, get_logger
from ..runtime.requests import SLOW
from ..runtime.usage import Spent

STRIKES: Final = 3
"""One slow slice may be the scheduler's doing, or a garbage collection."""

WINDOW: Final = 10.0
"""Seconds within which the strikes must come."""

BLOCKED: Final = 0.005
"""Seconds.  A slice that was blocked for longer counts as one that blocks."""

REMEMBERED: Final = 3600.0
"""Seconds after which such a slice is forgotten: a disk that was slow once a day is not the plugin's."""

FIRST_TRIAL: Final = 32
LAST_TRIAL: Final = 4096
"""How many fast events in a row make a phase run inline: at first, and at most."""

FORGIVEN: Final = 60.0
"""Seconds inline after which the next trial is half as long."""

NO_JUDGE: Final = "nothing in it was judged"


class Judge(Protocol):
    """What knows a plugin's source."""

    def reason(self) -> str | None:
        """What ties the plugin's events to a thread, with file and line; None for nothing."""

    def held(self, frame: FrameType | None) -> str | None:
        """What is held at the place where a frame is suspended, with file and line; None for nothing."""


class Placement:
    """Where the events of one phase of one plugin run, and what is known of them.

    :param chosen: ``"own"`` or ``"shared"`` when the plugin says so itself: then nothing is judged, but that
        :data:`STRIKES` slices which have the leader replaced within :data:`WINDOW` end a shared placement
        for a trial of its slices.
    :param judge: what knows the plugin's source; without it only slices are judged.
    :param log: where decisions are told.
    """

    __slots__ = (
        "_blocked",
        "_chosen",
        "_fast",
        "_judge",
        "_lock",
        "_log",
        "_repeats",
        "_shared",
        "_since",
        "_strikes",
        "_trial",
        "inline",
        "open",
        "reason",
    )

    def __init__(
        self, chosen: str | None = None, judge: Judge | None = None, log: Logger | None = None
    ) -> None:
        self.inline = False
        self.open = True
        """Whether the events may still become inline."""
        self.reason = f"a trial of {FIRST_TRIAL} events is not over"
        self._chosen = chosen
        self._judge = judge if chosen is None else None
        self._log = log or get_logger()
        self._repeats = Repeats()
        self._lock = threading.Lock()
        self._strikes: list[float] = []
        self._blocked: list[float] = []
        self._fast = 0
        self._trial = FIRST_TRIAL
        self._shared: str | None = None
        """Why it was inline until the leader was replaced; None when that was not the last that happened."""
        self._since = 0.0
        if chosen == "own":
            self._keep('the plugin says threads = "own"')
        elif chosen == "shared":
            self._share('the plugin says threads = "shared"', monotonic())

    @property
    def name(self) -> str:
        """``"own"``, ``"shared"`` or ``"trial"``."""
        if self.inline:
            return "shared"
        return "trial" if self.open else "own"

    # -- on the leader

    def replaced(self, now: float) -> None:
        """Note a slice so long that the leader was replaced; ``now`` is on the monotonic clock."""
        if self._chosen is None or self._strike(now):
            shared = self.reason
            if self._retry("the leader had to be replaced", now):
                self._shared = shared

    def slow_inline(self, now: float, spent: Spent | None) -> None:
        """Note a slow slice that began on the leader.

        :param now: seconds on the monotonic clock.
        :param spent: where its time went; None when that is not known.
        """
        if spent is not None and spent.own <= SLOW:
            self._acquit(now)
            return
        if self._chosen is not None:
            return
        blocked = 0.0 if spent is None else spent.blocked
        if blocked > BLOCKED:
            self._blocked = [at for at in self._blocked if now - at < REMEMBERED]
            self._blocked.append(now)
            if len(self._blocked) >= STRIKES:
                self._keep(
                    f"{STRIKES} slices blocked, the last one for {1000 * blocked:.0f} ms:"
                    " it waits for something else than Kong"
                )
                return
        if self._strike(now):
            self._retry(f"{STRIKES} slices were slow within {WINDOW:.0f} s", now)

    def _strike(self, now: float) -> bool:
        """Count one; whether they are too many now."""
        self._strikes = [at for at in self._strikes if now - at < WINDOW]
        self._strikes.append(now)
        return len(self._strikes) >= STRIKES

    # -- on workers

    def look(self, frame: FrameType | None) -> None:
        """Look at what a suspended event holds; on its thread.

        :param frame: its innermost frame.
        """
        if self._judge is not None and self.open:
            held = self._judge.held(frame)
            if held is not None:
                self._keep(self._judge.reason() or held)

    def ended_on_worker(self, slow: bool, now: float) -> None:
        """Note the end of an event on a thread of its own.

        :param slow: whether one of its slices was slow.
        :param now: seconds on the monotonic clock.
        """
        if slow:
            self._fast = 0
            return
        self._fast += 1
        if self._fast < self._trial or self.inline or not self.open:
            return
        tie = self._judge.reason() if self._judge is not None else None
        if tie is not None:
            self._keep(tie)
            return
        nothing = "nothing in its source ties an event to its thread"
        self._share(
            f"{self._trial} events in a row were quick, and {nothing if self._judge else NO_JUDGE}",
            now,
        )

    # -- decisions

    def _share(self, reason: str, now: float) -> None:
        with self._lock:
            if self.inline or not self.open:
                return
            self.reason = reason
            self._shared = None
            self._since = now
            self.inline = True
        self._tell(f"its events share a thread: {reason}")

    def _acquit(self, now: float) -> None:
        """Take back that the leader was replaced for a slice that could not help it."""
        shared, self._shared = self._shared, None
        if shared is not None:
            self._trial = max(FIRST_TRIAL, self._trial // 2)
            self._share(shared, now)

    def _retry(self, reason: str, now: float) -> bool:
        """Give the phase's events threads of their own, and try again; False when they have them."""
        with self._lock:
            if not self.inline:
                return False
            self.inline = False
            self._fast = 0
            self._strikes.clear()
            halved = min(int(max(0.0, now - self._since) / FORGIVEN), LAST_TRIAL.bit_length())
            self._trial = max(FIRST_TRIAL, min(2 * self._trial >> halved, LAST_TRIAL))
            self.reason = f"{reason}, a trial of {self._trial} events is not over"
        self._tell(f"its events have threads of their own for now: {self.reason}")
        return True

    def _keep(self, reason: str) -> None:
        """Give the phase's events threads of their own, for good."""
        with self._lock:
            if not self.open:
                return
            self.open = self.inline = False
            self.reason = reason
        self._log.info(f"each of its events has a thread of its own: {reason}")

    def _tell(self, decision: str) -> None:
        """Log a decision that may come again, once a minute."""
        if self._repeats.note(self.name) is not None:
            self._log.info(decision)
