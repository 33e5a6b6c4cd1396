"""A thread of the pool as all the others see it: what they may read, and how they give it work.

Who writes which field under which guard is in the table at the head of :mod:`.pool`; what the thread
does is in :mod:`.worker`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from .book import Book
from .lending import StepReader
from .requests import Cancel, Item, Request, Task, Work


class PoolThread:
    """What is shared of one thread.

    :param name: its name.
    :param group: what it works for: ``"events"`` or ``"control"``.
    :param wake_poll: lets the leader look into its inbox.
    :param book: what it counts, and nobody else.
    """

    def __init__(self, name: str, group: str, wake_poll: Callable[[], None], book: Book) -> None:
        self.name = name
        self.group = group
        self.inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.leading = False
        self.leadership = threading.Lock()
        """Held while the thread leads and runs code of ours; one for each term as the leader."""
        self.current: Request[Any] | Cancel | None = None
        """What the slice at hand serves."""
        self.began = 0.0
        """When that slice began on the monotonic clock; 0.0 outside of one."""
        self.live = 0
        """How many tasks it has begun that are not over."""
        self.parked: Task | None = None
        """The task that has the thread to itself and waits for a step."""
        self.holding: str | None = None
        """The kind whose share of the threads it counts for."""
        self.book = book
        self.steps: StepReader[Any] | None = None
        """What it waits with for the steps of its task; None until there was one."""
        self._wake_poll = wake_poll
        self._thread = threading.Thread(target=self.main, name=name, daemon=True)

    @property
    def ident(self) -> int | None:
        """The thread's ident; None before it runs."""
        return self._thread.ident

    def start(self) -> None:
        """Start the thread.

        :raises RuntimeError: when the system gives none.
        """
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def join(self, timeout: float) -> None:
        """Wait for its end, so many seconds at most."""
        self._thread.join(timeout)

    def busy_for(self, now: float) -> float:
        """Seconds that it has been in its slice; 0.0 outside of one."""
        began = self.began
        return now - began if began else 0.0

    def post(self, item: Item) -> None:
        """Give it something to do; from any thread."""
        self.inbox.put(item)
        if self.leading:
            self._wake_poll()
        elif (steps := self.steps) is not None and steps.waiting:
            steps.wake()

    def interrupt(self, work: Work) -> bool:
        """Interrupt what the caller has claimed, if it is what runs here; never the leader.

        :returns: whether it runs here.
        """
        if self.current is not work or self._thread.ident is None:
            return False
        if not self.leading:
            work.interrupt(self._thread.ident)
        return True

    def main(self) -> None:
        """What the thread does."""
        raise NotImplementedError
