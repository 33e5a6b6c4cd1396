"""What systemd asks of a service, in its own words: a datagram, and an inherited descriptor.

Rules kept here:

* without systemd nothing happens, and nothing is imported;
* what was meant for this process does not reach its children: the variables are taken out of the
  environment;
* nothing that goes wrong with a message stops the server.
"""

from __future__ import annotations

import contextlib
import os
import socket as sockets
import threading
import time
from collections.abc import Callable, MutableMapping
from typing import Final

FIRST_DESCRIPTOR: Final = 3
"""Where the descriptors begin that a process is started with."""

_VARIABLES: Final = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
)


class Systemd:
    """The service manager, as the environment names it.

    :param environment: the process's; what is used is taken out.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        found = {name: environment.pop(name, "") for name in _VARIABLES}
        process = str(os.getpid())
        self._address = found["NOTIFY_SOCKET"]
        self._watchdog = 0.0
        if found["WATCHDOG_PID"] in ("", process) and found["WATCHDOG_USEC"].isdigit():
            self._watchdog = int(found["WATCHDOG_USEC"]) / 1e6
        self.descriptor: int | None = None
        """A socket that listens already; None when there is none."""
        if found["LISTEN_PID"] == process and found["LISTEN_FDS"].isdigit():
            self.descriptor = FIRST_DESCRIPTOR if int(found["LISTEN_FDS"]) else None
        self._stopping = threading.Event()

    def ready(self) -> None:
        """Say that clients are served."""
        self._notify("READY=1")

    def reloading(self) -> None:
        """Say that the plugins are being loaded again; :meth:`ready` ends that."""
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the end has begun, and send no sign of life any more."""
        self._notify("STOPPING=1")

    @property
    def interval(self) -> float:
        """Seconds between two signs of life that the manager wants; 0.0 when it wants none."""
        return self._watchdog / 2 if self._address else 0.0

    def alive(self) -> None:
        """Give a sign of life."""
        self._notify("WATCHDOG=1")

    def start_watchdog(self, healthy: Callable[[], bool]) -> None:
        """Send a sign of life twice in each of the manager's intervals, if it wants any.

        :param healthy: whether the server can go on; when it cannot, nothing is sent.
        """
        if self.interval > 0:
            threading.Thread(
                target=self._bark, args=(healthy,), name="pluginserver-systemd", daemon=True
            ).start()

    def end_watchdog(self) -> None:
        """Send no sign of life any more."""
        self._stopping.set()

    def _bark(self, healthy: Callable[[], bool]) -> None:
        while healthy():
            self.alive()
            if self._stopping.wait(self.interval):
                return

    def _notify(self, message: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with (
            contextlib.suppress(OSError),
            sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM | sockets.SOCK_CLOEXEC) as sender,
        ):
            sender.setblocking(False)
            sender.connect(address)
            sender.send(message.encode())
