"""Raises an exception in another thread: the only way to end a handler that loops in Python."""

from __future__ import annotations

import ctypes


def raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raise ``error`` in a thread at its next bytecode; None takes back what was not raised yet.

    It ends a loop in Python; a call that hangs in C is ended when it comes back.

    :param thread: the thread's ident.
    """
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error)
    )
