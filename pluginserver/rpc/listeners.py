"""Listening sockets of what a server offers besides its plugin socket, as metrics, at a takeover.

Rules kept here:

* a successor gets the socket itself, so that nobody who connects meanwhile is lost;
* it gets those that it asks for, under the address that its predecessor knows them by: what listens
  elsewhere is no business of its;
* who has handed a socket on accepts nobody there any more, and leaves the socket's file alone.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence

from ..runtime.forks import close_in_children


class Listeners:
    """Those of one server."""

    def __init__(self) -> None:
        self.wanted: Sequence[str] = ()
        """The addresses at which this server is to listen; set before it starts."""
        self.handed_on: set[str] = set()
        """The addresses whose sockets a successor has."""
        self._lock = threading.Lock()
        self._came: dict[str, socket.socket] = {}
        self._open: dict[str, socket.socket] = {}
        close_in_children(self)

    def came(self, address: str, listener: socket.socket) -> None:
        """Keep what the predecessor has sent, until it is taken."""
        self._came[address] = listener

    def take(self, address: str) -> socket.socket | None:
        """What the predecessor has sent for an address, once; None when it listened elsewhere."""
        return self._came.pop(address, None)

    def opened(self, address: str, listener: socket.socket) -> None:
        """Have a successor get a socket that listens."""
        self._open[address] = listener

    def closing(self, address: str) -> bool:
        """Have no successor get a socket any more that is about to be closed.

        :returns: whether none has got it: its file is to be removed.
        """
        with self._lock:
            self._open.pop(address, None)
            return address not in self.handed_on

    @contextlib.contextmanager
    def handing_on(self, wanted: Sequence[str]) -> Iterator[Mapping[str, socket.socket]]:
        """Those that listen at the addresses which a successor asks for; it has them when the block ends
        without an exception."""
        with self._lock:
            found = {address: one for address, one in self._open.items() if address in wanted}
            yield found
            self.handed_on.update(found)

    def close(self) -> None:
        """Close what came and was not taken."""
        while self._came:
            self._came.popitem()[1].close()

    def forked(self) -> None:
        """Have nothing that listens; this is a child."""
        self.close()
