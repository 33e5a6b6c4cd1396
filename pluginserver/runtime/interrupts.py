"""Interrupts: how one thread ends what another one runs, without a trace of it afterwards.

CPython can raise an exception in another thread at that thread's next bytecode.  It is the only way to
end a handler that loops in Python; a call that hangs in C is ended when it comes back.  It is also the
most dangerous thing in this package, so all of it is here, with one protocol:

* **who**: whoever has *claimed* an :class:`Interruptible`, something that runs code that is not ours;
  nobody else may interrupt it;
* **whom**: the thread that runs it, which is inside of it from before its code begins;
* **from when**: from the claim.  The thread claims too, when the code has come back: if it was first, no
  interrupt was raised and none will be;
* **to when**: if the thread was second it *acknowledges*.  After :meth:`Interruptible.acknowledge` every
  interrupt has been raised and taken back or delivered, and none will come.

Rules kept here, and by those who use this module:

* a thread that may be interrupted takes no lock: on CPython 3.14 an interrupt can come between the
  acquiring of a lock and the block that releases it;
* between the claim of another and the acknowledgement an interrupt may come at *any* bytecode, in our
  frames too: what settles a request finds all that it needs in attributes, and can begin again;
* the first thing that a frame of ours does with a caught :class:`Cancelled` is to end the window
  (``over``), which CPython does without looking for another one in between.  So at most one more is on
  its way, and two nested ``try`` are enough.

What is relied upon: ``list.pop`` is atomic, and of a store and a load of two attributes by two threads at
least one thread sees the other's store (both hold with the GIL).
"""

from __future__ import annotations

import ctypes
import threading
import time
from typing import Final


class Cancelled(BaseException):
    """Ends code that nobody waits for any more; its text says why."""


_set_async_exc: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc


def raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raise ``error`` in a thread at its next bytecode; None takes back what was not raised yet.

    :param thread: the thread's ident.
    """
    _set_async_exc(ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error))


class Interruptible:
    """Something that runs code that is not ours, in one thread, once."""

    __slots__ = ("_raising", "_unclaimed", "over")

    def __init__(self) -> None:
        self._unclaimed: list[None] = [None]
        self._raising = False
        self.over = False
        """Set by the thread that runs it: no further interrupt begins, one may be on its way."""

    @property
    def claimed(self) -> bool:
        """Whether anybody has claimed it."""
        return not self._unclaimed

    def claim(self) -> bool:
        """Claim it; from any thread.

        :returns: whether the caller was first.  Then, and only then, it may settle it.
        """
        try:
            self._unclaimed.pop()
        except IndexError:
            return False
        return True

    def give_back(self) -> None:
        """Give the claim back; by who has it."""
        self._unclaimed.append(None)

    def interrupt(self, thread: int) -> None:
        """Raise :class:`Cancelled` in the thread that runs it; nothing happens once it has ended.

        For the one thread that has claimed it, as often as it likes.

        :param thread: that thread's ident.
        """
        self._raising = True
        if not self.over:
            raise_in(thread, Cancelled)
        self._raising = False

    def acknowledge(self) -> None:
        """Wait until no interrupt can come any more; in the thread that runs it.

        For what another thread has claimed.  Can be called again when it was itself interrupted.
        """
        while True:
            try:
                self.over = True
                while self._raising:
                    time.sleep(0)
                raise_in(threading.get_ident(), None)
                return
            except Cancelled:
                continue
