"""The end of the process, which no plugin can hold up.

A thread that a plugin has left running, and a plugin that hangs while it is loaded, would keep the
interpreter from ending; and Kong waits for a dump, and for a server that it stops.  A thread that is in the
middle of a handler would crash an interpreter that ends around it: then the process ends without that.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

from .. import logs
from ..errors import PluginServerError

EXIT_TIME: Final = 2.0
"""Seconds that the interpreter gets to end by itself."""

FLUSH_TIME: Final = 0.5
"""Seconds more for what is still to be written to the log."""


def leave_after(action: Callable[..., None], *args: Any, **kwargs: Any) -> NoReturn:
    """Do the last thing that the process does, and end it; what the user got wrong is a line."""
    code = 0
    open_standard_streams()
    try:
        action(*args, **kwargs)
    except (PluginServerError, OSError) as error:
        sys.stderr.write(f"pluginserver: {logs.one_line(str(error))}\n")
        code = 1
    except KeyboardInterrupt:
        code = 130
    leave(code)


def leave(code: int) -> NoReturn:
    """End the process, in :data:`EXIT_TIME` even if a thread of a plugin goes on."""
    end_within(EXIT_TIME, code)
    sys.exit(code)


def leave_at_once(code: int) -> NoReturn:
    """End the process without ending the interpreter, after what was written has gone out."""
    end_within(EXIT_TIME, code)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def open_standard_streams() -> None:
    """Open what of the descriptors 0 to 2 is closed on ``/dev/null``: the next file would get its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def end_within(seconds: float, code: int) -> None:
    """End the process with ``code`` unless it has ended by itself ``seconds`` from now."""

    def end() -> None:
        time.sleep(seconds)
        logs.flush(FLUSH_TIME)
        os._exit(code)

    _thread.start_new_thread(end, ())
