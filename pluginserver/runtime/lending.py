"""Connections that the leader lends to the owners of tasks, which read the next step themselves.

A step that the leader reads for a task on a thread of its own costs two threads a turn each: one wakes the
other for a few microseconds of work.  Most clients send the step on the connection that the callback came
on, so the leader stops polling that one when it gives the task's request away, and the owner waits for the
step on the socket.  Rules kept here:

* a connection is read by one thread at a time: who claims it (:meth:`~.connection.Connection.take_back`),
  and that is its owner only while it waits;
* whatever comes that is not the one step, alone and whole, is the leader's to handle, and so is all that
  comes afterwards;
* the owner waits for its inbox, too: a step may come on another connection, and a cancellation at any time;
* while a slice lasts, nobody reads: one that is not short gives the connection back, since a client may send
  more than Kong does, and the answer to a ping comes there.
"""

from __future__ import annotations

import os
import select
import threading
from time import monotonic
from typing import Final, Generic

from .connection import Connection
from .forks import close_all, close_in_children
from .polled import Polled
from .requests import C, Call, Owner, Request, Task
from .syscalls import Receiver

SHORT: Final = 2048
"""Bytes that a worker reads in one call: more than most steps have, and little for each of many threads."""


class Lending(Polled[C]):
    """The connections of a pool, as far as they are lent.

    The table at the head of :mod:`.pool` says who may do what.
    """

    def lend_to_owner(self, request: Request[C]) -> None:
        """Lend the connection that a request came on to the thread that gets it; the leader only."""
        connection = request.peer
        if isinstance(connection, Connection) and connection.lendable and self.moving is None:
            connection.lend()
            connection.leave()

    def recall(self, peer: object) -> None:
        """Have a connection back that is lent, as soon as that can be; from any thread."""
        if not isinstance(peer, Connection) or not peer.lent:
            return
        if peer.take_back():
            self.give_back(peer)
        elif (reader := peer.reader) is not None:
            reader.post(Call(_nothing))

    def give_back(self, connection: Connection[C]) -> None:
        """Have the leader poll a connection again; by who has taken it back."""
        connection.reader = None
        polled = connection.returned()
        if not polled or self.moving is not None:
            self.resumed.put(connection)
            self.wake_poll()


def _nothing() -> None:
    """Wakes who waits."""


class StepReader(Generic[C]):
    """What a worker waits with for a step, or for something in its inbox.

    :param pool: its pool.
    :param owner: the worker.
    :raises OSError: when the system gives no descriptor.
    """

    def __init__(self, pool: Lending[C], owner: Owner) -> None:
        self._pool = pool
        self._owner = owner
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closing = threading.Lock()
        close_in_children(self)
        self._poll = select.poll()
        self._poll.register(self._wakeup, select.POLLIN)
        self._polled = -1
        self._receiver = Receiver(SHORT)
        self.waiting = False
        """Whether the worker waits, or is about to: who posts to it looks there *after* that."""

    def wake(self) -> None:
        """Have the worker look into its inbox; from any thread."""
        with self._closing:
            if self._wakeup >= 0:
                os.eventfd_write(self._wakeup, 1)

    def step(self, task: Task, connection: Connection[C]) -> Request[C] | None:
        """Wait for the step of a task on a connection that has been taken back.

        :returns: None when there is something in the inbox, or the leader is to read.
        """
        request = None
        try:
            if connection.fd != self._polled:
                if self._polled >= 0:
                    self._poll.unregister(self._polled)
                self._poll.register(connection.fd, select.POLLIN)
                self._polled = connection.fd
            connection.reader = self._owner
            self.waiting = True
            while request is None and self._owner.inbox.empty():
                if self._pool.moving is not None and connection.task is None:
                    break
                ready = self._poll.poll()
                if len(ready) > 1 or ready[0][0] == self._wakeup:
                    os.eventfd_read(self._wakeup)
                if len(ready) > 1 or ready[0][0] != self._wakeup:
                    request = self._receive(task, connection)
                    if request is None:
                        break
        finally:
            self.waiting = False
            if request is None:
                self._pool.give_back(connection)
        if request is not None and self._pool.dozing:
            self._pool.wake_clock()
        return request

    def _receive(self, task: Task, connection: Connection[C]) -> Request[C] | None:
        """Read what has arrived; the step is in flight before anybody could think that all is quiet."""
        self._pool.stepping.append(None)
        try:
            request = connection.receive_step(task, self._receiver)
            if request is not None:
                request.since = monotonic()
                self._pool.in_flight[request] = None
                connection.leave()
        finally:
            self._pool.stepping.pop()
        return request

    def close(self) -> None:
        """Be of no more use; by the worker. Who is about to wake it may come late."""
        with self._closing:
            os.close(self._wakeup)
            self._wakeup = -1

    def forked(self) -> None:
        """Close the parent's descriptor; this is a child."""
        close_all(self._wakeup)
