"""The steppers of one server: what they share, who leads, who works, and when it is too late.

The theory of operation is told in :mod:`.steppers`; this is its other half, with the watchdog.  Rules
kept here:

* whoever changes who leads holds the lock, and the baton;
* a leader is hired even when no more workers may be;
* what is in ``waiting`` and ``jobs`` is claimed by taking it out, by one thread at a time.
"""

from __future__ import annotations

import itertools
import os
import queue
import select
import threading
from collections import deque
from collections.abc import Iterator
from time import monotonic
from typing import Any, Final

from .. import logs
from ..errors import RPCError
from ..events.event import Abandoned, Event
from ..rpc.frames import failure, packer
from ..rpc.methods import Methods, first_id
from .connection import Connection
from .interrupts import raise_in
from .requests import LEAD, STOP, Abandon, Job, last_reply
from .switch_interval import LONG, Fairness
from .worker import Stepper

STUCK: Final = 0.010
"""Seconds in one slice after which the leader is replaced."""

TICK: Final = 0.005
"""Seconds between two looks of the watchdog."""

QUIET_TICKS: Final = 100
"""Looks in a row that find nothing done, before the watchdog goes to sleep."""

IDLE: Final = 30.0
"""Seconds for which an idle worker is kept."""

UNWIND: Final = 2.0
"""Seconds that the threads get to end, at the end; after half of it they are interrupted."""


class Crew:
    """The steppers of one server, and what they share.

    :param methods: what can be called.
    :param name: what the threads' names begin with.
    :param max_threads: how many workers there may be.
    :param request_timeout: seconds after which a request is answered even if its handler still
        runs.
    :param callback_timeout: seconds after which an event whose step does not come is given up.
    """

    def __init__(
        self,
        methods: Methods,
        name: str,
        max_threads: int,
        request_timeout: float,
        callback_timeout: float,
    ) -> None:
        self.methods = methods
        self.name = name
        self.log = logs.get_logger()
        self.next_event_id = itertools.count(first_id()).__next__
        self.poller = select.epoll()
        self.wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.poller.register(self.wakeup, select.EPOLLIN)
        self.connections: dict[int, Connection] = {}
        self.waiting: dict[int, Event] = {}
        self.jobs: set[Job] = set()
        self.reading: Connection | None = None
        """The connection that the leader read last: its decoder may hold more requests."""
        self.active = False
        """Whether the leader is doing something; written by the leader alone."""
        self.dozing = False
        """Whether the watchdog sleeps, or is about to."""
        self.lock = threading.Lock()
        """Guards what follows, and the handing over of the baton."""
        self._max_threads = max_threads
        self._request_timeout = request_timeout
        self._callback_timeout = callback_timeout
        self._steppers: set[Stepper] = set()
        self._idle: list[Stepper] = []
        self._resting: list[Stepper] = []
        self._backlog: deque[Job] = deque()
        self._leader: Stepper | None = None
        self._numbers = itertools.count(1)
        self._alarm: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name=f"{name}-watchdog", daemon=True)

    def start(self) -> None:
        """Start the leader and the watchdog."""
        with self.lock:
            self._appoint()
        self._watchdog.start()

    # -- connections

    def add(self, connection: Connection, greeting: bytes) -> None:
        """Serve a new client, which is sent ``greeting`` first.

        :raises OSError: when the system can watch no more of them; the connection is closed then.
        """
        self.connections[connection.fd] = connection
        connection.send(greeting)
        try:
            connection.register()
        except OSError:
            self.drop(connection)
            raise

    def drop(self, connection: Connection) -> None:
        """Close a connection; the leader only, or before the leader knows of it."""
        del self.connections[connection.fd]
        connection.close()

    def interrupt_poll(self) -> None:
        """Let the leader look into its inbox."""
        os.eventfd_write(self.wakeup, 1)

    # -- events and jobs

    def claim(self, event_id: int) -> Event:
        """Take an event out of ``waiting``: it is the caller's to step.

        :raises RPCError: when it does not wait for a step.
        """
        event = self.waiting.pop(event_id, None)
        if event is not None:
            return event
        if any(job.event is not None and job.event.id == event_id for job in list(self.jobs)):
            raise RPCError(f"event {event_id} is running: it does not wait for a step")
        raise RPCError(f"No running event {event_id}")

    def take(self, job: Job) -> bool:
        """Claim the right to answer a job; False when somebody else did."""
        try:
            self.jobs.remove(job)
        except KeyError:
            return False
        return True

    def assign(self, job: Job) -> None:
        """Have an event started on a worker.

        An idle one, else a new one, else one whose events all wait for Kong; else the job waits.
        """
        self.jobs.add(job)
        with self.lock:
            worker = self._idle_or_new()
            if worker is None and self._resting:
                worker = self._resting.pop()
            if worker is None:
                self._backlog.append(job)
            else:
                worker.post(job)

    def next_item(self, stepper: Stepper) -> Any:
        """What a worker does next; waits for it."""
        while True:
            with self.lock:
                if not stepper.inbox.empty():
                    return stepper.inbox.get_nowait()
                if self._backlog:
                    return self._backlog.popleft()
                bench = self._resting if stepper.live else self._idle
                bench.append(stepper)
            try:
                item = stepper.inbox.get(timeout=None if stepper.live else IDLE)
            except queue.Empty:
                item = None
            with self.lock:
                if stepper in bench:
                    bench.remove(stepper)
                    if item is None:
                        return STOP
            if item is not None:
                return item

    def expire(self, now: float) -> None:
        """Answer the requests whose time is over, and give up the events that Kong has forgotten.

        Jobs for which no thread could be had get one if there are any now.

        :param now: seconds on the monotonic clock.
        """
        for job in list(self.jobs):
            if now - job.since > self._request_timeout and self.take(job):
                job.late = True
                self._answer_late(job)
        for event in list(self.waiting.values()):
            waited = now - event.since
            if waited > self._callback_timeout and self.waiting.pop(event.id, None) is not None:
                why = f"Kong sent no step for event {event.id} in {waited:.0f} s"
                event.owner.post(Abandon(event, why))
        with self.lock:
            for stepper in self._steppers:
                if stepper.job is not None and stepper.job.late and stepper.ident is not None:
                    raise_in(stepper.ident, Abandoned)
            while self._backlog and (worker := self._idle_or_new()) is not None:
                worker.post(self._backlog.popleft())

    def _answer_late(self, job: Job) -> None:
        """Answer for a handler that still runs, or never began: Kong is about to stop waiting."""
        why = f"the plugin did not answer within {self._request_timeout:g} s"
        event, pack = job.event, packer()
        if event is None:
            job.connection.send(failure(pack, job.message_id, why))
            return
        event.ending = event.handler.refusal(why)
        job.connection.send(last_reply(pack, job.message_id, event, event.ending))
        self.log.error(
            f"{why}: the request was answered without it",
            plugin=event.handler.plugin,
            phase=event.handler.phase,
            instance=event.handler.instance_id,
            event=event.id,
        )

    # -- threads

    def _idle_or_new(self) -> Stepper | None:
        """A worker with nothing to do, or None when there may be no more; under the lock."""
        if self._idle:
            return self._idle.pop()
        if len(self._steppers) <= self._max_threads:
            return self._hire()
        return None

    def _hire(self) -> Stepper | None:
        """A new stepper, or None when the system gives no thread; under the lock."""
        stepper = Stepper(self, f"{self.name}-{next(self._numbers)}")
        try:
            stepper.start()
        except RuntimeError as error:
            self.log.error(f"no thread could be started: {error}")
            return None
        self._steppers.add(stepper)
        return stepper

    def dismiss(self, stepper: Stepper) -> None:
        """Forget a stepper whose thread ends."""
        with self.lock:
            self._steppers.discard(stepper)

    # -- the watchdog

    def wake_watchdog(self) -> None:
        """Let the watchdog look again; the leader only."""
        self.dozing = False
        self._alarm.put(None)

    def _watch(self) -> None:
        quiet = 0
        fairness = Fairness()
        while not self._stopping.wait(TICK):
            now = monotonic()
            fairness.look(now, self._busy_since(now - LONG))
            leader = self._leader
            if leader is None:
                with self.lock:
                    self._appoint()
                continue
            began = leader.began
            if began and now - began > STUCK:
                self._replace(leader, began)
            quiet = 0 if self.active else quiet + 1
            if quiet > QUIET_TICKS:
                self.dozing = True
                if not self.active:
                    self._alarm.get()
                self.dozing = False
                quiet = 0

        fairness.close()

    def _busy_since(self, before: float) -> Iterator[int]:
        """The threads that have been working for one request since ``before``."""
        for stepper in list(self._steppers):
            job, ident = stepper.job, stepper.ident
            if job is not None and ident is not None and job.since < before:
                yield ident

    def _replace(self, leader: Stepper, began: float) -> None:
        """Take the baton from a leader that is in a slice, and appoint another."""
        blocking: Event | None = None
        with self.lock:
            if not leader.baton.acquire(False):
                return
            leader.leading = False
            leader.job = None
            if leader.task is not None:
                connection, message_id, event = leader.task
                leader.job = Job(connection, message_id, event, None, None, leader.began)
                self.jobs.add(leader.job)
                if event is not None and leader.began == began:
                    event.handler.pace.block()
                    blocking = event
            self._leader = None
            self._appoint()
        if blocking is not None:
            handler = blocking.handler
            self.log.info(
                "the handler blocks: it runs on worker threads from now on",
                plugin=handler.plugin,
                phase=handler.phase,
                instance=handler.instance_id,
                event=blocking.id,
            )

    def _appoint(self) -> None:
        """Have a stepper lead, when nobody does; under the lock.

        A leader is hired beyond the limit of threads: without one there is no server.
        """
        self._leader = self._idle.pop() if self._idle else self._hire()
        if self._leader is not None:
            self._leader.post(LEAD)

    # -- the end

    def quiet(self) -> bool:
        """Whether no request is being worked on, and no step can come any more."""
        return not (self.jobs or self.active or (self.waiting and self.connections))

    def stop(self) -> list[str]:
        """End the threads: unwind the handlers that wait, and interrupt those that run.

        :returns: the names of the threads that could not be ended; they are daemons.
        """
        self._stopping.set()
        self._alarm.put(None)
        self._watchdog.join()
        with self.lock:
            steppers = list(self._steppers)
        for stepper in steppers:
            stepper.post(STOP)
        deadline = monotonic() + UNWIND
        for stepper in steppers:
            while stepper.is_alive() and monotonic() < deadline:
                stepper.join(0.05)
                overdue = monotonic() > deadline - UNWIND / 2
                if overdue and stepper.is_alive() and stepper.ident is not None:
                    raise_in(stepper.ident, Abandoned)
        for connection in list(self.connections.values()):
            self.drop(connection)
        self.poller.close()
        os.close(self.wakeup)
        return [stepper.name for stepper in steppers if stepper.is_alive()]
