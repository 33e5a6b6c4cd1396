"""Threads that may take each other's work: those for events, and those for control requests.

The pool's lock guards a group, but for what its docstrings say otherwise.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, Generic

from .backlog import Backlog
from .requests import C
from .thread import PoolThread

CONTROL_THREADS: Final = 2
"""Threads for what is no task: plugins are loaded and configured there."""

FORGOTTEN: Final = 2.0
"""Seconds that an event waits for Kong before it may be given up: when there is no other thread, and when
the server ends."""

EVENTS: Final = "events"
CONTROL: Final = "control"


class Group(Generic[C]):
    """The threads that may take each other's work; the pool's lock guards it.

    :param limit: how many threads there may be.
    :param share: how many of them one kind of task may hold.
    """

    def __init__(self, limit: int, share: int) -> None:
        self.limit = limit
        self.share = share
        self.lost = 0
        """How many threads are given up: what runs there cannot be interrupted."""
        self.threads: dict[PoolThread, None] = {}
        self.idle: list[PoolThread] = []
        self.backlog: Backlog[C] = Backlog()
        self.held: Counter[str] = Counter()
        """How many threads each kind holds."""

    def allows(self, kind: str) -> bool:
        """Whether a kind may hold one thread more."""
        return self.held[kind] < self.share

    def hold(self, thread: PoolThread, kind: str) -> None:
        """Count a thread for a kind."""
        thread.holding = kind
        self.held[kind] += 1

    def release(self, thread: PoolThread) -> None:
        """Count it for none any more."""
        if thread.holding is not None:
            self.held[thread.holding] -= 1
            thread.holding = None
