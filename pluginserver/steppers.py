"""The threads: one leader that serves the connections, and workers for handlers that block.

Theory of operation
===================

A greenlet can only be switched on the thread that made it, so each event belongs to one *stepper*,
a thread that starts it and hands it every step.  Threads that wake each other for every message
cost more than the work itself, so one stepper, the *leader*, does all that it can alone: it polls
the connections, decodes requests, and runs handlers inline, from request to reply.

**The baton** is a lock that makes sure that only one thread leads.  Who holds it may poll, read
and decode, and claim events for their next step.  The leader lays it down for each *slice*, the
time in which it runs code that is not ours (a handler, a plugin's constructor), and picks it up
afterwards.

**The watchdog** picks the baton up when it has lain for longer than :data:`STUCK`: the leader is
in a slice that blocks.  It gives the baton to another stepper, which leads from then on, and goes
on with what the old leader had read but not handled.  The old leader finds the baton gone when its
slice ends, answers that one request, and is a worker from then on.  So a hung handler costs one
thread. The watchdog sleeps while nothing happens.

**Workers** take *jobs* from their inboxes: an event of a phase that is known to block (see
:mod:`.pace`), each on a worker of its own as long as there are threads to be had; and the steps of
events that they own.

**Claims.**  An event that waits for a step is in :attr:`Crew.waiting`; to take it out (an atomic
``dict.pop``) is to claim it, so of two steps for one event one finds nothing.  A request that is
not in the leader's hands is in :attr:`Crew.jobs`; to take it out is to claim the right to answer
it, so a request that took too long is answered once: by :meth:`Crew.expire`, or by its handler.

Rules kept here:

* only an event's owner switches it, throws into it or releases its runner;
* a stepper sets ``leading`` before it drains its inbox and polls, and who posts to an inbox looks
  at ``leading`` after posting: no post is slept through;
* an event is in ``waiting`` before its callback is sent: the step may arrive before ``send``
  returns;
* a connection leaves the table before its socket is closed: the number is used again at once;
* an idle server wakes nobody.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import queue
import select
import threading
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any, Final

from . import logs
from .connection import WRITABLE, Connection
from .errors import PDKError, RPCError
from .events import Abandoned, Ending, Event, Out, Runners
from .fairness import LONG, Fairness
from .frames import FrameError, failure, packer
from .pace import SLOW
from .rpc import CONTROL, RAISE, START, Methods, control, first_id

STUCK: Final = 0.010
"""Seconds in one slice after which the leader is replaced."""

TICK: Final = 0.005
"""Seconds between two looks of the watchdog."""

QUIET_TICKS: Final = 100
"""Looks in a row that find nothing done, before the watchdog goes to sleep."""

IDLE: Final = 30.0
"""Seconds for which an idle worker is kept."""

BATCH: Final = 64
"""Ready connections taken in one poll."""

UNWIND: Final = 2.0
"""Seconds that the threads get to end, at the end; after half of it they are interrupted."""


class Job:
    """A request that is not in the leader's hands: on its way to a worker, or on one.

    :param event: the event that it starts or steps; None for a control request.
    :param act: what does the work: it takes ``value``, and what it gives comes out of the event.
        None to have a worker start the event.
    :param since: when the request came, in seconds on the monotonic clock.

    ``late`` says that it was answered because its time was over.
    """

    __slots__ = ("act", "connection", "event", "late", "message_id", "since", "value")

    def __init__(
        self,
        connection: Connection,
        message_id: int,
        event: Event | None,
        act: Callable[[Any], Any] | None,
        value: Any,
        since: float,
    ) -> None:
        self.late = False
        self.connection = connection
        self.message_id = message_id
        self.event = event
        self.act = act
        self.value = value
        self.since = since


class _Abandon:
    """Told to the owner of an event that nobody waits for any more; the event is claimed
    already."""

    __slots__ = ("event", "why")

    def __init__(self, event: Event, why: str) -> None:
        self.event = event
        self.why = why


_LEAD: Final = object()
"""Told to a stepper that holds the baton from now on."""

_STOP: Final = object()
"""Told to every stepper at the end."""

_PACK_ERRORS: Final = (TypeError, ValueError, OverflowError, RecursionError)
"""What an encoder raises for a value that it cannot carry."""


class Stepper(threading.Thread):
    """A thread that owns events.

    :param crew: what it works for.
    :param name: the thread's name.
    """

    def __init__(self, crew: Crew, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.leading = False
        self.began = 0.0
        """When the slice at hand began on the monotonic clock; 0.0 outside one."""
        self.task: tuple[Connection, int, Event | None] | None = None
        """The request that the slice at hand serves: connection, message id, event."""
        self.job: Job | None = None
        """The job that the slice at hand serves: a worker's, or what the watchdog made of
        ``task``."""
        self.live = 0
        """How many events this stepper owns."""
        self._crew = crew
        self._pack = packer()
        self._runners = Runners()

    def post(self, item: object) -> None:
        """Give this stepper something to do; from any thread."""
        self.inbox.put(item)
        if self.leading:
            self._crew.interrupt_poll()

    def run(self) -> None:
        """The thread's life: take what comes, as a worker or as the leader, until told to stop."""
        try:
            while True:
                try:
                    if not self._do(self._crew.next_item(self)):
                        return
                except Abandoned:
                    self._calm()
        finally:
            self._leave()

    def _do(self, item: Any) -> bool:
        """Do what was posted.

        :returns: False when that was to stop.
        """
        if item is _LEAD:
            return self._lead()
        if item is _STOP:
            return False
        if type(item) is Job:
            self._work(item)
        else:
            self._abandon(item)
        return True

    def _leave(self) -> None:
        crew = self._crew
        for event in list(crew.waiting.values()):
            if event.owner is self and crew.waiting.pop(event.id, None) is not None:
                self._abandon(_Abandon(event, "the plugin server stops"))
        self._runners.close()
        crew.dismiss(self)

    # -- as the leader

    def _lead(self) -> bool:
        """Serve the connections until the baton is gone.

        :returns: False when the server stops.
        """
        crew = self._crew
        poll = crew.poller.poll
        self.leading = True
        if crew.reading is not None and not self._attend(crew.reading, 0):
            return True
        while True:
            while not self.inbox.empty():
                item = self.inbox.get_nowait()
                if item is _STOP:
                    return False
                if not self._do_inline(item):
                    return True
            crew.active = False
            ready = poll(-1, BATCH)
            crew.active = True
            if crew.dozing:
                crew.wake_watchdog()
            for fd, mask in ready:
                connection = crew.connections.get(fd)
                if connection is None:
                    if fd == crew.wakeup:
                        os.eventfd_read(fd)
                    continue
                if not self._attend(connection, mask):
                    return True

    def _attend(self, connection: Connection, mask: int) -> bool:
        """Do what a connection is ready for, and handle what it has sent; or close it.

        :param mask: the poll's result; 0 to go on with what was read before.
        :returns: whether this stepper still leads.
        """
        try:
            if mask & WRITABLE:
                alive = connection.flush()
            else:
                alive = not mask or connection.receive()
            if alive:
                return self._serve(connection)
        except FrameError as error:
            self._crew.log.warning(f"a connection was closed: {error}")
        except Exception as error:
            self._crew.log.error("a connection was closed: the server failed", exc_info=error)
        self._crew.drop(connection)
        return True

    def _serve(self, connection: Connection) -> bool:
        """Handle what a connection has sent.

        :returns: whether this stepper still leads.
        :raises FrameError: when the connection is to be closed.
        """
        self._crew.reading = connection
        while (request := connection.request()) is not None:
            if not self._request(connection, *request):
                return False
        return True

    def _request(self, connection: Connection, message_id: int, method: Any, params: Any) -> bool:
        """Handle one request, here or by giving it to another stepper.

        :returns: whether this stepper still leads.
        """
        crew = self._crew
        try:
            kind, subject, value = crew.methods.read(method, params)
            if kind is START:
                event = Event(crew.next_event_id(), subject)
                if not subject.pace.blocking:
                    return self._inline(connection, message_id, event, self._start, event)
                crew.assign(Job(connection, message_id, event, None, event, monotonic()))
            elif kind is CONTROL:
                return self._inline(connection, message_id, None, subject, value)
            else:
                event = crew.claim(subject)
                act = event.runner.switch
                if kind is RAISE:
                    act, value = event.runner.throw, PDKError(value)
                owner: Stepper = event.owner
                if owner is self:
                    return self._inline(connection, message_id, event, act, value)
                job = Job(connection, message_id, event, act, value, monotonic())
                crew.jobs.add(job)
                owner.post(job)
        except RPCError as error:
            connection.send(failure(self._pack, message_id, str(error)))
        return True

    def _inline(
        self,
        connection: Connection,
        message_id: int,
        event: Event | None,
        act: Callable[[Any], Any],
        value: Any,
    ) -> bool:
        """Run a slice, without the baton, and answer.

        :returns: whether this stepper still leads.
        """
        self.task = (connection, message_id, event)
        self.began = began = monotonic()
        self._crew.baton.release()
        reply, suspended = self._perform(message_id, event, act, value)
        if self._pick_up():
            if event is not None and (now := monotonic()) - began > SLOW:
                event.handler.pace.slow_inline(now)
            mine = True
        else:
            mine = self.job is not None and self._crew.take(self.job)
            if not mine:
                self._calm()
        self._answer(connection, event, reply, suspended, mine)
        return self.leading

    def _pick_up(self) -> bool:
        """Take the baton again after a slice.

        :returns: False when another stepper leads; ``job`` is then what became of the request.
        """
        if self._crew.baton.acquire(False):
            self.began = 0.0
            return True
        with self._crew.lock:
            self.began = 0.0
            self.leading = False
        return False

    def _do_inline(self, item: Any) -> bool:
        """Do what was posted to a worker that leads by now.

        :returns: whether this stepper still leads.
        """
        if type(item) is Job:
            if self._crew.take(item):
                act = item.act or self._start
                return self._inline(item.connection, item.message_id, item.event, act, item.value)
            if item.event is None or item.event.owner is not self:
                return True
            item = _Abandon(item.event, "its time was over")
        self.task = self.job = None
        self.began = monotonic()
        self._crew.baton.release()
        self._abandon(item)
        return self._pick_up()

    # -- as a worker

    def _work(self, job: Job) -> None:
        """Run a slice for a job, and answer unless that was done meanwhile."""
        event = job.event
        if job not in self._crew.jobs:
            if event is not None and event.owner is self:
                self._abandon(_Abandon(event, "its time was over"))
            return
        self.job = job
        began = monotonic()
        reply, suspended = self._perform(job.message_id, event, job.act or self._start, job.value)
        mine = self._crew.take(job)
        if not mine:
            self._calm()
        self.job = None
        if event is not None:
            if monotonic() - began > SLOW:
                event.slow = True
            if not suspended:
                event.handler.pace.ended_on_worker(event.slow)
        self._answer(job.connection, event, reply, suspended, mine)

    def _calm(self) -> None:
        """Make sure that no interruption comes any more for the job that was answered late."""
        with self._crew.lock:
            self.job = None
        _raise_in(self, None)

    # -- as both

    def _start(self, event: Event) -> Out:
        event.owner = self
        self.live += 1
        return self._runners.start(event)

    def _abandon(self, item: _Abandon) -> None:
        item.event.abandon(item.why)
        self._end(item.event)

    def _end(self, event: Event) -> None:
        self._runners.release(event)
        self.live -= 1

    def _perform(
        self, message_id: int, event: Event | None, act: Callable[[Any], Any], value: Any
    ) -> tuple[bytes, bool]:
        """Run one slice.

        :returns: the response's bytes, and whether the event waits for a step now.
        """
        pack = self._pack
        try:
            if event is None:
                return pack([1, message_id, None, control(act, value)]), False
            out = act(value)
            while type(out) is tuple:
                try:
                    data = {"Method": out[0], "Args": out[1] or None}
                    return pack([1, message_id, None, {"EventId": event.id, "Data": data}]), True
                except _PACK_ERRORS as error:
                    out = event.throw(
                        TypeError(f"{out[0]}: MessagePack cannot carry this: {error}")
                    )
            return _last_reply(pack, message_id, event, out), False
        except RPCError as error:
            return failure(pack, message_id, str(error)), False
        except Exception as error:
            self._crew.log.error("a request failed", exc_info=error)
            return failure(pack, message_id, f"internal error: {error!r}"), False
        except Abandoned:
            return b"", event is not None and event.suspended

    def _answer(
        self,
        connection: Connection,
        event: Event | None,
        reply: bytes,
        suspended: bool,
        mine: bool,
    ) -> None:
        """Put the event where it belongs now, and send the reply if it is still ours to send."""
        if event is not None:
            if not suspended:
                self._end(event)
            elif mine:
                event.since = monotonic()
                self._crew.waiting[event.id] = event
            else:
                self._abandon(_Abandon(event, "its time was over"))
        if mine:
            connection.send(reply)


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
        self.baton = threading.Lock()
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
        self.baton.acquire()
        with self.lock:
            self._appoint()
        self._watchdog.start()

    # -- connections

    def add(self, connection: Connection, greeting: bytes) -> None:
        """Serve a new client, which is sent ``greeting`` first."""
        self.connections[connection.fd] = connection
        connection.send(greeting)
        connection.register()

    def drop(self, connection: Connection) -> None:
        """Close a connection; the leader only."""
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
                        return _STOP
            if item is not None:
                return item

    def expire(self, now: float) -> None:
        """Answer the requests whose time is over, and give up the events that Kong has forgotten.

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
                event.owner.post(_Abandon(event, why))
        with self.lock:
            for stepper in self._steppers:
                if stepper.job is not None and stepper.job.late:
                    _raise_in(stepper, Abandoned)

    def _answer_late(self, job: Job) -> None:
        """Answer for a handler that still runs, or never began: Kong is about to stop waiting."""
        why = f"the plugin did not answer within {self._request_timeout:g} s"
        event, pack = job.event, packer()
        if event is None:
            job.connection.send(failure(pack, job.message_id, why))
            return
        event.ending = event.handler.refusal(why)
        job.connection.send(_last_reply(pack, job.message_id, event, event.ending))
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
        with self.lock:
            if not self.baton.acquire(False):
                return
            leader.leading = False
            leader.job = None
            if leader.task is not None:
                connection, message_id, event = leader.task
                leader.job = Job(connection, message_id, event, None, None, leader.began)
                self.jobs.add(leader.job)
                if event is not None and leader.began == began:
                    event.handler.pace.block()
                    self.log.info(
                        "the handler blocks: it runs on worker threads from now on",
                        plugin=event.handler.plugin,
                        phase=event.handler.phase,
                        instance=event.handler.instance_id,
                        event=event.id,
                    )
            self._leader = None
            self._appoint()

    def _appoint(self) -> None:
        """Give the baton, which nobody holds, to a stepper; under the lock.

        A leader is hired beyond the limit of threads: without one there is no server.
        """
        self._leader = self._idle.pop() if self._idle else self._hire()
        if self._leader is not None:
            self._leader.post(_LEAD)

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
            stepper.post(_STOP)
        deadline = monotonic() + UNWIND
        for stepper in steppers:
            while stepper.is_alive() and monotonic() < deadline:
                stepper.join(0.05)
                if stepper.is_alive() and monotonic() > deadline - UNWIND / 2:
                    _raise_in(stepper, Abandoned)
        for connection in list(self.connections.values()):
            self.drop(connection)
        self.poller.close()
        os.close(self.wakeup)
        return [stepper.name for stepper in steppers if stepper.is_alive()]


def _last_reply(
    pack: Callable[[Any], bytes], message_id: int, event: Event, ending: Ending
) -> bytes:
    """The response that tells Kong how an event ended."""
    if ending.error is not None:
        return failure(pack, message_id, ending.error)
    data: Any = "ret"
    if ending.call is not None:
        data = {"Method": ending.call[0], "Args": ending.call[1]}
    try:
        return pack([1, message_id, None, {"EventId": event.id, "Data": data}])
    except _PACK_ERRORS as error:
        event.handler.failed(event, error)
        return _last_reply(pack, message_id, event, event.handler.refusal(str(error)))


def _raise_in(thread: threading.Thread, error: type[BaseException] | None) -> None:
    """Raise ``error`` in a thread at its next bytecode; None takes back what was not raised yet.

    It ends a loop in Python; a call that hangs in C is ended when it comes back.
    """
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), None if error is None else ctypes.py_object(error)
        )
