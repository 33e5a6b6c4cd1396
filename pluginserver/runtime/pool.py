"""The threads of one server: what they share, who leads, who works, and what waits for a thread.

Theory of operation
===================

The pattern is called Leader/Followers.  A greenlet can only be switched on the thread that made it, so
each task belongs to one thread, its owner, which begins it and hands it every step.  Threads that wake each
other for every message cost more than the work itself, so one thread, the *leader*, does all that it can
alone: it polls the connections, reads, decodes, and runs inline what may share its thread.

**Leadership** is a lock of the leader's.  It is released for each *slice*, the time in which code runs
that is not ours, and regained afterwards.  When a slice lasts too long, the clock (:mod:`.clock`) acquires
it instead and promotes another thread, which goes on with what the old leader had read but not handled.
The old leader finds its leadership gone when the slice ends, settles that one request, and is a worker
from then on.  Each term has a lock of its own: who comes back must not regain that of a successor.

**Workers** take requests from their inboxes.  A task that does not run inline has its thread to itself
from its beginning to its end; when no thread is free its request waits in the backlog.

The shared fields
=================

=================== ============================ ========================== ==============================
field               written by                   guard                      read by
=================== ============================ ========================== ==============================
inbox               any thread (``put``)         SimpleQueue                its thread
live, holding       its thread; holding: the     none; the pool's lock      its thread; the pool
                    pool
book                its thread                   none: stores of numbers    who asks (copies)
parked              its thread                   none: one store            the clock
current             its thread                   none: stored before        the clock, stop
                                                 ``claimed`` is loaded
began               its thread                   none: one store            the clock
leading             its thread (True); it and    leadership                 its thread; who posts, *after*
                    the clock (False)                                       ``put``
leadership          leader: release, regain;     the lock itself            both
                    clock, stop: acquire
connections         acceptor: add; leader: drop  dict store, ``del``        leader
waiting             owner: add; leader, clock,   ``dict.pop`` is the claim  clock (a copy)
                    owner at its end: pop
in_flight           leader, clock: add; who      ``dict.pop``               clock, stop (a copy)
                    claimed, or settled: pop
a request's claim   leader, worker, clock, stop  ``list.pop``               all
pinged              clock: add; leader: pop      ``dict.pop``               clock
kept                owner: add; who delivers or  ``dict.pop`` is the claim
                    cancels: pop
ping.done, refused  owner; clock                 stored before the claim    who gave the claim back,
                                                 is tried                   *after* that
calls               any thread (``put``)         SimpleQueue                the leader
refusing            who hands over               none: one store            clock
moving              leader                       none: stored before        who has answered, *after*
                                                 answers are counted        the answer is counted
paused, resumed     leader: add; who answers,    ``dict.pop``,              the leader
                    and who was lent one: pop,   SimpleQueue
                    ``put``
a connection lent   who it is lent to            ``lent``, stored before    nobody else
to read a request                                it is put into ``resumed``
a connection lent   who claims it: its task's    ``list.pop`` is the claim  nobody else
to a task's owner   owner to wait, clock, leader
                    and owner to give it back
stepping            owner: add, pop              stored before a step is    who asks whether all is
                                                 claimed, popped after it   quiet
                                                 is in flight
reader, waiting     owner: before it waits       none: stored before        who recalls the connection,
                                                 the inbox and ``moving``   or posts, *after* that
                                                 are looked at
its asked, unsent   who sends                    its lock                   leader, clock
Task.peer           its thread, before it sends  none: one store            leader, when it is gone
reading             leader                       leadership                 the next leader
active              leader                       none                       clock, *after* storing dozing
dozing              clock; leader (False)        none                       leader, *after* storing active
leader, groups      all                          lock                       clock: leader without it
Event.outcome       its thread; who claimed its  the claim                  its thread
                    request
=================== ============================ ========================== ==============================

Where no guard is named, CPython's own atomicity is relied upon: of one store, of ``dict.pop``,
``list.pop`` and ``list(dict)``, and, for "stored before ... loaded", that of two threads which each store
one attribute and then load the other's at least one sees the other's store.

The states
==========

::

    thread   SPAWNED -> IDLE -> WORKING <-> PARKED -> IDLE -> ENDED
             IDLE -> LEADING -> (slice) -> LEADING | WORKING
    request  RUNNING -> CLAIMED by the thread that ran it | by the clock, or at the server's end
             RUNNING -> PINGED by the clock -> RUNNING when Kong has answered the ping

PARKED is a thread whose tasks wait for steps: it takes those, and nothing else.

Rules kept here:

* whoever changes who leads holds the lock; a leader is spawned even when no more workers may be;
* a thread that may be interrupted (see :mod:`.interrupts`) takes no lock;
* a thread sets ``leading`` before it drains its inbox and polls, and who posts looks at ``leading`` after
  posting: no post is slept through;
* a task is in ``waiting`` before its callback is sent: the step may arrive before ``send`` returns;
* a connection leaves the table before its socket is closed: the number is used again at once.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from typing import Final

from .. import logs
from .book import Books
from .connection import Connection
from .forks import close_in_children
from .groups import (
    CONTROL,
    CONTROL_THREADS,
    EVENTS,
    FORGOTTEN,
    READING,
    READING_THREADS,
    Group,
)
from .lending import Lending
from .options import Options
from .reading import Reading
from .requests import PROMOTE, SHUTDOWN, C, Cancel, Item, Request, Task
from .thread import PoolThread

GONE: Final = "its client went without reading the callback"
"""Why a task is abandoned whose callback reached nobody."""

CLOSED: Final = "Kong has closed its connection"
"""The same for one that had a connection to itself."""

IDLE: Final = 30.0
"""Seconds for which an idle worker is kept."""


class ThreadPool(Lending[C]):
    """The threads of one server, and what they share.

    :param spawn: makes a thread: its pool, its name, its group.
    :param name: what the threads' names begin with.
    :param options: the server's settings.
    """

    def __init__(
        self,
        spawn: Callable[[ThreadPool[C], str, str], PoolThread],
        name: str,
        options: Options,
    ) -> None:
        super().__init__(options)
        self.books: Final = Books()
        """What its threads count."""
        self.waiting: dict[int, Task] = {}
        self.pinged: dict[int, Request[C]] = {}
        """The requests whose ping is out, by the number of their task."""
        self.kept: dict[int, Task] = {}
        """The tasks that are suspended with a callback which could not be sent, since a ping is out."""
        self.active = False
        """Whether the leader is doing something."""
        self.refusing = ""
        """Why every request that is in flight is to be refused; empty while it is not."""
        self.stopping = threading.Event()
        self.forked_off = False
        """Whether this process is a child of the one that the pool serves."""
        self.lock = threading.RLock()
        self.leader: PoolThread | None = None
        threads = options.max_threads
        self.groups: Final[dict[str, Group[C]]] = {
            EVENTS: Group(threads, -(-3 * threads // 4)),
            CONTROL: Group(CONTROL_THREADS, CONTROL_THREADS),
            READING: Group(READING_THREADS, READING_THREADS),
        }
        self._spawn_thread = spawn
        self._name = name
        self._numbers = itertools.count(1)
        close_in_children(self)

    # -- connections

    def drop(self, connection: Connection[C]) -> None:
        """Close a connection; the leader only, or before the leader knows of it."""
        own = connection.task
        # Looked at before: when it is closed the clock refuses what runs.
        runs = own is not None and own.id not in self.waiting and self.is_running(own.id)
        super().drop(connection)
        if own is not None:
            if runs:
                self.tell_abandoned(CLOSED)
            else:
                self.abandon(own, CLOSED)
            return
        task = self.waiting.get(connection.asked) if connection.reset else None
        if task is not None and task.peer is connection:
            self.abandon(task, GONE)

    def lend(self, connection: Connection[C]) -> None:
        """Have a worker read the rest of a long request; the leader only."""
        connection.lend()
        with self.lock:
            reading = Reading(connection, self.resumed, self.wake_poll)
            self.groups[READING].backlog.append(READING, reading)
            self._assign(READING)

    # -- tasks and requests

    def abandon(self, task: Task, why: str) -> None:
        """Cancel a task that waits for a step which will not come."""
        if self.waiting.pop(task.id, None) is not None:
            assert task.owner is not None
            self.tell_abandoned(why)
            task.owner.post(Cancel(task, why))

    def tell_abandoned(self, why: str) -> None:
        """Note that Kong has abandoned an event."""
        self.counts["abandoned"] += 1
        self.notices.tell("an event was given up that Kong has abandoned", why)

    def is_running(self, number: int) -> bool:
        """Whether a task runs, or waits for its turn to."""
        return any(
            request.task is not None and request.task.id == number
            for request in list(self.in_flight)
        )

    def submit(self, request: Request[C], since: float) -> None:
        """Give a request to a free thread, which it then has to itself; else it waits for one.

        :param since: now, in seconds on the monotonic clock.
        """
        request.since = since
        self.in_flight[request] = None
        task = request.task
        name, kind = (CONTROL, CONTROL) if task is None else (EVENTS, task.kind)
        with self.lock:
            self.groups[name].backlog.append(kind, request)
            self._assign(name)

    def answer(self, request: Request[C], reply: bytes) -> None:
        """Send the reply to a request; by who has claimed it, on any thread."""
        peer, task = request.peer, request.task
        if task is None or not request.suspended:
            peer.answer(reply)
        else:
            task.peer = peer
            if not peer.answer(reply, task.id):
                self.abandon(task, GONE)
        self.resume(request)

    def hand_over(self, request: Request[C], since: float) -> None:
        """Give a request to the thread that owns its task.

        :param since: now, in seconds on the monotonic clock.
        """
        assert request.task is not None and request.task.owner is not None
        request.since = since
        self.in_flight[request] = None
        request.task.owner.post(request)

    def next_item(self, thread: PoolThread) -> Item:
        """What a worker does next; waits for it."""
        group = self.groups[thread.group]
        while True:
            with self.lock:
                if not thread.inbox.empty():
                    return thread.inbox.get_nowait()
                if not thread.live:
                    group.release(thread)
                    found = group.backlog.pop(group.allows)
                    if found is not None:
                        group.hold(thread, found[0])
                        return found[1]
                    group.idle.append(thread)
            try:
                return thread.inbox.get(timeout=None if thread.live else IDLE)
            except queue.Empty:
                with self.lock:
                    if thread in group.idle:
                        group.idle.remove(thread)
                        return SHUTDOWN

    def unlock(self) -> None:
        """Release what the calling thread holds of the lock.

        For a thread that goes on after an exception that somebody else raised in it: on CPython 3.14 that
        can come between the acquiring of a lock and the block that releases it.
        """
        logs.release_held(self.lock)

    def withdraw(self, request: Request[C]) -> bool:
        """Take a request out of the backlog; False when it is not there."""
        with self.lock:
            return any(group.backlog.remove(request) for group in self.groups.values())

    def refill(self) -> None:
        """Find threads for what could have none, if there are any now."""
        with self.lock:
            for name in self.groups:
                self._assign(name)

    def _assign(self, name: str) -> None:
        """Give what waits in a group's backlog to threads that are free; under the lock."""
        group = self.groups[name]
        while group.backlog.ready(group.allows) and (thread := self._free(name)) is not None:
            found = group.backlog.pop(group.allows)
            assert found is not None
            group.hold(thread, found[0])
            thread.post(found[1])

    # -- threads

    def threads(self) -> list[PoolThread]:
        """All threads that there are."""
        return [thread for group in self.groups.values() for thread in list(group.threads)]

    def _free(self, name: str) -> PoolThread | None:
        """A thread with nothing to do, or None when there may be no more; under the lock."""
        if self.stopping.is_set():
            return None
        group = self.groups[name]
        if group.idle:
            return group.idle.pop()
        leaders = int(name == EVENTS)
        if len(group.threads) < group.limit + group.lost + leaders:
            return self._spawn(name)
        return None

    def _spawn(self, name: str) -> PoolThread | None:
        """A new thread, or None when the system gives none; under the lock."""
        thread = self._spawn_thread(self, f"{self._name}-{next(self._numbers)}", name)
        try:
            thread.start()
        except RuntimeError as error:
            self.log.error(f"no thread could be started: {error}")
            self.books.give_back(thread.book)
            return None
        self.groups[name].threads[thread] = None
        return thread

    def promote(self) -> None:
        """Have a thread lead, when nobody does."""
        with self.lock:
            if self.stopping.is_set():
                return
            group = self.groups[EVENTS]
            self.leader = group.idle.pop() if group.idle else self._spawn(EVENTS)
            if self.leader is not None:
                self.leader.post(PROMOTE)

    def remove(self, thread: PoolThread) -> None:
        """Forget a thread that ends; if it led, another one does from now on."""
        self.groups[thread.group].threads.pop(thread, None)
        self.books.give_back(thread.book)
        if self.leader is thread:
            self.promote()

    # -- the clock, and the end

    def refuse_all(self, why: str) -> None:
        """Have the clock refuse what runs, and what is still to run; from any thread."""
        self.refusing = why
        self.wake_clock()

    def crowded(self) -> bool:
        """Whether a request waits for a thread."""
        return any(len(group.backlog) for group in self.groups.values())

    def quiet(self, now: float) -> bool:
        """Whether no request is being worked on, and no step is to be expected any more.

        :param now: seconds on the monotonic clock.
        """
        # In this order: a step that a worker reads is in flight before it is none that is read.
        if self.stepping or self.in_flight or self.active:
            return False
        return not self.connections or all(
            now - task.since > FORGOTTEN and not task.patient
            for task in list(self.waiting.values())
        )

    def forked(self) -> None:
        """Close what belongs to the parent; this is a child."""
        self.forked_off = True
        super().forked()
