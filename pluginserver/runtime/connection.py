"""One client's socket: bytes in and out, never blocking; what they mean is its codec's business.

Rules kept here:

* :meth:`Connection.send` is for every thread, all else for the leader alone;
* a reply goes out whole, in the order of the calls: what the socket does not take at once is kept
  and sent when it can be;
* while something waits to be sent, nothing is read: a client that pipelines requests and does not
  read the replies costs its own patience, not our memory;
* a closed socket's number is used again at once by the next connection, so nobody sends on a
  connection while it is closed, nor after.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Final, Generic, NamedTuple, Protocol

from .processes import peer_process
from .requests import C, Request

READ_SIZE: Final = 65_536
"""Bytes: one read empties a Unix socket's usual buffer of many small requests."""

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT


class ProtocolError(ValueError):
    """The client sent what its codec cannot understand: the connection is of no more use."""


class Codec(Protocol[C]):
    """What the bytes of one connection mean."""

    def feed(self, data: bytes) -> None:
        """Take what arrived.

        :raises ProtocolError: when it can be no part of a request.
        """

    def request(self, peer: Connection[C]) -> Request[C] | None:
        """The next request that has arrived whole, None until more is fed.

        What cannot be a request but leaves the rest readable is answered here.

        :raises ProtocolError: when nobody can tell where the next request begins.
        """

    def unhandled(self) -> bytes:
        """What was fed and has become no request yet."""


class Detached(NamedTuple):
    """A connection on its way to another process."""

    socket: socket.socket
    unhandled: bytes
    """What was read, and is no request yet."""
    unsent: bytes
    """What the socket has not taken yet."""


class Connection(Generic[C]):
    """One client.

    :param sock: the accepted socket; it is made non-blocking and belongs to this object from now
        on.
    :param poller: the epoll set that the leader polls.
    :param codec: what the bytes mean.
    """

    __slots__ = (
        "_codec",
        "_lock",
        "_open",
        "_paused",
        "_poller",
        "_receive",
        "_registered",
        "_socket",
        "_unsent",
        "closed",
        "fd",
        "pid",
    )

    def __init__(self, sock: socket.socket, poller: select.epoll, codec: Codec[C]) -> None:
        sock.setblocking(False)
        self.fd = sock.fileno()
        self.closed = False
        self.pid: Final = peer_process(sock)
        """The client's process; 0 when the system does not show it."""
        self._socket = sock
        self._receive = sock.recv
        self._poller = poller
        self._registered = False
        self._codec = codec
        self._unsent = b""
        self._paused = False
        self._open: list[None] = []
        """One for each request that is being worked on: ``append`` and ``pop`` are atomic."""
        self._lock = threading.Lock()

    def register(self) -> None:
        """Let the leader poll this connection."""
        with self._lock:
            self._poller.register(self.fd, self._interest())
            self._registered = True

    def pause(self) -> None:
        """Read and handle nothing more for now; the leader only."""
        self._pause(True)

    def resume(self) -> None:
        """Go on; the leader only."""
        self._pause(False)

    def _pause(self, paused: bool) -> None:
        with self._lock:
            self._paused = paused
            if self._registered and not self.closed:
                self._poller.modify(self.fd, self._interest())

    def _interest(self) -> int:
        """What the leader polls for; under the lock."""
        if self._unsent:
            return WRITABLE
        return 0 if self._paused else READABLE

    def receive(self) -> bool:
        """Read what has arrived.

        :returns: False when the client is gone.
        :raises ProtocolError: when it is nothing that the codec can take.
        """
        try:
            data = self._receive(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        if not data:
            return False
        self._codec.feed(data)
        return True

    def request(self) -> Request[C] | None:
        """The next request that has arrived whole; None also while replies wait to be sent.

        :raises ProtocolError: when what arrived is not a request.
        """
        if self._unsent or self.closed or self._paused:
            return None
        request = self._codec.request(self)
        if request is not None:
            self._open.append(None)
        return request

    def expect(self) -> None:
        """Count a request that is being worked on; the leader only."""
        self._open.append(None)

    def answer(self, data: bytes) -> None:
        """Send the reply to a request that was counted."""
        self.send(data)
        self._open.pop()

    @property
    def at_rest(self) -> bool:
        """Whether no request of it is being worked on; the leader only."""
        return not self._open

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
                    self._poller.modify(self.fd, self._interest())

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
                self._poller.modify(self.fd, self._interest())
            return True

    def detach(self) -> Detached:
        """Let the socket go, which stays open; take the connection out of every table first."""
        with self._lock:
            self.closed = True
            if self._registered:
                self._poller.unregister(self.fd)
            return Detached(self._socket, self._codec.unhandled(), self._unsent)

    def restore(self, unhandled: bytes, unsent: bytes) -> None:
        """Go on where another process stopped; before :meth:`register`.

        :raises ProtocolError: when the codec cannot take that.
        """
        self._unsent = unsent
        self._codec.feed(unhandled)

    def close(self) -> None:
        """Close the socket.  Take the connection out of every table first."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            if self._registered:
                with contextlib.suppress(OSError, ValueError):  # somebody has closed it
                    self._poller.unregister(self.fd)
            self._socket.close()

    def forked(self) -> None:
        """Close the socket in a child, where the parent's epoll set must not be touched."""
        self.closed = True
        with contextlib.suppress(OSError):  # the listener may have closed it
            self._socket.close()
