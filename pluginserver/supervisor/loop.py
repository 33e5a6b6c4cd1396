"""The one thread of the supervisor: it waits for descriptors, times and signals, and calls functions.

Rules kept here:

* a function that fails costs a line, and the loop goes on;
* while nothing happens and nothing is due, nobody wakes;
* a signal only wakes the loop: what is to be done for it is done in its turn.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final

from .. import logs

PAUSE: Final = 0.05
"""Seconds of rest after a function failed, so that one which always fails is no busy loop."""

_log: Final = logs.get_logger()


class Loop:
    """Calls functions; all of its methods are for one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._actions: dict[int, Callable[[], object]] = {}
        self._before: dict[int, Any] = {}
        self._signals = -1, -1
        self._ended = False

    def watch(self, descriptor: int, function: Callable[[], object]) -> None:
        """Call a function whenever a descriptor is readable."""
        self._selector.register(descriptor, selectors.EVENT_READ, function)

    def unwatch(self, descriptor: int) -> None:
        """Do so no more; before the descriptor is closed, and maybe again."""
        with contextlib.suppress(KeyError, ValueError):  # ValueError: it is closed already
            self._selector.unregister(descriptor)

    def later(self, seconds: float, function: Callable[[], object]) -> None:
        """Call a function once, so many seconds from now."""
        entry = monotonic() + seconds, next(self._numbers), function
        heapq.heappush(self._timers, entry)

    def act_on(self, actions: Mapping[signal.Signals, Callable[[], object]]) -> None:
        """Call functions when signals come; once, on the main thread."""
        self._actions = {int(number): action for number, action in actions.items()}
        self._signals = read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.watch(read, self._signalled)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _wake) for number in self._actions}

    def run(self) -> None:
        """Wait and call until :meth:`end` is called."""
        while not self._ended:
            for key, _mask in self._selector.select(self._timeout()):
                if (
                    self._selector.get_map().get(key.fileobj) is key
                ):  # nobody has unwatched it meanwhile
                    self._call(key.data)
            now = monotonic()
            while self._timers and self._timers[0][0] <= now:
                self._call(heapq.heappop(self._timers)[2])

    def end(self) -> None:
        """Let :meth:`run` return."""
        self._ended = True

    def close(self) -> None:
        """Put everything away; what is watched is not closed."""
        if self._before:
            signal.set_wakeup_fd(-1)
            for number, before in self._before.items():
                signal.signal(number, before)
            for descriptor in self._signals:
                os.close(descriptor)
        self._selector.close()

    def _timeout(self) -> float | None:
        return max(0.0, self._timers[0][0] - monotonic()) if self._timers else None

    def _call(self, function: Callable[[], object]) -> None:
        try:
            function()
        except Exception as error:
            _log.error("the supervisor failed in a part, and goes on", exc_info=error)
            time.sleep(PAUSE)

    def _signalled(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in os.read(self._signals[0], 1024):
                action = self._actions.get(number)
                if action is not None:
                    self._call(action)


def _wake(_number: int, _frame: object) -> None:
    """The handler of every signal: the interpreter has written its number into the pipe before."""
