"""The end of the process, which no plugin can hold up.

A thread that a plugin has left running, and a plugin that hangs while it is loaded, would keep the
interpreter from ending; and Kong waits for a dump, and for a server that it stops.
"""

from __future__ import annotations

import _thread
import os
import sys
import time
from typing import Final, NoReturn

from .. import logs

EXIT_TIME: Final = 2.0
"""Seconds that the interpreter gets to end by itself."""

FLUSH_TIME: Final = 0.5
"""Seconds more for what is still to be written to the log."""


def leave(code: int) -> NoReturn:
    """End the process, in :data:`EXIT_TIME` even if a thread of a plugin goes on."""
    end_within(EXIT_TIME, code)
    sys.exit(code)


def end_within(seconds: float, code: int) -> None:
    """End the process with ``code`` unless it has ended by itself ``seconds`` from now."""

    def end() -> None:
        time.sleep(seconds)
        logs.flush(FLUSH_TIME)
        os._exit(code)

    _thread.start_new_thread(end, ())
