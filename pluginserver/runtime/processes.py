"""The processes of clients: which one it is, and how to learn that it has ended.

Rules kept here:

* a process is what the kernel says of the socket (``SO_PEERCRED``), never what a client says;
* where the kernel does not show it (another namespace of process ids) or it cannot be watched, nobody
  guesses.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Final

_CREDENTIALS: Final = struct.Struct("iII")
"""``struct ucred``: process, user, group."""


def credentials(sock: socket.socket) -> tuple[int, int, int]:
    """The process, user and group at the other end, as they were when it connected or listened.

    :raises OSError: when the system does not say.
    """
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, user, group = _CREDENTIALS.unpack(data)
    return process, user, group


def peer_process(client: socket.socket) -> int:
    """The id of the process that connected.

    :returns: 0 when the system does not show it.
    """
    try:
        process, _user, _group = credentials(client)
    except OSError:
        return 0
    return max(0, process)


def open_process(pid: int) -> int | None:
    """A descriptor that becomes readable when a process ends.

    :param pid: its id.
    :returns: None when the process cannot be watched, or is not there.
    """
    if pid <= 0:
        return None
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None


def cpu_time(pid: int) -> float:
    """Seconds of CPU time that a process has used.

    :raises OSError: when there is none of that id.
    """
    return time.clock_gettime(~pid << 3 | 2)  # CPUCLOCK_SCHED of a process
