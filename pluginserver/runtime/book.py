"""What is counted of tasks and their callbacks: how many, how they ended, and how long each took.

Theory of operation.  Each thread of the pool counts in a :class:`Book` of its own, so that no task waits for
a lock and no count is lost; who wants to know adds up the books (:meth:`Books.figures`).  The book of a
thread that has ended is the next thread's: what is in it goes on.

Durations are kept as *cells*: a list with a number for each bucket of :data:`BOUNDS`, one for what is
longer, and their sum in seconds as the last.

A thread that has timed :data:`EXACT` callbacks goes on with one in :data:`SHARE`, which counts for as many:
to time each costs more than all other counting.  How many callbacks an event had is always counted.

Rules kept here:

* to count takes no lock, calls as little as it can, and makes no object, but for the first task of its kind
  on a thread;
* who asks gets copies: a bucket may be newer than the sum beside it, by what ended meanwhile;
* names that plugins choose make no more than :data:`NAMES` entries.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, TypeAlias

import attrs

BOUNDS: Final = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""The upper bounds of the buckets, in seconds; a time on the bound is in the bucket."""

SUM: Final = len(BOUNDS) + 1
"""Where the sum is in a list of cells."""

NAMES: Final = 500
"""So many different callbacks are told apart; Kong's PDK has half as many."""

EXACT: Final = 10_000
"""So many callbacks are timed each, on every thread."""

SHARE: Final = 8
"""From then on one in so many is, and counts for all of them."""

MICRO: Final = 1e6
"""Which one is left to chance: to the microsecond at which its answer comes."""

OTHER: Final = "other"
"""Stands for the rest of them."""

Cells: TypeAlias = "list[float]"
Label: TypeAlias = "tuple[str, str]"
"""A plugin and a phase."""


def cells() -> Cells:
    """Durations, none yet."""
    return [0] * (len(BOUNDS) + 1) + [0.0]


@attrs.define
class Figures:
    """What is known of the tasks of one kind that are over."""

    outcomes: dict[str, int] = attrs.field(factory=dict)
    """How many ended in which way."""
    spent: Cells = attrs.field(factory=cells)
    """Seconds that the slices of each took."""
    waited: Cells = attrs.field(factory=cells)
    """Seconds for which each was suspended."""
    asks: int = 0
    """How many callbacks of all were answered."""

    def add(self, other: Figures) -> None:
        """Add what another one counts, as it is at this moment."""
        for how, count in list(other.outcomes.items()):
            self.outcomes[how] = self.outcomes.get(how, 0) + count
        self.spent = summed(self.spent, other.spent)
        self.waited = summed(self.waited, other.waited)
        self.asks += other.asks


def summed(one: Iterable[float], other: Iterable[float]) -> Cells:
    """Two lists of cells, added up."""
    return [a + b for a, b in zip(list(one), list(other), strict=True)]


class Book:
    """What one thread counts; others only read."""

    __slots__ = ("_left", "callbacks", "exact", "kinds")

    def __init__(self) -> None:
        self.callbacks: Final[dict[str, Cells]] = {}
        """The durations of the callbacks that were answered, by what they named."""
        self.exact = True
        """Whether each callback is timed."""
        self._left = EXACT
        self.kinds: Final[dict[Label, Figures]] = {}
        """The tasks that are over, by their label."""

    def time(self, name: str, seconds: float) -> None:
        """Count the duration of a callback that was answered, for itself, or for :data:`SHARE` of them.

        :param name: what it named.
        """
        durations = self.callbacks.get(name)
        if durations is None:
            if len(self.callbacks) >= NAMES:
                name = OTHER
            durations = self.callbacks.setdefault(name, cells())
        weight = 1
        if self.exact:
            self._left -= 1
            self.exact = self._left > 0
        else:
            weight = SHARE
        durations[bisect_left(BOUNDS, seconds)] += weight
        durations[SUM] += weight * seconds

    def count(self, label: Label, how: str, spent: float, waited: float, asks: int) -> None:
        """Count a task that is over.

        :param how: how it ended.
        :param spent: seconds that its slices took.
        :param waited: seconds for which it was suspended.
        :param asks: how many of its callbacks were answered.
        """
        try:
            figures = self.kinds[label]
        except KeyError:
            figures = self.kinds[label] = Figures()
        outcomes = figures.outcomes
        try:
            outcomes[how] += 1
        except KeyError:
            outcomes[how] = 1
        durations = figures.spent
        durations[bisect_left(BOUNDS, spent)] += 1
        durations[SUM] += spent
        durations = figures.waited
        durations[bisect_left(BOUNDS, waited)] += 1
        durations[SUM] += waited
        figures.asks += asks


class Books:
    """The books of one pool; any thread may use it."""

    def __init__(self) -> None:
        self._all: list[Book] = []
        self._free: list[Book] = []

    def take(self) -> Book:
        """A book for a thread that begins."""
        try:
            return self._free.pop()
        except IndexError:
            book = Book()
            self._all.append(book)
            return book

    def give_back(self, book: Book) -> None:
        """Have another thread go on with a book; by a thread that writes in it no more."""
        self._free.append(book)

    def figures(self) -> dict[Label, Figures]:
        """The tasks that are over, by their label."""
        found: dict[Label, Figures] = {}
        for book in list(self._all):
            for label, figures in list(book.kinds.items()):
                found.setdefault(label, Figures()).add(figures)
        return found

    def callbacks(self) -> dict[str, Cells]:
        """The durations of the callbacks that were answered, by what they named."""
        found: dict[str, Cells] = {}
        for book in list(self._all):
            for name, durations in list(book.callbacks.items()):
                found[name] = summed(found.get(name) or cells(), durations)
        return found


class Unbegun:
    """Counts tasks that were refused before they began; not for a thread that may be interrupted then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0
        """How many there were."""

    def note(self) -> None:
        """Count one."""
        with self._lock:
            self.count += 1
