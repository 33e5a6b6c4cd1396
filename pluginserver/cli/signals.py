"""Signals to a server process: heard whatever the main thread does, and done on a thread.

Theory of operation.  Python runs a signal's handler on the main thread, which may be in C code of a plugin
that is loaded, and a handler may run in the middle of code that holds a lock.  So the handlers here do next
to nothing: the interpreter itself writes each signal's number into a pipe (``signal.set_wakeup_fd``) at the
moment that it comes, a thread reads it, and does what is to be done on a thread of its own.

Rules kept here:

* the first signal that ends the server lets running events finish; the second one ends the process at
  once: from the first on the system's own way is in force, and until then the thread sees to it;
* a plugin that installs handlers does not take ours away: they are put back when it is loaded
  (:meth:`Signals.check`; only the main thread can change them);
* a process that is forked off this one has none of them, and does not write into the pipe.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final

from .. import logs
from ..runtime.forks import close_in_children

ENDS: Final = (signal.SIGTERM, signal.SIGINT)
"""The signals that end a server."""

_log: Final = logs.get_logger()


class Signals:
    """The signals that a process acts on; to be made on the main thread.

    :param actions: what is done, each time on a thread of its own, with the signal's name.
    """

    def __init__(self, actions: Mapping[signal.Signals, Callable[[str], None]]) -> None:
        self._actions = dict(actions)
        self._ending = False
        self._read, self._write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._write, False)
        self._defaults = {number: signal.getsignal(number) for number in self._actions}
        self._install()
        close_in_children(self)
        threading.Thread(target=self._listen, name="pluginserver-signals", daemon=True).start()

    def check(self) -> None:
        """Put back what a plugin has changed while it was loaded; on the main thread."""
        taken = [one for one in self._actions if signal.getsignal(one) is not self._handle_bound]
        foreign = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False) != self._write
        if self._ending or not (taken or foreign):
            return
        self._install()
        names = ", ".join(signal.Signals(one).name for one in taken) or "set_wakeup_fd"
        _log.warning(
            f"a plugin that was loaded has installed a signal handler of its own ({names}):"
            " the server's is in force again; use atexit for what is to be done at the end"
        )

    def forked(self) -> None:
        """Let signals do in a child what they do anywhere; this is a child."""
        with contextlib.suppress(ValueError):
            signal.set_wakeup_fd(-1)
            for number, default in self._defaults.items():
                signal.signal(number, default)
        os.close(self._read)
        os.close(self._write)

    def _install(self) -> None:
        self._handle_bound: Any = self._handle
        for number in self._actions:
            signal.signal(number, self._handle_bound)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number in ENDS:
            for one in ENDS:
                signal.signal(one, signal.SIG_DFL)

    def _listen(self) -> None:
        while True:
            for number in os.read(self._read, 64):
                if number in ENDS and self._ending:
                    os._exit(128 + number)
                self._ending = self._ending or number in ENDS
                action = self._actions.get(signal.Signals(number))
                if action is not None:
                    name = signal.Signals(number).name
                    threading.Thread(target=action, args=(name,), name=name, daemon=True).start()
