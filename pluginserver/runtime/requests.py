"""What workers are given to do: requests of clients, and what the pool itself asks of them.

A :class:`Request` is made once, by the codec of the connection that it came on, and lives until it is
settled.  Its states::

    RUNNING --> CLAIMED by the worker that ran it, which sends the reply
            --> CLAIMED by the clock (or at the server's end), which has sent a refusal
            --> PINGED by the clock, which has sent a callback of its own --> RUNNING when Kong's step comes

A claim is an atomic ``list.pop`` (see :mod:`.interrupts`).  What a request does is the business of the
room above: the runtime calls :meth:`Request.perform` on the right thread, and knows a :class:`Task`, what
runs in slices on one thread, only by what is here.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from .book import Book
from .interrupts import Interruptible
from .usage import Spent

C = TypeVar("C")
"""What a thread keeps for the requests that it runs."""

SLOW: Final = 0.002
"""Seconds.  A slice that computes takes microseconds; a network call takes milliseconds."""

LATE: Final = "its time was over"
"""Why a task is cancelled whose request was answered without it."""


class Peer(Protocol):
    """Where a reply goes: a connection."""

    @property
    def pid(self) -> int:
        """The client's process; 0 when the system does not show it."""

    def send(self, data: bytes, asked: int = 0) -> bool:
        """Send what answers nothing that is counted.

        :param asked: the task whose callback it is; 0 for anything else.
        :returns: False when it cannot reach the client, which is gone.
        """

    def expect(self) -> None:
        """Count a request that is being worked on; on the thread that has read it."""

    def answer(self, data: bytes, asked: int = 0) -> bool:
        """Send the reply to a request that was counted, once, as :meth:`send` does; on any thread."""


class Owner(Protocol):
    """The thread that a task belongs to."""

    book: Book
    """What it counts; nobody else writes in it."""

    inbox: queue.SimpleQueue[Item]
    """What it is to do next."""

    @property
    def began(self) -> float:
        """When its slice at hand began on the monotonic clock; 0.0 outside of one."""

    def post(self, item: Item) -> None:
        """Give the thread something to do; from any thread."""


class Placement(Protocol):
    """Whether the tasks of one kind share the leader's thread, and how that is judged.

    Written by several threads without a lock: what it holds is a judgement, and a lost update only
    delays it.
    """

    @property
    def inline(self) -> bool:
        """Whether they share it."""

    @property
    def open(self) -> bool:
        """Whether it is not decided that they never share it: then suspended ones are looked at."""

    def slow_inline(self, now: float, spent: Spent | None) -> None:
        """Note a slice over :data:`SLOW` that began on the leader.

        :param now: seconds on the monotonic clock.
        :param spent: where its time went; None when that is not known.
        """

    def replaced(self, now: float) -> None:
        """Note a slice so long that the leader was replaced; ``now`` is on the monotonic clock."""

    def ended_on_worker(self, slow: bool, now: float) -> None:
        """Note the end of a task on a thread of its own; it may take its time.

        :param slow: whether a slice was slow.
        :param now: seconds on the monotonic clock.
        """


class Task:
    """What runs in slices on the thread that began it: an event, as the runtime sees it.

    :param number: what clients name it by.
    :param kind: tasks of one kind share the threads fairly with those of others: the plugin's name.
    :param placement: whether it may share the leader's thread.
    """

    __slots__ = (
        *("asked", "asks", "id", "kind", "owner", "peer", "placement", "raised", "since", "slow"),
        *("spent", "waited"),
    )

    def __init__(self, number: int, kind: str, placement: Placement) -> None:
        self.id = number
        self.kind = kind
        self.placement = placement
        self.owner: Owner | None = None
        """The thread that began it, which alone may go on with it; None before that."""
        self.peer: Peer | None = None
        """Where its last callback was sent."""
        self.since = 0.0
        """When it was suspended last, in seconds on the monotonic clock."""
        self.slow = False
        """Whether one of its slices was over :data:`SLOW`."""
        self.raised: list[BaseException] | None = None
        """What its code has raised and :meth:`report` has not told yet; None for nothing."""
        self.asked = ""
        """What its last callback named."""
        self.asks = 0
        """How many of its callbacks were answered."""
        self.spent = 0.0
        """Seconds that its slices have taken, up to the last one that is over."""
        self.waited = 0.0
        """Seconds that it was suspended."""

    @property
    def suspended(self) -> bool:
        """Whether it waits for a step; on its thread, between slices."""
        raise NotImplementedError

    @property
    def patient(self) -> bool:
        """Whether it waits for something that may take its time, and is not to be given up early."""
        raise NotImplementedError

    @property
    def timeout(self) -> float | None:
        """Seconds that one of its requests may take; None for the server's own."""
        raise NotImplementedError

    def look(self) -> None:
        """Tell its placement what it holds where it is suspended; on its thread, which is not the leader."""
        raise NotImplementedError

    def cancel(self, why: str) -> None:
        """End it where it is suspended; on its thread."""
        raise NotImplementedError

    def report(self) -> None:
        """Tell what is in :attr:`raised`; on its thread, when nobody can interrupt it."""
        raise NotImplementedError

    def end(self) -> None:
        """It is over, in whatever way; called once, by its thread or by who kept it from beginning."""
        raise NotImplementedError


class Ping:
    """A request whose client is kept waiting: the clock has claimed it and sent a callback in its name.

    While that is out nothing may be sent.  The step that answers it brings another peer and message id, and
    gives the claim back.  ``done`` and ``refused`` are stored before the claim is tried, and looked at after
    it was given back: whichever comes last finds what the other has left.
    """

    __slots__ = ("done", "refused", "sent")

    def __init__(self) -> None:
        self.sent = 0.0
        """When the last one was sent, in seconds on the monotonic clock."""
        self.done = False
        """Whether the slice has ended while the ping was out; its reply is kept in the request."""
        self.refused: str | None = None
        """Why the request is to be refused when the step comes."""


class Work(Interruptible):
    """Something for a thread to do, in one slice."""

    __slots__ = ("reply", "suspended", "task")

    def __init__(self, task: Task | None) -> None:
        super().__init__()
        self.task = task
        self.reply = b""
        """What :meth:`perform` has to say to the client."""
        self.suspended = False
        """Whether the task waits for a step after :meth:`perform`."""


class Request(Work, Generic[C]):
    """A client's request.

    :param peer: who is answered.
    :param task: what it begins or goes on with; None for a control request.
    """

    __slots__ = ("peer", "ping", "since")

    def __init__(self, peer: Peer, task: Task | None) -> None:
        super().__init__(task)
        self.peer = peer
        self.ping: Ping | None = None
        self.since = 0.0
        """When it was given to another thread than the leader, on the monotonic clock; 0.0 if it was not."""

    @property
    def pointless(self) -> bool:
        """Whether its client is gone, and nobody else will wait for the answer; any thread."""
        return False

    def perform(self, context: C) -> None:
        """Run a slice of code that is not ours, and set ``reply`` and ``suspended``.

        It raises nothing but :class:`~.interrupts.Cancelled`, and that only for what was claimed.
        """
        raise NotImplementedError

    def ping_message(self) -> bytes | None:
        """The callback that keeps the client waiting; None when there is none."""
        return None

    def encoded(self) -> bytes:
        """The reply, made anew for the peer and message id that the request has now."""
        raise NotImplementedError

    def refuse(self, why: str) -> bytes:
        """The reply that says that it was not done, and why; by who has claimed it, on any thread."""
        raise NotImplementedError


class Pong(Request[C]):
    """A step that answers a ping.

    :param peer: who sent it, and is answered from now on.
    :param pinged: the request that was pinged.
    """

    __slots__ = ("pinged",)

    def __init__(self, peer: Peer, pinged: Request[C]) -> None:
        super().__init__(peer, None)
        self.pinged = pinged

    def take_over(self) -> None:
        """Give the pinged request this one's peer and message id."""
        raise NotImplementedError


class Cancel(Work):
    """A task is to be ended that nobody waits for any more; whoever makes it has claimed the task."""

    __slots__ = ("why",)

    def __init__(self, task: Task, why: str) -> None:
        super().__init__(task)
        self.why = why

    def perform(self, _context: object) -> None:
        """End the task."""
        assert self.task is not None
        self.task.cancel(self.why)


class Call:
    """Something of ours is to be called on a thread; it is quick and takes no lock that others hold."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function


class Job:
    """Something of ours for a worker, which may take its time there, and is no task's."""

    def perform(self) -> None:
        """Do it."""
        raise NotImplementedError


class Promote:
    """A thread is to lead from now on."""


class Shutdown:
    """A thread is to end."""


PROMOTE: Final = Promote()
SHUTDOWN: Final = Shutdown()

Item: TypeAlias = "Request[Any] | Cancel | Call | Job | Promote | Shutdown"
"""What an inbox holds."""
