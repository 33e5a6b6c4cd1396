"""Whether the garbage collector runs in a thread: what it calls then belongs to no event.

A finaliser (``__del__``, a weak reference's callback, the ``finally`` of a generator) that is part of a
cycle runs when the collector comes by, in whichever event that happens to be: one event's
``kong.response.exit`` would answer another one's request.  Rules kept here:

* a collection is told by :data:`gc.callbacks`; there is one at a time in a process;
* the end of one that was not told, because an interrupt came first, is found when somebody asks.
"""

from __future__ import annotations

import gc
from threading import get_ident
from typing import Any


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
