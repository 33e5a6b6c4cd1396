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

Each term has a baton of its own: a leader that comes back from its slice must not pick up that of its
successor, which lies on the table whenever the successor is in a slice.

**The watchdog** picks the baton up when it has lain for longer than :data:`STUCK`: the leader is
in a slice that blocks.  It has another stepper lead from then on, with a new baton, which goes
on with what the old leader had read but not handled.  The old leader finds the baton gone when its
slice ends, answers that one request, and is a worker from then on.  So a hung handler costs one
thread. The watchdog sleeps while nothing happens.

**Workers** take *jobs* from their inboxes: an event of a phase that is known to block (see
:mod:`.pace`), each on a worker of its own as long as there are threads to be had; and the steps of
events that they own.

**Claims.**  An event that waits for a step is in ``Crew.waiting``; to take it out (an atomic
``dict.pop``) is to claim it, so of two steps for one event one finds nothing.  A request that is
not in the leader's hands is in ``Crew.jobs``; to take it out is to claim the right to answer
it, so a request that took too long is answered once: by ``Crew.expire``, or by its handler.

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

import os
import queue
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from ..errors import PDKError, RPCError
from ..events.event import Abandoned, Event, Out, Runners
from ..events.placement import SLOW
from ..rpc.frames import FrameError, failure, packer
from ..rpc.methods import CONTROL, RAISE, START, control
from .connection import WRITABLE, Connection
from .interrupts import raise_in
from .requests import LATE, LEAD, PACK_ERRORS, STOP, Abandon, Job, last_reply, result, unsendable

if TYPE_CHECKING:
    from .pool import Crew

BATCH: Final = 64
"""Ready connections taken in one poll."""


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
        self.baton: threading.Lock
        """The baton of this stepper's last term as the leader."""
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
        if item is LEAD:
            return self._lead()
        if item is STOP:
            return False
        if type(item) is Job:
            self._work(item)
        else:
            self._abandon(item)
        return True

    def _leave(self) -> None:
        """Unwind the handlers that wait here, for Kong or for their turn, and be gone."""
        crew = self._crew
        why = "the plugin server stops"
        for event in list(crew.waiting.values()):
            if event.owner is self and crew.waiting.pop(event.id, None) is not None:
                self._abandon(Abandon(event, why))
        while not self.inbox.empty():
            item = self.inbox.get_nowait()
            if type(item) is Abandon:
                self._abandon(item)
            elif type(item) is Job and item.event is not None and item.event.owner is self:
                self._abandon(Abandon(item.event, why))
        self._runners.close()
        crew.dismiss(self)

    # -- as the leader

    def _lead(self) -> bool:
        """Serve the connections until the baton is gone.

        :returns: False when the server stops.
        """
        crew = self._crew
        poll = crew.poller.poll
        self.baton = threading.Lock()
        self.baton.acquire()
        self.leading = True
        if crew.reading is not None and not self._attend(crew.reading, 0):
            return True
        while True:
            while not self.inbox.empty():
                item = self.inbox.get_nowait()
                if item is STOP:
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
            if not self.leading:
                return False
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
        self.baton.release()
        reply, suspended = self._perform(message_id, event, act, value)
        if self._pick_up():
            if event is not None and (now := monotonic()) - began > SLOW:
                event.handler.pace.slow_inline(now)
            mine = True
        else:
            mine = self.job is not None and self._crew.take(self.job)
            if not mine:
                self._calm()
            self.job = None
        self._answer(connection, event, reply, suspended, mine)
        return self.leading

    def _pick_up(self) -> bool:
        """Take the baton again after a slice.

        :returns: False when another stepper leads; ``job`` is then what became of the request.
        """
        if self.baton.acquire(False):
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
            item = Abandon(item.event, LATE)
        self.task = self.job = None
        self.began = monotonic()
        self.baton.release()
        self._abandon(item)
        return self._pick_up()

    # -- as a worker

    def _work(self, job: Job) -> None:
        """Run a slice for a job, and answer unless that was done meanwhile."""
        event = job.event
        if job not in self._crew.jobs:
            if event is not None and event.owner is self:
                self._abandon(Abandon(event, LATE))
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
        raise_in(threading.get_ident(), None)

    # -- as both

    def _start(self, event: Event) -> Out:
        event.owner = self
        self.live += 1
        return self._runners.start(event)

    def _abandon(self, item: Abandon) -> None:
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
                    return pack([1, message_id, None, result(event, out)]), True
                except PACK_ERRORS as error:
                    out = event.throw(unsendable(out[0], error))
            return last_reply(pack, message_id, event, out), False
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
                self._abandon(Abandon(event, LATE))
        if mine:
            connection.send(reply)
