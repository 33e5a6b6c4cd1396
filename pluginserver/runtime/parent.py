"""The process that started this one: the server ends when it is gone."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

from .pool import ThreadPool
from .requests import C

INTERVAL: Final = 0.5
"""Seconds between two looks, where the system cannot tell by itself (Linux before 5.3)."""


def watch_parent(pool: ThreadPool[C], gone: Callable[[], None]) -> None:
    """Call ``gone`` when the parent process has ended; a descriptor tells, so that nobody wakes for it.

    :param pool: whose leader watches the descriptor.
    """
    parent = os.getppid()
    try:
        descriptor = os.pidfd_open(parent)
    except (OSError, AttributeError):
        threading.Thread(target=_poll, args=(pool.stopping, parent, gone), daemon=True).start()
        return

    pool.watch(descriptor, gone)
    if os.getppid() != parent:
        gone()


def _poll(stopping: threading.Event, parent: int, gone: Callable[[], None]) -> None:
    while not stopping.wait(INTERVAL):
        if os.getppid() != parent:
            gone()
            return
