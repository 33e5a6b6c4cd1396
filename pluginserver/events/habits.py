"""What the events of one phase are used to do: the judgement by which many are asked for, or sent, at once.

Kong's ``get_headers`` of 13 headers costs it as much as one ``get_header``, that of 33 as much as two or
three.  So a phase whose last events read several headers, or query arguments, one by one asks for all of
them at the first one: from two on while there are few, from three on while there are some, never when
there are many.

Rules kept here:

* a read counts when the map with all of them would have answered it, or has; a header that is set counts
  when the one before it was of the same target, with nothing in between;
* events overlap: many may have their first before any has its second, so what counts is a share of many
  events, and a phase that has changed its ways is followed within some two hundred;
* where too many headers came, or Kong refused, one event in :data:`AGAIN` tries again;
* in ProtoBuf:1 none are asked for at once: there a callback costs Kong little, and a map of all headers
  costs this server more than the callbacks that it spares.

The numbers are written by several threads without a lock: a lost update only delays a judgement.
"""

from __future__ import annotations

from typing import Final

RATE: Final = 1 / 256
"""How much the last event counts, against all before it."""

SURE: Final = 0.5
"""So large a share of the last events must have read several."""

DOUBT: Final = 5
"""So many events that had one are thought to be before the first: a phase that is new must have read several
in six events in a row."""

NEVER: Final = 0.01
"""So few of the last events are none: a phase that had several once is again like one that never had."""

FEW: Final = 16
"""So many headers cost Kong hardly more than one."""

SOME: Final = 40
"""So many cost it as much as three."""

AGAIN: Final = 64
"""After so many events that would have asked for all, but for their number, one does."""


class Habit:
    """How many of one thing, headers or query arguments, the last events have read, or set, one by one."""

    __slots__ = ("_events", "_never", "_size", "_three", "_waited", "several")

    def __init__(self, never: bool = False) -> None:
        """Nothing is known yet.

        :param never: whether one by one is always better.
        """
        self._never = never
        self.several = 0.0
        """How many of the last events had two or more; 0.0 for never."""
        self._three = 0.0
        self._events = 0.0
        self._size = 0
        """How many there were lately."""
        self._waited = 0

    def begin(self) -> bool:
        """Note that an event has its first; whether it is to ask for all of them, or wait for the next."""
        self.several = two = self.several - RATE * self.several
        self._three = three = self._three - RATE * self._three
        self._events = events = self._events - RATE * self._events + 1
        sure = SURE * (events + DOUBT)
        if two < sure or self._never:
            if two < NEVER:
                self.several = 0.0
            return False
        if self._size <= (SOME if three >= sure else FEW):
            return True
        self._waited += 1
        if self._waited < AGAIN:
            return False
        self._waited = 0
        return True

    def second(self) -> None:
        """Note that an event has two."""
        self.several += 1

    def third(self) -> None:
        """Note that an event has three."""
        self._three += 1

    def fetched(self, size: int) -> None:
        """Note how many there were; fewer than before are believed little by little."""
        self._size = max(size, self._size - (self._size >> 3) - 1)

    def refused(self) -> None:
        """Note that Kong did not give them."""
        self._size = SOME + 1


HEADERS, ARGUMENTS, RESPONSE, SERVICE = range(4)
"""The places of :class:`Habits`: headers and query arguments of the request that are read, headers of the
response and of the service's request that are set."""


class Habits(tuple[Habit, ...]):
    """What the events of one phase of one plugin are used to do."""

    one_by_one: Habits
    """The same of those whose protocol is better off with one by one."""

    def __new__(cls) -> Habits:
        self = cls._made(never=False)
        self.one_by_one = cls._made(never=True)
        return self

    @classmethod
    def _made(cls, never: bool) -> Habits:
        return super().__new__(cls, (Habit(never), Habit(never), Habit(), Habit()))
