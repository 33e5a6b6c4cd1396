"""One client's socket: bytes in and out, never blocking; what they mean is its codec's business.

Rules kept here:

* :meth:`Connection.send` and :meth:`Connection.cut` are for every thread, all else for the leader
  alone, but :meth:`Connection.read_on`, which is for the worker that it is lent to (see :mod:`.reading`);
* a reply goes out whole, in the order of the calls: what the socket does not take at once is kept
  and sent when it can be;
* while something waits to be sent, nothing is read: a client that pipelines requests and does not
  read the replies costs its own patience, not our memory;
* half a message, and a reply that nobody reads, have a time since when they are there;
* a task whose callback cannot have reached its client is known by the end of the connection;
* a closed socket's number is used again at once by the next connection, so nobody sends on a
  connection while it is closed, nor after.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections import deque
from itertools import islice
from time import monotonic
from typing import Final, Generic, NamedTuple

from .codec import Codec, ProtocolError
from .processes import peer_process
from .requests import C, Request, Task

READ_SIZE: Final = 65_536
"""Bytes: one read empties a Unix socket's usual buffer of many small requests."""

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT

LARGE: Final = 256 * 1024
"""Bytes of an unfinished request from which on a worker reads the rest of it."""

VIEWS: Final = 64
"""Replies that are sent in one call."""


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
        "_failure",
        "_lock",
        "_open",
        "_paused",
        "_poller",
        "_receive",
        "_registered",
        "_socket",
        "_unsent",
        "asked",
        "closed",
        "fd",
        "gone",
        "half_since",
        "lent",
        "more",
        "pid",
        "reset",
        "unsent_since",
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
        self._unsent: deque[memoryview] | None = None
        self._paused = False
        self._open: list[None] = []
        """One for each request that is being worked on: ``append`` and ``pop`` are atomic."""
        self._failure: ProtocolError | None = None
        self._lock = threading.Lock()
        self.asked = 0
        """The task whose callback is the last thing that was sent; 0 when that was something else."""
        self.gone = False
        """Whether the worker that read on found the client gone."""
        self.reset = False
        """Whether the client is known to have gone without reading the last thing that was sent."""
        self.lent = False
        """Whether a worker has it, which reads on: it says when that is over, and touches it no more."""
        self.more = False
        """Whether more had arrived than the request that was given out last."""
        self.half_since = 0.0
        """Since when there is a part of a request, in seconds on the monotonic clock; 0.0 for none."""
        self.unsent_since = 0.0
        """The same for a reply that the socket has not taken."""

    def register(self) -> None:
        """Let the leader poll this connection."""
        with self._lock:
            self._poller.register(self.fd, self._interest())
            self._registered = True

    def pause(self) -> None:
        """Read and handle nothing more for now; the leader only."""
        self._pause(True)

    def lend(self) -> None:
        """Have nobody poll this connection until it is resumed, because a worker has it; the leader only."""
        with self._lock:
            self.lent = self._paused = True
            self._poller.unregister(self.fd)
            self._registered = False

    def resume(self) -> None:
        """Go on; the leader only."""
        if self._registered or self.closed:
            self._pause(False)
        else:
            self._paused = False
            self.register()

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
        except OSError as error:
            return self._unread(error)
        if data:
            self._codec.feed(data)
        return bool(data)

    def receive_direct(self) -> Request[C] | bool:
        """Read what has arrived, as :meth:`receive` does, but for a request that came alone and whole.

        :returns: that request, which is counted.
        """
        try:
            data = self._receive(READ_SIZE)
        except OSError as error:
            return self._unread(error)
        if not data:
            return False
        request = None
        if not (self._unsent or self.closed or self._paused):
            request = self._codec.direct(self, data)
        if request is None:
            self._codec.feed(data)
            return True
        self._open.append(None)
        self.more = False
        return request

    def _unread(self, error: OSError) -> bool:
        self.reset = not isinstance(error, (BlockingIOError, InterruptedError))
        return not self.reset

    def large(self) -> bool:
        """Whether so much of an unfinished request is here that a worker is to read the rest."""
        if not self.half_since or self._unsent or self._paused:
            return False
        return self._codec.pending() > LARGE

    @property
    def stalled_since(self) -> float:
        """Since when the client owes the rest of a request or does not read; 0.0 when it does neither."""
        half, unsent = self.half_since, self.unsent_since
        return min(half, unsent) if half and unsent else half or unsent

    def read_on(self, patience: float) -> bool:
        """Read more of a request, and decode it when it is whole; by the worker that has the connection.

        :param patience: seconds to wait for more.
        :returns: False when there is nothing more to do here: the request is whole, the connection of no
            more use, or nothing came.
        """
        try:
            if self._codec.prepare():
                return False
            poll = select.poll()
            poll.register(self.fd, select.POLLIN)
            if not poll.poll(patience * 1000):
                return False
            self.gone = not self.receive()
            return not self.gone
        except ProtocolError as error:
            self._failure = error
            return False

    def request(self) -> Request[C] | None:
        """The next request that has arrived whole; None also while replies wait to be sent.

        :raises ProtocolError: when what arrived is not a request.
        """
        if self._unsent or self.closed or self._paused:
            return None
        if self._failure is not None:
            raise self._failure
        request = self._codec.request(self)
        codec = self._codec  # it may have had another one take its place
        if request is not None:
            self._open.append(None)
            self.half_since = 0.0
            self.more = codec.held is not None
        elif codec.pending():
            self.half_since = self.half_since or monotonic()
        return request

    def expect(self) -> None:
        """Count a request that is being worked on; the leader only."""
        self._open.append(None)

    def answer(self, data: bytes, asked: int = 0) -> bool:
        """Send the reply to a request that was counted, as :meth:`send` does."""
        sent = self.send(data, asked)
        self._open.pop()
        return sent

    @property
    def at_rest(self) -> bool:
        """Whether no request of it is being worked on, and neither a task nor a worker has it; the leader
        only."""
        return not self._open and not self.lent and self._codec.task is None

    @property
    def task(self) -> Task | None:
        """What has the connection to itself; None while nothing has."""
        return self._codec.task

    def use(self, codec: Codec[C]) -> None:
        """Have another codec from now on, which has got all that arrived; called by the one in use, in its
        :meth:`Codec.request`."""
        self._codec = codec

    def send(self, data: bytes, asked: int = 0) -> bool:
        """Send a frame.

        :param asked: the task whose callback it is; 0 for anything else.
        :returns: False when it cannot reach the client, which is gone.
        """
        with self._lock:
            if self.closed:
                return False
            self.asked = asked
            if self._unsent:
                self._unsent.append(memoryview(data))
                return True
            try:
                sent = self._socket.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self.asked = 0
                return False
            if sent < len(data):
                self._unsent = deque([memoryview(data)[sent:]])
                self.unsent_since = monotonic()
                if self._registered:
                    self._poller.modify(self.fd, self._interest())
            return True

    def flush(self) -> bool:
        """Send more of what waits; the leader calls it when the socket takes data again.

        :returns: False when the client is gone.
        """
        with self._lock:
            unsent = self._unsent
            if not unsent:
                return True
            try:
                sent = self._socket.sendmsg(islice(unsent, VIEWS))
            except (BlockingIOError, InterruptedError):
                return True
            except OSError:
                self.reset = True
                return False
            while unsent and sent >= len(unsent[0]):
                sent -= len(unsent.popleft())
            if unsent:
                unsent[0] = unsent[0][sent:]
            else:
                self._unsent = None
                self.unsent_since = 0.0
                self._poller.modify(self.fd, self._interest())
            return True

    def detach(self) -> Detached:
        """Let the socket go, which stays open; take the connection out of every table first."""
        with self._lock:
            self.closed = True
            if self._registered:
                self._poller.unregister(self.fd)
            unsent = b"".join(self._unsent or ())
            return Detached(self._socket, self._codec.unhandled(), unsent)

    def restore(self, unhandled: bytes, unsent: bytes) -> None:
        """Go on where another process stopped; before :meth:`register`.

        :raises ProtocolError: when the codec cannot take that.
        """
        if unsent:
            self._unsent = deque([memoryview(unsent)])
            self.unsent_since = monotonic()
        self._codec.feed(unhandled)

    def cut(self) -> None:
        """Have the leader find the client gone, and close the connection; from any thread."""
        with self._lock:
            if not self.closed:
                self.reset = bool(self._unsent)
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

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
