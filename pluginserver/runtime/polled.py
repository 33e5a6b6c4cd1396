"""What the leader polls: the connections, what wakes it, and descriptors that are watched.

Rules kept here:

* a connection leaves the table before its socket is closed: the number is used again at once;
* what is one connection too many costs its own client, and one line of the log.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
from collections import Counter
from collections.abc import Callable
from typing import Generic

from .. import logs
from .connection import READ_SIZE, Connection
from .forks import close_all
from .notices import Notices
from .options import Options
from .requests import C, Request
from .syscalls import Receiver


class Polled(Generic[C]):
    """The clients of one server; the table at the head of :mod:`.pool` says who may do what.

    :param options: the server's settings.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.log = logs.get_logger()
        self.notices = Notices(self.log)
        self.counts: Counter[str] = Counter()
        """How often each limit was hit."""
        self.poller = select.epoll()
        self.renew_wakeup()
        self.in_flight: dict[Request[C], None] = {}
        """The requests that are not in the leader's hands."""
        self.stepping: list[None] = []
        """One for each worker that reads a step: ``append`` and ``pop`` are atomic."""
        self.dozing = False
        """Whether the clock sleeps until something happens, or is about to."""
        self.alarm: queue.SimpleQueue[None] = queue.SimpleQueue()
        """Wakes the clock."""
        self._receiver = Receiver(READ_SIZE)
        self.connections: dict[int, Connection[C]] = {}
        self.watched: dict[int, Callable[[], None]] = {}
        """What the leader calls, once, when a descriptor that is no connection's becomes readable."""
        self.paused: dict[Request[C], Connection[C]] = {}
        """The connections that wait for the answer to a control request, one each."""
        self.resumed: queue.SimpleQueue[Connection[C]] = queue.SimpleQueue()
        """Those that have it, and those that were lent, for the leader to go on with."""
        self.reading: Connection[C] | None = None
        """The connection that the leader read last: its codec may hold more requests."""
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        """What the leader is to do between two requests."""
        self.moving: Callable[[Connection[C]], None] | None = None
        """Moves a connection to another process, where all are to go; nothing more is read here then."""

    def is_full(self) -> bool:
        """Whether one more client would be too many; it is to be closed then, and this has been told."""
        limit = self.options.max_connections
        if len(self.connections) < limit:
            return False
        self.counts["connections_refused"] += 1
        self.notices.tell(
            "a connection was refused", f"there are {limit} already: raise -max-connections"
        )
        return True

    def add(self, connection: Connection[C]) -> None:
        """Serve a new client.

        :raises OSError: when the system can watch no more of them; the connection is closed then.
        :raises ValueError: when somebody has closed the epoll set.
        """
        connection.others = self.in_flight
        connection.receiver = self._receiver
        self.connections[connection.fd] = connection
        try:
            connection.register()
        except (OSError, ValueError):
            self.drop(connection)
            raise

    def drop(self, connection: Connection[C]) -> None:
        """Close a connection; the leader only, or before the leader knows of it."""
        del self.connections[connection.fd]
        connection.close()

    def pause(self, connection: Connection[C], request: Request[C]) -> None:
        """Handle nothing more of a connection until a request of its is answered; the leader only."""
        connection.pause()
        self.paused[request] = connection

    def resume(self, request: Request[C]) -> None:
        """Go on with the connection of a request that is answered, if it was paused for that or is to move;
        any thread, any request."""
        if self.paused.pop(request, None) is None and self.moving is None:
            return
        if isinstance(request.peer, Connection):
            self.resumed.put(request.peer)
            self.wake_poll()

    def watch(self, descriptor: int, ready: Callable[[], None]) -> None:
        """Have the leader call ``ready``, once, when the descriptor is readable; it is closed at the end."""
        self.watched[descriptor] = ready
        try:
            self.poller.register(descriptor, select.EPOLLIN | select.EPOLLONESHOT)
        except (OSError, ValueError):
            del self.watched[descriptor]
            raise

    def wake_poll(self) -> None:
        """Let the leader look into its inbox."""
        with contextlib.suppress(OSError):  # a closed one is noticed by supervision
            os.eventfd_write(self.wakeup, 1)

    def wake_clock(self) -> None:
        """Let the clock look again; from any thread."""
        self.dozing = False
        self.alarm.put(None)

    def renew_wakeup(self) -> None:
        """Open the descriptor that wakes the leader, or another one when somebody has closed it."""
        self.wakeup = os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.poller.register(self.wakeup, select.EPOLLIN)

    def close(self) -> None:
        """Close what is left, when all threads have ended."""
        for connection in list(self.connections.values()):
            self.drop(connection)
        with contextlib.suppress(OSError):  # somebody may have closed it
            self.poller.close()
        close_all(self.wakeup, *self.watched)
        self.wakeup = -1
        self.watched.clear()

    def forked(self) -> None:
        """Close what belongs to the parent; this is a child."""
        for connection in list(self.connections.values()):
            connection.forked()
        self.poller.close()
        close_all(self.wakeup, *self.watched)
