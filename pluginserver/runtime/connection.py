"""One client: bytes in, requests out; what the bytes mean is its codec's business.

How it is sent to is told in :mod:`.sending`.  Rules kept here:

* all of it is for the leader alone, but what is said to be for the worker that a connection is lent to (see
  :mod:`.reading`, :mod:`.lending`);
* while something waits to be sent, nothing is read: a client that pipelines requests and does not
  read the replies costs its own patience, not our memory;
* half a message has a time since when it is there;
* a task whose callback cannot have reached its client is known by the end of the connection.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from time import monotonic
from typing import Final, Generic, NamedTuple

from . import syscalls
from .codec import Codec, ProtocolError
from .requests import C, Owner, Request, Task
from .sending import Sender
from .syscalls import Receiver

READ_SIZE: Final = 65_536
"""Bytes: one read empties a Unix socket's usual buffer of many small requests."""

LARGE: Final = 256 * 1024
"""Bytes of an unfinished request from which on a worker reads the rest of it."""


class Detached(NamedTuple):
    """A connection on its way to another process."""

    socket: socket.socket
    unhandled: bytes
    """What was read, and is no request yet."""
    unsent: bytes
    """What the socket has not taken yet."""


class Connection(Sender, Generic[C]):
    """One client.

    :param sock: the accepted socket; it is made non-blocking and belongs to this object from now
        on.
    :param poller: the epoll set that the leader polls.
    :param codec: what the bytes mean.
    """

    __slots__ = (
        "_claim",
        "_codec",
        "_failure",
        "_open",
        "_receive",
        "gone",
        "half_since",
        "more",
        "reader",
        "receiver",
    )

    def __init__(self, sock: socket.socket, poller: select.epoll, codec: Codec[C]) -> None:
        super().__init__(sock, poller)
        self._receive = sock.recv
        self._codec = codec
        self._open: list[None] = []
        """One for each request that is being worked on: ``append`` and ``pop`` are atomic."""
        self._failure: ProtocolError | None = None
        self._claim: list[None] = []
        """Holds one thing while it is lent to the owner of a task and nobody reads: ``pop`` is the claim."""
        self.reader: Owner | None = None
        """Who waits for a step on it."""
        self.receiver: Receiver
        """The leader's."""
        self.gone = False
        """Whether the worker that read on found the client gone."""
        self.more = False
        """Whether more had arrived than the request that was given out last."""
        self.half_since = 0.0
        """Since when there is a part of a request, in seconds on the monotonic clock; 0.0 for none."""

    @property
    def lendable(self) -> bool:
        """Whether nothing but the step of a task is to be expected on it, for all that is known; the leader
        only."""
        return not (self.more or self.unsent or self.paused or self._codec.pending())

    def leave(self) -> None:
        """Leave a connection that is lent to whoever claims it; the leader, and who has taken it back."""
        self._claim.append(None)

    def take_back(self) -> bool:
        """Claim a connection that is lent to the owner of a task: nobody else reads on it from now on; from
        any thread."""
        try:
            self._claim.pop()
        except IndexError:
            return False
        return True

    def returned(self) -> bool:
        """Have the leader poll it again; by who has taken it back.

        :returns: whether the leader need not be told: there is nothing to handle before.
        """
        codec = self._codec
        with self.lock:
            self.lent = False
            if self.closed or self.gone or self._failure or codec.pending():
                return False
            self.paused = False
            try:
                syscalls.register(self.poller, self.fd, self.interest())
            except (OSError, ValueError):  # somebody has closed it
                return False
            self.registered = True
            return True

    def receive_step(self, task: Task, receiver: Receiver) -> Request[C] | None:
        """Read the step of a task, if that is what has arrived, and all of it; by who has taken it back.

        :param receiver: of the calling thread.
        :returns: the step, which is counted; None when the connection is to be :meth:`returned`.
        """
        try:
            data = receiver.receive(self.fd, self._receive, READ_SIZE)
            if not data:
                self.gone = True
                return None
            request = self._codec.step(self, data, task)
            if request is None:
                self._codec.feed(data)
                return None
            self._open.append(None)
            return request
        except OSError as error:
            self.gone = not self._unread(error)
        except ProtocolError as error:
            self._failure = error
        return None

    def resume(self) -> None:
        """Go on; the leader only."""
        if self.registered or self.closed:
            self.set_paused(False)
        else:
            self.paused = False
            self.register()

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
            if self.others:
                data = self.receiver.receive(self.fd, self._receive, READ_SIZE)
            else:
                data = self._receive(READ_SIZE)
        except OSError as error:
            return self._unread(error)
        if not data:
            return False
        request = None
        if not (self.unsent or self.closed or self.paused):
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
        if not self.half_since or self.unsent or self.paused:
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
        if self.unsent or self.closed or self.paused:
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

    def detach(self) -> Detached:
        """Let the socket go, which stays open; take the connection out of every table first."""
        with self.lock:
            self.closed = True
            if self.registered:
                self.poller.unregister(self.fd)
            unsent = b"".join(self.unsent or ())
            return Detached(self.sock, self._codec.unhandled(), unsent)

    def restore(self, unhandled: bytes, unsent: bytes) -> None:
        """Go on where another process stopped; before :meth:`register`.

        :raises ProtocolError: when the codec cannot take that.
        """
        if unsent:
            self.unsent = deque([memoryview(unsent)])
            self.unsent_since = monotonic()
        self._codec.feed(unhandled)
