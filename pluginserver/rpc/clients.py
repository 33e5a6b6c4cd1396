"""The processes that ask for instances: nginx workers, seen from here.

Rules kept here:

* a process is watched from the moment that it asks for something, while its connection says that it lives;
* its id may be used again when it has ended: what counts is the :class:`Client`, not the number;
* of a process that the system does not show, or does not let us watch, nothing is known or guessed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs

from ..runtime.processes import open_process


@attrs.define(eq=False)
class Client:
    """A process.

    :param known: whether we shall learn of its end.
    :param pid: its id while it is alive; 0 when that is not known.
    """

    known: bool
    alive: bool = True
    pid: int = 0


UNSEEN: Final = Client(known=False)
"""Any process of which nothing is known."""


class Clients:
    """The processes of one server's clients; any thread may use it.

    :param watch: has a function called once, from any thread, when a descriptor becomes readable, and closes
        the descriptor then or at the end.
    """

    def __init__(self, watch: Callable[[int, Callable[[], None]], None]) -> None:
        self._watch = watch
        self._lock = threading.Lock()
        self._alive: dict[int, Client] = {}
        self.ended = 0
        """How many have ended."""

    def get(self, pid: int) -> Client:
        """The process of that id that lives now; it is watched from now on.

        :param pid: 0 for one that the system does not show.
        """
        with self._lock:
            client = self._alive.get(pid)
            if client is not None:
                return client
            descriptor = open_process(pid)
            if descriptor is None:
                return UNSEEN
            client = self._alive[pid] = Client(known=True, pid=pid)
            try:
                self._watch(descriptor, partial(self._end, pid))
            except (OSError, ValueError):
                os.close(descriptor)
                del self._alive[pid]
                return UNSEEN
            return client

    def _end(self, pid: int) -> None:
        with self._lock:
            self._alive.pop(pid).alive = False
            self.ended += 1
