"""Where metrics are served: a TCP port, or a Unix socket.

Rules kept here:

* what another server listens at is not taken from it: at a takeover the socket itself is handed over, and
  at any other time the place must be free;
* a socket file that nobody listens at is replaced by a rename, so that the path always leads somewhere.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from typing import Final

import attrs

UNIX: Final = "unix:"
_TCP: Final = re.compile(
    r"(?:(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]*)):)?(?P<port>\d{1,5})"
)
LOCAL: Final = "127.0.0.1"
QUEUE: Final = 64
"""Clients that may wait to be accepted."""


@attrs.frozen
class Address:
    """Where to listen.

    :param host: a name or number; empty for a Unix socket.
    :param port: of TCP.
    :param path: of the Unix socket; empty for TCP.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def read(cls, text: str) -> Address:
        """Understand ``PORT`` (on this machine alone), ``HOST:PORT``, ``[IPV6]:PORT`` or ``unix:PATH``.

        :raises ValueError: for anything else.
        """
        if text.startswith(UNIX) and len(text) > len(UNIX):
            return cls(path=text[len(UNIX) :])
        found = _TCP.fullmatch(text)
        if found is None or not 0 < int(found["port"]) < 65536:
            raise ValueError(f"{text!r} is not PORT, HOST:PORT, [IPV6]:PORT or unix:PATH")
        return cls(found["v6"] or found["host"] or LOCAL, int(found["port"]))

    def __str__(self) -> str:
        if self.path:
            return f"{UNIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def listen(self) -> socket.socket:
        """A socket that listens here.

        :raises OSError: when it cannot be had.
        """
        return self._listen_at_path() if self.path else self._listen_at_port()

    def remove(self, listener: socket.socket, bound: tuple[int, int] | None) -> None:
        """Close what :meth:`listen` has made, and remove its file, if it is still that one.

        :param bound: what :meth:`bound` said.
        """
        if bound is not None and self.bound() == bound:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        listener.close()

    def bound(self) -> tuple[int, int] | None:
        """Device and inode of the socket file; None when there is none."""
        if not self.path:
            return None
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _listen_at_port(self) -> socket.socket:
        family, kind, protocol, _, place = socket.getaddrinfo(
            self.host, self.port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(QUEUE)
        except OSError:
            listener.close()
            raise
        return listener

    def _listen_at_path(self) -> socket.socket:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                probe.connect(self.path)
                raise FileExistsError(17, "another server listens there")
        listener = socket.socket(socket.AF_UNIX)
        new = f"{self.path}.{os.getpid()}"
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new)  # of a process that had this number before
            listener.bind(new)
            listener.listen(QUEUE)
            os.rename(new, self.path)
        except OSError:
            listener.close()
            raise
        return listener
