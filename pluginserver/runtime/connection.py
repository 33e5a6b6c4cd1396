"""One client's socket: bytes in and out, never blocking.

Rules kept here:

* :meth:`Connection.receive`, :meth:`Connection.request` and :meth:`Connection.close` are for the
  leader alone; :meth:`Connection.send` is for every thread;
* a reply goes out whole, in the order of the calls: what the socket does not take at once is kept
  and sent when it can be;
* while something waits to be sent, nothing is read: a client that pipelines requests and does not
  read the replies costs its own patience, not our memory;
* a closed socket's number is used again at once by the next connection, so nobody sends on a
  connection while it is closed, nor after.
"""

from __future__ import annotations

import select
import socket
import threading
from typing import Any, Final

from ..rpc.frames import Decoder

READ_SIZE: Final = 65_536
"""Bytes: one read empties a Unix socket's usual buffer of many small requests."""

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT


class Connection:
    """One client.

    :param sock: the accepted socket; it is made non-blocking and belongs to this object from now
        on.
    :param poller: the epoll set that the leader polls.
    """

    __slots__ = (
        "_decoder",
        "_lock",
        "_poller",
        "_receive",
        "_registered",
        "_socket",
        "_unsent",
        "closed",
        "fd",
    )

    def __init__(self, sock: socket.socket, poller: select.epoll) -> None:
        sock.setblocking(False)
        self.fd = sock.fileno()
        self.closed = False
        self._socket = sock
        self._receive = sock.recv
        self._poller = poller
        self._registered = False
        self._decoder = Decoder()
        self._unsent = b""
        self._lock = threading.Lock()

    def register(self) -> None:
        """Let the leader poll this connection."""
        with self._lock:
            self._poller.register(self.fd, WRITABLE if self._unsent else READABLE)
            self._registered = True

    def receive(self) -> bool:
        """Read what has arrived.

        :returns: False when the client is gone.
        :raises FrameError: when a frame is too large.
        """
        try:
            data = self._receive(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        if not data:
            return False
        self._decoder.feed(data)
        return True

    def request(self) -> tuple[int, Any, Any] | None:
        """The next request that has arrived whole; None also while replies wait to be sent.

        :raises FrameError: when what arrived is no request.
        """
        if self._unsent or self.closed:
            return None
        return self._decoder.request()

    def send(self, data: bytes) -> None:
        """Send a frame; a client that is gone is passed over in silence."""
        with self._lock:
            if self.closed:
                return
            if self._unsent:
                self._unsent += data
                return
            try:
                sent = self._socket.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                return
            if sent < len(data):
                self._unsent = data[sent:]
                if self._registered:
                    self._poller.modify(self.fd, WRITABLE)

    def flush(self) -> bool:
        """Send more of what waits; the leader calls it when the socket takes data again.

        :returns: False when the client is gone.
        """
        with self._lock:
            try:
                sent = self._socket.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                return True
            except OSError:
                return False
            self._unsent = self._unsent[sent:]
            if not self._unsent:
                self._poller.modify(self.fd, READABLE)
            return True

    def close(self) -> None:
        """Close the socket.  Take the connection out of every table first."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            if self._registered:
                self._poller.unregister(self.fd)
            self._socket.close()
