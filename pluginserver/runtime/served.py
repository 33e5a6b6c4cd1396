"""Whether somebody serves a socket: that it can be connected to says only that a process holds it."""

from __future__ import annotations

import contextlib
import os
import socket as sockets
import time
from pathlib import Path
from typing import Final

from .. import logs

ANSWER_TIME: Final = 2.0
"""Seconds in which a server that lives answers a client that has left, however busy it is."""

RETRY: Final = 0.02
"""Seconds between two tries to get an answer."""

_log: Final = logs.get_logger()


def is_served(path: Path) -> bool:
    """Whether somebody answers who connects: a socket may be held by a process that does not serve it.

    A server closes the connection of a client that says nothing and will say nothing.  So does one that is
    about to end, but not twice.
    """
    deadline = time.monotonic() + ANSWER_TIME
    served = False
    while (rest := deadline - time.monotonic()) > 0:
        with sockets.socket(sockets.AF_UNIX) as probe:
            probe.settimeout(rest)
            try:
                probe.connect(os.fspath(path))
                with contextlib.suppress(OSError):  # it has closed it already
                    probe.shutdown(sockets.SHUT_WR)
                probe.recv(1)
                if served:
                    return True
                served = True
            except (ConnectionRefusedError, FileNotFoundError):
                return False
            except TimeoutError:
                _log.warning(
                    f"a process that does not serve holds {path}: the path is taken from it"
                )
                return False
            except ConnectionResetError:
                pass
        time.sleep(RETRY)
    return served
