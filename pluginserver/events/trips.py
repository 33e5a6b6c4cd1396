"""Fewer round trips: what a handler asks without Kong being asked.

Between the PDK and :func:`~.callbacks.callback`, for events whose handler has
:class:`~.habits.Habits`; any other event knows nothing of it.  Nobody but its own handler changes a request
while an event runs, so

* **remembered**: an answer that cannot have changed is not asked for again in the same event.  Which ones
  are, and what makes an event forget them, is in the rows of :mod:`pluginserver.spec.functions`;
* **together**: where a phase is used to set several headers of one target one after another, these
  ``set_header`` calls travel as one ``set_headers``: before the next call that travels, before the event's
  last message, and at the handler's end (:mod:`.habits`);
* **at once**: a phase that is used to read several headers, or query arguments, one by one asks for all of
  them at the first one (:mod:`.habits`).

Rules kept here:

* never another effect: Kong does what it would have done without this module, in the same order.  An event
  that is cancelled, interrupted or refused drops what it has not sent: Kong has then done what a handler
  that was stopped a little earlier would have had it do;
* an answer is one of Kong's own, and an error is never remembered.  One object may be given out twice: who
  shows it to a handler makes another one (``pdk.results.fresh``);
* two spellings of one name (case; ``-`` and ``_``) are never in one batch; a name that is not made of
  letters, digits, ``-`` and ``_``, ``Transfer-Encoding``, an empty list, and several values of ``Host``
  travel alone;
* a header or argument is read from the map with all of them only where Kong's own rules leave one answer:
  the map was not cut off, one entry has the name in whatever spelling, and it has one value.  Else it is
  asked for;
* in a slice that has lasted for :data:`LONG` every call travels: the server's limits of time count from
  the last one, and are to be met as without this module;
* a call that does not travel is looked at like one that does, while a phase is on trial: what the handler
  holds there it may hold in another event when the call travels;
* nothing is kept for an event before its first call that can be spared.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from time import monotonic
from typing import Any, Final, TypeAlias

from ..errors import PDKError
from ..spec.functions import FUNCTIONS, KINDS, changed_by
from ..spec.multimap import same
from .event import Event
from .habits import ARGUMENTS, HEADERS, RESPONSE, SERVICE, Habit

LONG: Final = 0.05
"""Seconds.  A slice that waits or computes for longer meets the limits of time sooner or later; the shortest
of them is a hundred times as long by default."""

BATCH: Final = 100
"""So many headers travel together at the most."""

KEPT: Final = 1000
"""So many answers are remembered in an event at the most."""

ALL: Final = 1000
"""The limit with which all headers or arguments are asked for: Kong's highest."""

Args: TypeAlias = "tuple[Any, ...]"
Key: TypeAlias = "str | tuple[Any, ...]"
"""A function's name, or that and its arguments."""
Index: TypeAlias = "dict[str, list[Any]]"
Way: TypeAlias = "Callable[[Event, str, Args], Any]"

_MISSING: Final = object()
_NONE: Final[Sequence[str]] = ()
_SINGLE: Final = frozenset({str, bytes, int, float, bool})
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


def _key(method: str, args: Args) -> Key:
    """What an answer is remembered by; ``1``, ``1.0`` and ``True`` are not the same to Lua."""
    if not args:
        return method
    if len(args) == 1 and type(args[0]) is str:
        return (method, args[0])
    return (method, args, tuple(map(type, args)))


class Many:
    """Headers, or query arguments: what can be read one by one, or at once.

    :param place: where they are in :class:`~.habits.Habits` and in :attr:`Trips.maps`.
    :param all: the function that gives all of them.
    :param most: so many values are certainly all that there are; more may have been cut off, here or in what
        Kong's function for a single one reads.
    :param exact: whether the names in upper and lower case differ.
    """

    __slots__ = ("all", "begun", "exact", "full", "key", "most", "one", "place")

    def __init__(self, place: int, all: str, most: int, exact: bool) -> None:
        self.place = place
        self.all = all
        self.key = _key(all, (ALL,))
        self.most = most
        self.exact = exact
        # What Trips.reads says of them, in three bits: one was read; how many were, up to three.
        self.begun = 1 << 3 * place
        self.one = 2 << 3 * place
        self.full = 6 << 3 * place

    def index(self, answer: Any) -> tuple[int, Index]:
        """How many values a map has, and its values by comparable names, none where two spell a name.

        It is empty when not all of the values can be counted, or they are too many.
        """
        if type(answer) is not dict or {*map(type, answer)} != {str}:
            return 0, {}
        try:
            total = len([value for (value,) in answer.values()])
        except (TypeError, ValueError):  # not one value each
            if {*map(type, answer.values())} != {list} or not all(answer.values()):
                return len(answer), {}
            total = sum(map(len, answer.values()))
        if total > self.most:
            return total, {}
        names = "\n".join(answer)
        if "_" not in names and names.islower():
            return total, answer
        found: Index = {}
        for name, values in answer.items():
            key = same(name)
            found[key] = [] if key in found else values
        return total, found


_HEADERS: Final = Many(HEADERS, "kong.request.get_headers", 900, False)
_ARGUMENTS: Final = Many(ARGUMENTS, "kong.request.get_query", 90, True)
"""``get_query_arg`` looks at the first 100 arguments alone."""

_MANY: Final = {"kong.request.get_header": _HEADERS, "kong.request.get_query_arg": _ARGUMENTS}

_BITS: Final = {kind: 1 << place for place, kind in enumerate(KINDS)}
_EVERYTHING: Final = sum(_BITS.values())
_CHANGED: Final = {name: sum(_BITS[kind] for kind in changed_by(name)) for name in FUNCTIONS}
_HELD: Final = {
    name: _BITS[function.remembered] for name, function in FUNCTIONS.items() if function.remembered
}
_SET_HEADERS: Final = {
    "kong.response.set_header": ("kong.response.set_headers", RESPONSE),
    "kong.service.request.set_header": ("kong.service.request.set_headers", SERVICE),
}
_REQUEST: Final = _BITS["request"]


class Trips:
    """What an event remembers.

    An event that has asked for one answer alone has a tuple in its place: the function, its arguments, and
    the answer.
    """

    __slots__ = ("answers", "held", "maps", "reads")

    def __init__(self) -> None:
        self.answers: dict[Key, Any] = {}
        """Kong's answers, by function and arguments."""
        self.held = 0
        """The kinds of these answers."""
        self.reads = 0
        """How many headers and arguments were read one by one: see :class:`Many`."""
        self.maps: list[tuple[Index, Index] | None] = [None, None]
        """All headers and arguments, as they came and by comparable names, where all were asked for."""

    def keep(self, key: Key, answer: Any, kind: int) -> None:
        """Remember an answer."""
        if len(self.answers) < KEPT:
            self.answers[key] = answer
            self.held |= kind

    def forget(self, changed: int) -> None:
        """Forget the answers of some kinds."""
        self.held &= ~changed
        self.answers = {
            key: answer
            for key, answer in self.answers.items()
            if not _HELD[key if isinstance(key, str) else key[0]] & changed
        }
        if changed & _REQUEST:
            self.maps = [None, None]
            for many in _MANY.values():
                if self.reads & many.begun:
                    self.reads |= many.full


def travel(event: Event, method: str, args: Args) -> Any:
    """Ask Kong, after what the event has not sent, and forget what that changes."""
    if event.unsent is not None:
        event.send()
    changed = _CHANGED.get(method, _EVERYTHING)
    if changed and event.trips is not None:
        _forget(event, changed)
    runner = event.runner
    return runner.ask(runner, method, args)


def _forget(event: Event, changed: int) -> None:
    """Have an event forget the answers of some kinds."""
    trips = event.trips
    if type(trips) is Trips:
        if trips.held & changed:
            trips.forget(changed)
    elif trips is not None and _HELD[trips[0]] & changed:
        event.trips = None


def _opened(event: Event) -> Trips:
    """What an event remembers, with room for more."""
    trips = event.trips
    if type(trips) is Trips:
        return trips
    event.trips = opened = Trips()
    if trips is not None:
        method, args, answer = trips
        try:
            opened.keep(_key(method, args), answer, _HELD[method])
        except TypeError:  # a list or a map among the arguments
            return opened
        many = _MANY.get(method)
        if many is not None and len(args) == 1 and type(args[0]) is str:
            opened.reads = many.begun if answer is None else many.begun | many.one
    return opened


def _get_first(event: Event, method: str, args: Args) -> Any:
    """The first answer that is remembered."""
    if event.unsent is not None:
        event.send()
    runner = event.runner
    answer = runner.ask(runner, method, args)
    event.trips = method, args, answer
    return answer


def _get(event: Event, method: str, args: Args) -> Any:
    """A function whose answer is remembered."""
    if event.trips is None:
        return _get_first(event, method, args)
    trips = _opened(event)
    key = _key(method, args)
    try:
        answer = trips.answers.get(key, _MISSING)
    except TypeError:  # a list or a map among the arguments
        return travel(event, method, args)
    if answer is not _MISSING and _spared(event):
        return answer
    if event.unsent is not None:
        event.send()
    answer = event.runner.ask(event.runner, method, args)
    trips.keep(key, answer, _HELD[method])
    return answer


def _get_one(event: Event, method: str, args: Args) -> Any:
    """A header or a query argument."""
    many = _MANY[method]
    habit: Habit = event.habits[many.place]  # type: ignore[index]
    if event.trips is None and not habit.several:
        return _get_first(event, method, args)
    name = args[0] if len(args) == 1 else None
    if type(name) is not str:
        return _get(event, method, args)
    trips = _opened(event)
    key = (method, name)
    if key in trips.answers and _spared(event):
        return trips.answers[key]
    reads = trips.reads
    if not reads & many.begun:
        trips.reads = reads = reads | many.begun
        if habit.several and habit.begin():
            _fetch(event, habit, many)
    known = trips.maps[many.place]
    if known is None:
        if event.unsent is not None:
            event.send()
        answer = event.runner.ask(event.runner, method, args)
        counted = answer is not None
    else:
        answer = (
            known[1].get(_comparable(name), _NONE) if name in known[0] or not many.exact else _NONE
        )
        counted = len(answer) == 1 and type(answer[0]) is str and _spared(event)
        answer = answer[0] if counted else travel(event, method, args)
    if counted and (count := reads & many.full) != many.full:
        trips.reads += many.one
        if count:
            habit.second() if count == many.one else habit.third()
    trips.keep(key, answer, _REQUEST)
    return answer


def _fetch(event: Event, habit: Habit, many: Many) -> None:
    """Ask for all headers or arguments; where Kong refuses, each is asked for by itself."""
    trips = _opened(event)
    if event.unsent is not None:
        event.send()
    try:
        answer = event.runner.ask(event.runner, many.all, (ALL,))
    except PDKError:
        habit.refused()
        return
    size, index = many.index(answer)
    habit.fetched(size)
    trips.maps[many.place] = answer, index
    trips.keep(many.key, answer, _REQUEST)


def _set_header(event: Event, method: str, args: Args) -> Any:
    """A header that can wait for others."""
    several, place = _SET_HEADERS[method]
    unsent = event.unsent
    if unsent is None:
        habit: Habit = event.habits[place]  # type: ignore[index]
        if event.asked == method:
            habit.second()
        elif not habit.several or not habit.begin():
            trips = event.trips
            if trips is not None and (type(trips) is Trips or _HELD[trips[0]] & _CHANGED[method]):
                _forget(event, _CHANGED[method])
            runner = event.runner
            return runner.ask(runner, method, args)
    comparable = _together(args[0]) if len(args) == 2 and type(args[0]) is str else ""
    fits = comparable and (type(args[1]) is str or _fits(args[1], comparable))
    if not fits or not _spared(event):
        return travel(event, method, args)
    if unsent is not None:
        if unsent[0] == several and unsent[2] is not None:
            if comparable not in unsent[2] and len(unsent[2]) < BATCH:
                unsent[2].add(comparable)
                unsent[1][0][args[0]] = args[1]
                return None
        elif unsent[0] == method and (first := _comparable(unsent[1][0])) != comparable:
            event.habits[place].second()  # type: ignore[index]
            event.unsent = several, (dict((unsent[1], args)),), {first, comparable}
            return None
        event.send()
    event.unsent = method, args, None
    if event.trips is not None:
        _forget(event, _CHANGED[method])
    return None


def _spared(event: Event) -> bool:
    """Whether a call need not travel, as far as time goes; what the handler holds there is looked at."""
    owner = event.owner
    if owner is not None and monotonic() - owner.began > LONG:
        return False
    placement = event.placement
    if not placement.inline and placement.open:
        event.handler.placement.look(sys._getframe(1))
    return True


@lru_cache(maxsize=1024)
def _comparable(name: str) -> str:
    """The form in which two spellings of a name are equal; empty for one that Kong may read otherwise."""
    return same(name) if _NAME.fullmatch(name) else ""


@lru_cache(maxsize=1024)
def _together(name: str) -> str:
    """The comparable name of a header that may travel with others; empty for one that may not."""
    comparable = _comparable(name)
    return "" if comparable == "transfer-encoding" else comparable


def _fits(value: Any, comparable: str) -> bool:
    """Whether a value may travel with those of other headers."""
    kind = type(value)
    if kind is not list:
        return kind in _SINGLE
    several = bool(value) and comparable != "host"
    return several and all(type(one) is str or type(one) is bytes for one in value)


WAYS: Final[dict[str, Way]] = {
    **dict.fromkeys(_HELD, _get),
    **dict.fromkeys(_MANY, _get_one),
    **dict.fromkeys(_SET_HEADERS, _set_header),
}
"""The functions that are more than sent: how each is called."""
