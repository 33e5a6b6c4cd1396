"""A server as a process of its own: when it ends, and how.

Rules kept here:

* a signal handler takes no lock, since it may run in the middle of code that holds it: it starts a
  thread, and that asks for the end;
* SIGTERM and SIGINT let running events finish; a second SIGINT ends the process at once, for the
  impatient person at a terminal;
* the process ends in a bounded time after it was told to, whatever plugins do: a plugin that hangs
  while it is loaded, or when it should stop, cannot keep it;
* a line that a handler prints appears when it is printed, in order with the log, and nobody waits for
  whoever reads it.
"""

from __future__ import annotations

import _thread
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

from .. import logs
from ..server import PluginServer
from .exit import end_within

STOP_TIME: Final = 10.0
"""Seconds that a stop may take beyond the time that running events get."""


def serve(server: PluginServer) -> None:
    """Run a server until a signal, or the end of the parent process, stops it.

    To be called on the main thread.

    :raises ListenError: when the socket cannot be had.
    :raises PluginError: when the plugins directory does not exist.
    """
    logs.adopt()
    logs.adopt_output()

    def stop(name: str) -> None:
        server.request_stop()
        logs.get_logger().info("asked to stop", signal=name)
        end_within(server.options.grace + STOP_TIME, 1)

    _on_signals(stop)
    server.run()


def _on_signals(stop: Callable[[str], None]) -> None:
    def handle(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        _thread.start_new_thread(stop, (signal.Signals(number).name,))

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
