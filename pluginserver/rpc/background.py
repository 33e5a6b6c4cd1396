"""What the server does with plugins' code of its own accord, such as calling ``close()``: one at a time.

Rules kept here:

* it runs on a thread for control requests, and takes one of them at most: clients find another one free,
  however many of these hang; one that takes longer than a request may lets the next one begin;
* whatever it raises costs a line;
* no lock: the end of the server interrupts the threads that take part.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from time import monotonic, sleep
from typing import Final

from ..logs import get_logger
from ..runtime.interrupts import Cancelled
from ..runtime.requests import Request
from .calls import Context

LOOK: Final = 0.01
"""Seconds between two looks whether all is done."""


class _Nobody:
    """Who is answered when nobody has asked."""

    pid: Final = 0

    def send(self, data: bytes, asked: int = 0) -> bool:
        """Nobody reads it."""
        return True

    def expect(self) -> None:
        """Nobody waits."""

    def answer(self, data: bytes, asked: int = 0) -> bool:
        """Nobody reads it."""
        return True


class Errand(Request[Context]):
    """One thing to do.

    :param what: what it does, for the log.
    :param function: does it.
    :param ended: called when it has come to its end, or is not waited for any more.
    """

    __slots__ = ("ended", "function", "what")

    def __init__(self, what: str, function: Callable[[], None], ended: Callable[[], None]) -> None:
        super().__init__(_Nobody(), None)
        self.what = what
        self.function = function
        self.ended = [ended]

    def perform(self, context: Context) -> None:
        """Call the function."""
        try:
            self.function()
        except Cancelled:
            raise
        except BaseException as error:
            get_logger().error(f"{self.what} failed", exc_info=error)
        self._end()

    def refuse(self, why: str) -> bytes:
        """Say that it takes too long, or cannot be done any more."""
        get_logger().error(f"{self.what} has not come to its end: {why}")
        self._end()
        return b""

    def _end(self) -> None:
        """Tell of the end, once."""
        try:
            ended = self.ended.pop()
        except IndexError:
            return
        ended()


class Background:
    """Does one thing after the other; any thread may give it more.

    :param submit: gives a request to a thread for control requests.
    """

    def __init__(self, submit: Callable[[Errand], None]) -> None:
        self._submit = submit
        self._waiting: queue.SimpleQueue[Errand] = queue.SimpleQueue()
        self._free = [None]
        """Who pops what is in it may submit the next one."""

    @property
    def busy(self) -> bool:
        """Whether something is to be done, or being done."""
        return not self._free or not self._waiting.empty()

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is to be done; gives whether it is so within ``timeout`` seconds."""
        deadline = monotonic() + timeout
        while self.busy and monotonic() < deadline:
            sleep(LOOK)
        return not self.busy

    def __call__(self, what: str, function: Callable[[], None]) -> None:
        """Have a function called."""
        self._waiting.put(Errand(what, function, self._ended))
        self._advance()

    def _ended(self) -> None:
        self._free.append(None)
        self._advance()

    def _advance(self) -> None:
        """Submit the next one, unless there is one under way."""
        while not self._waiting.empty():
            try:
                self._free.pop()
            except IndexError:
                return  # who has it comes here at its end
            try:
                errand = self._waiting.get_nowait()
            except queue.Empty:
                self._free.append(None)  # and look again: one may have been put meanwhile
            else:
                self._submit(errand)
                return
