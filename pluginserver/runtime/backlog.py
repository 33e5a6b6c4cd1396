"""Requests that wait for a thread: first come first served, kind by kind in turn.

A kind is what shares threads with others: one plugin.  Without turns, a plugin whose events all take
long would keep every other one waiting behind its own queue.  Not safe for threads by itself: the pool's
lock guards it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Generic

from .requests import C, Job, Request


class Backlog(Generic[C]):
    """The queue."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[str, deque[Request[C] | Job]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._kinds.values()))

    def lengths(self) -> list[tuple[str, int]]:
        """How many requests of each kind wait."""
        return [(kind, len(queue)) for kind, queue in self._kinds.items()]

    def __iter__(self) -> Iterator[Request[C] | Job]:
        for queue in self._kinds.values():
            yield from queue

    def append(self, kind: str, request: Request[C] | Job) -> None:
        """Put a request at the end of its kind's queue."""
        self._kinds.setdefault(kind, deque()).append(request)

    def ready(self, allowed: Callable[[str], bool]) -> bool:
        """Whether :meth:`pop` has a request to give."""
        return any(map(allowed, self._kinds))

    def pop(self, allowed: Callable[[str], bool]) -> tuple[str, Request[C] | Job] | None:
        """Take the next request, from the kind whose turn it is.

        :param allowed: whether a kind may have another thread.
        :returns: the kind and the request; None when there is none that may run.
        """
        for kind, queue in self._kinds.items():
            if allowed(kind):
                request = queue.popleft()
                if queue:
                    self._kinds.move_to_end(kind)
                else:
                    del self._kinds[kind]
                return kind, request
        return None

    def remove(self, request: Request[C]) -> bool:
        """Take a request out; False when it is not there any more."""
        for kind, queue in self._kinds.items():
            if request in queue:
                queue.remove(request)
                if not queue:
                    del self._kinds[kind]
                return True
        return False
