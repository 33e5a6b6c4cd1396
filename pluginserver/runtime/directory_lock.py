"""The lock on a socket's directory: one server at a time looks at, removes or binds a socket there.

Rules kept here:

* who waits for long says whom for;
* the lock goes with the process that holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .. import logs

LOCK_PATIENCE: Final = 5.0
"""Seconds after which a lock on the socket's directory that somebody else holds is worth a line."""

RETRY: Final = 0.02
"""Seconds between two tries to get the lock."""

_log: Final = logs.get_logger()


@contextlib.contextmanager
def locked(directory: Path, wait: bool) -> Iterator[None]:
    """Keep other servers from looking at, removing or binding a socket in ``directory``.

    :param wait: whether to wait while one does that.
    :raises BlockingIOError: when not, and one does.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, directory, wait)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path, wait: bool) -> None:
    """Lock a directory; a line in the log tells of a lock that somebody else keeps.

    :raises BlockingIOError: when it is locked, and not to be waited for.
    """
    if not wait:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    deadline = time.monotonic() + LOCK_PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(RETRY)
    _log.warning(
        f"waiting for the lock on {directory}, which {_holder(descriptor)} holds:"
        " end that process, or choose another directory for the socket"
    )
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def _holder(descriptor: int) -> str:
    """Who holds the lock on an open file, as far as the system tells."""
    status = os.fstat(descriptor)
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if "FLOCK" in fields and device in fields:
                return f"process {fields[fields.index(device) - 1]}"
    return "another process"
