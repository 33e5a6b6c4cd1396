"""What workers are given to do: requests of clients, and what the pool itself asks of them.

A :class:`Request` is made once, by the codec of the connection that it came on, and lives until it is
settled.  Its states::

    RUNNING --> CLAIMED by the worker that ran it, which sends the reply
            --> CLAIMED by the clock (or at the server's end), which has sent a refusal

A claim is an atomic ``list.pop`` (see :mod:`.interrupts`).  What a request does is the business of the
room above: the runtime calls :meth:`Request.perform` on the right thread, and knows a :class:`Task`, what
runs in slices on one thread, only by what is here.
"""

from __future__ import annotations

from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from .interrupts import Interruptible

C = TypeVar("C")
"""What a thread keeps for the requests that it runs."""

SLOW: Final = 0.002
"""Seconds.  A slice that computes takes microseconds; a network call takes milliseconds."""

LATE: Final = "its time was over"
"""Why a task is cancelled whose request was answered without it."""


class Peer(Protocol):
    """Where a reply goes: a connection."""

    def send(self, data: bytes, asked: int = 0) -> bool:
        """Send a reply.

        :param asked: the task whose callback it is; 0 for anything else.
        :returns: False when it cannot reach the client, which is gone.
        """


class Owner(Protocol):
    """The thread that a task belongs to."""

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

    def slow_inline(self, now: float) -> None:
        """Note a slice over :data:`SLOW` on the leader; ``now`` is on the monotonic clock."""

    def blocked(self) -> None:
        """Note a slice so long that the leader was replaced."""

    def ended_on_worker(self, slow: bool) -> None:
        """Note the end of a task on a thread of its own, and whether a slice was slow."""


class Task:
    """What runs in slices on the thread that began it: an event, as the runtime sees it.

    :param number: what clients name it by.
    :param kind: tasks of one kind share the threads fairly with those of others: the plugin's name.
    :param placement: whether it may share the leader's thread.
    """

    __slots__ = ("id", "kind", "owner", "peer", "placement", "raised", "since", "slow")

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

    @property
    def suspended(self) -> bool:
        """Whether it waits for a step; on its thread, between slices."""
        raise NotImplementedError

    @property
    def patient(self) -> bool:
        """Whether it waits for something that may take its time, and is not to be given up early."""
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


class Work(Interruptible):
    """Something for a thread to do, in one slice.

    ``reply`` is what :meth:`perform` has to say to the client, ``suspended`` whether the task waits for
    a step afterwards.
    """

    __slots__ = ("reply", "suspended", "task")

    def __init__(self, task: Task | None) -> None:
        super().__init__()
        self.task = task
        self.reply = b""
        self.suspended = False


class Request(Work, Generic[C]):
    """A client's request.

    :param peer: who is answered.
    :param task: what it begins or goes on with; None for a control request.
    """

    __slots__ = ("peer", "since")

    def __init__(self, peer: Peer, task: Task | None) -> None:
        super().__init__(task)
        self.peer = peer
        self.since = 0.0
        """When it was given to a thread other than the leader's, on the monotonic clock."""

    def perform(self, context: C) -> None:
        """Run a slice of code that is not ours, and set ``reply`` and ``suspended``.

        It raises nothing but :class:`~.interrupts.Cancelled`, and that only for what was claimed.
        """
        raise NotImplementedError

    def refuse(self, why: str) -> bytes:
        """The reply that says that it was not done, and why; by who has claimed it, on any thread."""
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


class Errand:
    """Something for a worker that is no task's."""

    def perform(self) -> None:
        """Do it."""
        raise NotImplementedError


class Promote:
    """A thread is to lead from now on."""


class Shutdown:
    """A thread is to end."""


PROMOTE: Final = Promote()
SHUTDOWN: Final = Shutdown()

Item: TypeAlias = "Request[Any] | Cancel | Errand | Promote | Shutdown"
"""What an inbox holds."""
