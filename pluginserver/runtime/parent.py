"""The process that this one lives for: the server ends when it is gone.

Mostly that is the parent.  Where a shell or a wrapper stands in between, which may outlive what started
it, a process is named instead.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from .pool import ThreadPool
from .requests import C

INTERVAL: Final = 0.5
"""Seconds between two looks, where the system cannot tell by itself (Linux before 5.3)."""


def watch_parent(pool: ThreadPool[C], gone: Callable[[], None], process: int = 0) -> None:
    """Call ``gone`` when a process has ended; a descriptor tells, so that nobody wakes for it.

    :param pool: whose leader watches the descriptor.
    :param process: its id; 0 for the parent.
    """
    wanted = process or os.getppid()
    lives = partial(still_lives, wanted, process)
    try:
        descriptor = os.pidfd_open(wanted)
    except ProcessLookupError:
        gone()
        return
    except (OSError, AttributeError):
        threading.Thread(target=_poll, args=(pool.stopping, lives, gone), daemon=True).start()
        return

    pool.watch(descriptor, gone)
    if not lives():
        gone()


def still_lives(wanted: int, process: int) -> bool:
    """Whether the process lives that this one lives for.

    :param wanted: its id.
    :param process: the same; 0 when it is the parent.
    """
    return _exists(wanted) if process else os.getppid() == wanted


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _poll(stopping: threading.Event, lives: Callable[[], bool], gone: Callable[[], None]) -> None:
    while not stopping.wait(INTERVAL):
        if not lives():
            gone()
            return
