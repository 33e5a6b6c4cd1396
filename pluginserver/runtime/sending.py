"""One client's socket, as far as it is polled, sent to and closed.

Rules kept here:

* :meth:`Sender.send` and :meth:`Sender.cut` are for every thread, all else for the leader alone;
* a reply goes out whole, in the order of the calls: what the socket does not take at once is kept
  and sent when it can be;
* a reply that nobody reads has a time since when it is there;
* a closed socket's number is used again at once by the next connection, so nobody sends on a
  connection while it is closed, nor after.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections import deque
from collections.abc import Collection
from itertools import islice
from time import monotonic
from typing import Final

from . import syscalls
from .processes import peer_process

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT

VIEWS: Final = 64
"""Replies that are sent in one call."""


class Sender:
    """What can be done with one client without a look at what it sends.

    :param sock: the accepted socket; it is made non-blocking and belongs to this object from now
        on.
    :param poller: the epoll set that the leader polls.
    """

    __slots__ = (
        "asked",
        "closed",
        "fd",
        "lent",
        "lock",
        "others",
        "paused",
        "pid",
        "poller",
        "registered",
        "reset",
        "sock",
        "unsent",
        "unsent_since",
    )

    def __init__(self, sock: socket.socket, poller: select.epoll) -> None:
        sock.setblocking(False)
        self.fd = sock.fileno()
        self.closed = False
        self.pid: Final = peer_process(sock)
        """The client's process; 0 when the system does not show it."""
        self.sock = sock
        self.poller = poller
        self.registered = False
        self.unsent: deque[memoryview] | None = None
        self.paused = False
        self.lock = threading.Lock()
        self.others: Collection[object] = ()
        """What other threads are doing, while the leader handles this connection."""
        self.asked = 0
        """The task whose callback is the last thing that was sent; 0 when that was something else."""
        self.reset = False
        """Whether the client is known to have gone without reading the last thing that was sent."""
        self.lent = False
        """Whether a worker has it: nobody polls it then, and the leader does not touch it."""
        self.unsent_since = 0.0
        """Since when there is a reply that the socket has not taken, in seconds on the monotonic clock; 0.0
        for none."""

    def register(self) -> None:
        """Let the leader poll this connection."""
        with self.lock:
            self.poller.register(self.fd, self.interest())
            self.registered = True

    def pause(self) -> None:
        """Read and handle nothing more for now; the leader only."""
        self.set_paused(True)

    def lend(self) -> None:
        """Have nobody poll this connection until it is resumed, because a worker has it; the leader only."""
        with self.lock:
            self.lent = self.paused = True
            syscalls.unregister(self.poller, self.fd)
            self.registered = False

    def set_paused(self, paused: bool) -> None:
        """Say whether anything more is to be read."""
        with self.lock:
            self.paused = paused
            if self.registered and not self.closed:
                self.poller.modify(self.fd, self.interest())

    def interest(self) -> int:
        """What the leader polls for; under the lock."""
        if self.unsent:
            return WRITABLE
        return 0 if self.paused else READABLE

    def send(self, data: bytes, asked: int = 0) -> bool:
        """Send a frame.

        :param asked: the task whose callback it is; 0 for anything else.
        :returns: False when it cannot reach the client, which is gone.
        """
        with self.lock:
            if self.closed:
                return False
            self.asked = asked
            if self.unsent:
                self.unsent.append(memoryview(data))
                return True
            try:
                if self.lent or self.others:
                    sent = syscalls.send(self.sock, data)
                else:
                    sent = self.sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self.asked = 0
                return False
            if sent < len(data):
                self.unsent = deque([memoryview(data)[sent:]])
                self.unsent_since = monotonic()
                if self.registered:
                    self.poller.modify(self.fd, self.interest())
            return True

    def flush(self) -> bool:
        """Send more of what waits; the leader calls it when the socket takes data again.

        :returns: False when the client is gone.
        """
        with self.lock:
            unsent = self.unsent
            if not unsent:
                return True
            try:
                sent = self.sock.sendmsg(islice(unsent, VIEWS))
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
                self.unsent = None
                self.unsent_since = 0.0
                self.poller.modify(self.fd, self.interest())
            return True

    def cut(self) -> None:
        """Have the leader find the client gone, and close the connection; from any thread."""
        with self.lock:
            if not self.closed:
                self.reset = bool(self.unsent)
                with contextlib.suppress(OSError):
                    self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket.  Take the connection out of every table first."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            if self.registered:
                with contextlib.suppress(OSError, ValueError):  # somebody has closed it
                    self.poller.unregister(self.fd)
            self.sock.close()

    def forked(self) -> None:
        """Close the socket in a child, where the parent's epoll set must not be touched."""
        self.closed = True
        with contextlib.suppress(OSError):  # the listener may have closed it
            self.sock.close()
