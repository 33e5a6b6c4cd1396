"""Whether a finaliser calls: it belongs to no event, whichever one it runs in.

A finaliser (``__del__``, a weak reference's callback, the ``finally`` of a generator) that is part of a
cycle runs when the collector comes by, in whichever event that happens to be: one event's
``kong.response.exit`` would answer another one's request.  One that is part of no cycle runs where the last
reference is dropped, which may be in another event too.  Rules kept here:

* a collection is told by :data:`gc.callbacks`; there is one at a time in a process;
* the end of one that was not told, because an interrupt came first, is found when somebody asks;
* of the others only the frames tell: they are looked at where that is seldom, at the end of an event.
"""

from __future__ import annotations

import gc
import sys
import weakref
from threading import get_ident
from types import FrameType
from typing import Any, Final

_FINALIZE: Final = weakref.finalize.__call__.__code__


class _Collection:
    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = 0
        """The thread in which the collector runs; 0 while it does not."""

    def note(self, phase: str, _info: dict[str, Any]) -> None:
        self.thread = get_ident() if phase == "start" else 0


COLLECTION = _Collection()
gc.callbacks.append(COLLECTION.note)


def in_collection() -> bool:
    """Whether the collector runs in this thread, and so who calls is a finaliser."""
    if COLLECTION.thread != get_ident():
        return False
    gc.collect(0)  # does nothing while a collection runs; else it is told of, and its end is too
    return COLLECTION.thread == get_ident()


def in_finaliser() -> bool:
    """Whether a finaliser calls: ``__del__``, a :class:`weakref.finalize`, or the end of a generator.

    The callback of a plain :class:`weakref.ref` is not known for one.
    """
    if isinstance(sys.exc_info()[1], GeneratorExit):
        return True
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code is _FINALIZE:
            return True
        frame = frame.f_back
    return False
