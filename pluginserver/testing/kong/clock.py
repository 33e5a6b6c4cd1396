"""Time that a test moves: what a plugin's code is told when it asks how late it is.

Rules kept here:

* time goes on by itself, and only ever forward; a test moves it ahead, and nobody waits;
* everybody in the process is told the moved time but this package, pytest and what Python's own modules have
  taken a name of: what they wait for must not seem to be over;
* whoever holds the function itself elsewhere than in a module's name (a default argument, a C extension) is
  told the true time;
* when the last clock that has moved is closed everything is as it was.
"""

from __future__ import annotations

import datetime
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

_SECONDS: Final = ("time", "monotonic", "perf_counter")
_NANOSECONDS: Final = tuple(f"{name}_ns" for name in _SECONDS)

_OURS: Final = frozenset(
    {
        "pluginserver",
        "_pytest",
        "pytest",
        "pytest_timeout",
        "pluggy",
        "xdist",
        "execnet",
        "hypothesis",
    }
)
"""Packages that are told the true time, besides what the standard library has taken a name of."""

_lock: Final = threading.Lock()
_ahead: dict[int, float] = {}
"""By how many seconds each clock has moved, by the clock's id."""
_sum: Final = [0.0]
"""By how many seconds all of them have."""


class Clock:
    """The time of one gateway.

    :param refusal: why it cannot be moved; None when it can.
    """

    def __init__(self, refusal: str | None = None) -> None:
        self._refusal = refusal

    def time(self) -> float:
        """The time, in seconds since the epoch."""
        return float(_TRUE["time"]()) + _moved()

    def advance(self, seconds: float) -> None:
        """Let time pass without waiting for it.

        :param seconds: how much.
        :raises ValueError: when it is no number from 0 up, or the plugin runs in a process that does not
            notice.
        """
        if self._refusal is not None:
            raise ValueError(self._refusal)
        if not 0 <= seconds < math.inf:
            raise ValueError(
                f"time cannot advance by {seconds!r}: say a number of seconds from 0 up"
            )
        with _lock:
            _ahead[id(self)] = _ahead.get(id(self), 0.0) + seconds
            _sum[0] = math.fsum(_ahead.values())
            _replace(_MOVED)

    def close(self) -> None:
        """Take back what this clock has moved."""
        with _lock:
            moved = _ahead.pop(id(self), None) is not None
            _sum[0] = math.fsum(_ahead.values())
            if moved and not _ahead:
                _replace({id(new): old for old, new in _PAIRS})


def _moved() -> float:
    return _sum[0]


def _is_told_the_truth() -> bool:
    """Whether the code that asks is this package's or pytest's."""
    name = sys._getframe(2).f_globals.get("__name__", "")
    return str(name).partition(".")[0] in _OURS


def _in_seconds(true: Callable[[], float]) -> Callable[[], float]:
    def now() -> float:
        return true() if _is_told_the_truth() else true() + _moved()

    return now


def _in_nanoseconds(true: Callable[[], int]) -> Callable[[], int]:
    def now() -> int:
        return true() if _is_told_the_truth() else true() + int(_moved() * 1e9)

    return now


class _Same(type):
    """Has one of the two classes below make objects of the true class, and take them for its own."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return type.__call__(_true(cls) or cls, *args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, true) if (true := _true(cls)) else cls in type(instance).__mro__
        )

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, true) if (true := _true(cls)) else cls in subclass.__mro__


class _Date(datetime.date, metaclass=_Same):
    @classmethod
    def today(cls) -> Any:
        return datetime.date.fromtimestamp(_TRUE["time"]() + _moved())


class _DateTime(datetime.datetime, metaclass=_Same):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _DATETIME.fromtimestamp(_TRUE["time"]() + _moved(), tz)

    @classmethod
    def today(cls) -> Any:
        return cls.now()

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)


_TRUE: Final[dict[str, Callable[[], Any]]] = {
    name: getattr(time, name) for name in (*_SECONDS, *_NANOSECONDS)
}
_DATETIME: Final = datetime.datetime

_PAIRS: Final[list[tuple[Any, Any]]] = [
    *((_TRUE[name], _in_seconds(_TRUE[name])) for name in _SECONDS),
    *((_TRUE[name], _in_nanoseconds(_TRUE[name])) for name in _NANOSECONDS),
    (datetime.date, _Date),
    (datetime.datetime, _DateTime),
]
"""What tells the true time, and what tells the moved one."""
_MOVED: Final = {id(old): new for old, new in _PAIRS}


def _true(cls: type) -> type | None:
    """The class in whose place one of the two stands; None for a class of somebody else's."""
    return next((old for old, new in _PAIRS if new is cls), None)


def _replace(others: dict[int, Any]) -> None:
    """Put something else behind each name of a module that has one of these.

    :param others: what to put, by the id of what is there.
    """
    for names in _namespaces():
        for name, value in list(names.items()):
            if id(value) in others:
                names[name] = others[id(value)]


def _namespaces() -> Iterator[dict[str, Any]]:
    """The names of the modules in which they are looked at: ``time``, ``datetime``, and whoever else's."""
    left_alone = _OURS | sys.stdlib_module_names
    for name, module in list(sys.modules.items()):
        is_source = module in (time, datetime)
        if is_source or name.partition(".")[0] not in left_alone:
            yield getattr(module, "__dict__", {})
