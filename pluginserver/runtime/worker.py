"""One thread of the pool, as the leader and as a worker.

The theory of operation, the shared fields and the states are told in :mod:`.pool`.  Rules kept here:

* only a task's owner begins it, goes on with it or ends it;
* what was begun in a slice is settled, in :meth:`Worker._settle`, whatever came out of the slice and
  whatever interrupted it;
* leadership is regained in a ``finally``;
* nothing that goes wrong ends the thread: not in a plugin, not in a client, not in our own code.
"""

from __future__ import annotations

import os
import threading
from time import monotonic
from typing import Any, Final, Generic

from .. import logs
from .connection import WRITABLE, Connection, ProtocolError
from .forks import end_child
from .interrupts import Cancelled
from .pings import deliver, ponged
from .pool import ThreadPool
from .requests import (
    LATE,
    SLOW,
    C,
    Call,
    Cancel,
    Item,
    Job,
    Ping,
    Pong,
    Promote,
    Request,
    Shutdown,
    Task,
)
from .thread import PoolThread
from .usage import FRESH, Usage

BATCH: Final = 64
"""Ready connections taken in one poll."""

PAUSE: Final = 0.05
"""Seconds that a leader rests after a failure of its own, so that one which stays is no busy loop."""


class Worker(PoolThread, Generic[C]):
    """A thread of the pool.

    :param pool: what it works for.
    :param name: its name.
    :param group: which of the pool's groups it is in.
    :param context: what its requests need of their thread.
    """

    def __init__(self, pool: ThreadPool[C], name: str, group: str, context: C) -> None:
        super().__init__(name, group, pool.wake_poll)
        self._pool = pool
        self._context = context
        self._ended = False
        self._usage: Usage | None = None
        """Taken when the slice at hand began, or shortly before; None when nobody wants to know."""
        self._led = False
        """Whether that slice began on the leader."""

    # -- the thread's life

    def main(self) -> None:
        """Take what comes, as a worker or as the leader, until told to end; then leave nothing."""
        try:
            while not self._ended:
                try:
                    self._work()
                except Cancelled:
                    if self.current is not None:
                        self.current.over = True
            self._leave()
        finally:
            self._pool.remove(self)

    def _work(self) -> None:
        try:
            while not self._ended:
                if self.current is not None:
                    self._settle()
                self._take(self._pool.next_item(self))
        except Cancelled:
            if self.current is not None:
                self.current.over = True
        except BaseException as error:
            self._pool.unlock()
            self._pool.log.error("a worker failed, and goes on", exc_info=error)

    def _leave(self) -> None:
        """Cancel the tasks that wait here, for a step or for their turn."""
        why = "the plugin server stops"
        while not self.inbox.empty():
            work = self.inbox.get_nowait()
            if isinstance(work, (Request, Cancel)):
                if isinstance(work, Request) and work.claim():
                    self._pool.answer(work, work.refuse(why))
                self._discard(work, why)
        for table in (self._pool.waiting, self._pool.kept):
            for task in list(table.values()):
                if task.owner is self and table.pop(task.id, None) is not None:
                    self._cancel(task, why)

    def _cancel(self, task: Task, why: str) -> None:
        """Cancel a task of this thread's, whatever interrupts that."""
        work = Cancel(task, why)
        try:
            try:
                self.run(work)
            except Cancelled:
                work.over = True
        except Cancelled:
            work.over = True
        if self.current is work:
            self._settle()

    # -- what there is to do

    def _take(self, work: Item) -> None:
        """Do what was posted."""
        if isinstance(work, Promote):
            self._lead()
        elif isinstance(work, Call):
            work.function()
        elif isinstance(work, Shutdown):
            self._ended = True
            self.leading = False
        elif isinstance(work, Job):
            self.began = monotonic()
            try:
                work.perform()
            finally:
                self.began = 0.0
        else:
            self.current = work
            if work.claimed:
                self.current = None
                self._discard(work, LATE)
            else:
                self.run(work)

    def _discard(self, work: Request[Any] | Cancel, why: str) -> None:
        """Do not do something that somebody else has answered, and end its task."""
        task = work.task
        if isinstance(work, Request):
            self._pool.in_flight.pop(work, None)
        if task is None:
            return
        if task.owner is self:
            self._cancel(task, why)
        else:
            task.end()

    def run(self, work: Request[Any] | Cancel) -> None:
        """Run a slice, and settle what came of it."""
        task = work.task
        if task is not None and task.owner is None:
            task.owner = self
            self.live += 1
        leading = self.leading
        self.parked = None
        self.current = work
        self.began = monotonic()
        self._led = leading
        if leading:
            self.leadership.release()
        else:
            self._usage = Usage() if task is not None and task.placement.open else None
        try:
            work.perform(self._context)
        finally:
            if self._pool.forked_off:
                end_child("a handler" if task is None else f"a handler of {task.kind}")
            if leading and not self.leadership.acquire(False):
                self.leading = False
        self._settle()

    def _settle(self) -> None:
        """Put the task where it belongs now, and send the reply if it is still ours to send."""
        work = self.current
        assert work is not None
        mine = work.claim()
        if not mine:
            work.acknowledge()
            logs.release_locks()
            if isinstance(work, Request) and work.ping is not None and work.ping.refused is None:
                self._keep(work, work.ping)
                return
        # From here on no interrupt can come.
        now = monotonic()
        took = now - self.began
        self.began = 0.0
        self.current = None
        task = work.task
        if task is not None:
            if took > SLOW:
                self._judge(task, took, now)
            if task.raised is not None:
                task.report()
            if mine and work.suspended:
                task.since = now
                if not self.leading:
                    self.parked = task
                    if task.placement.open:
                        task.look()
                self._pool.waiting[task.id] = task
            elif not mine and type(work) is not Cancel and task.suspended:
                self._cancel(task, LATE)
            else:
                self.live -= 1
                if not self.leading:
                    task.placement.ended_on_worker(task.slow, now)
                task.end()
        if isinstance(work, Request):
            if work.since:
                self._pool.in_flight.pop(work, None)
            if mine:
                self._pool.answer(work, work.reply if work.ping is None else work.encoded())

    def _keep(self, request: Request[Any], ping: Ping) -> None:
        """Keep the reply of a slice that has ended while a ping is out: Kong's step will want it."""
        task = request.task
        assert task is not None
        self.began = 0.0
        self.current = None
        task.slow = True
        if task.raised is not None:
            task.report()
        if request.suspended:
            self.parked = task
            self._pool.kept[task.id] = task
        else:
            self.live -= 1
            task.placement.ended_on_worker(True, monotonic())
            task.end()
        ping.done = True
        if request.claim():
            deliver(self._pool, request)
        elif ping.refused is not None and self._pool.kept.pop(task.id, None) is not None:
            self._cancel(task, LATE)

    def _judge(self, task: Task, took: float, now: float) -> None:
        """Tell what is known of a slow slice."""
        spent = None if self._usage is None else self._usage.spent(took)
        if self._led:
            task.placement.slow_inline(now, spent)
            self._usage = Usage()
        if not self.leading and (spent is None or took - spent.waited > SLOW):
            task.slow = True

    # -- as the leader

    def _lead(self) -> None:
        """Serve the connections until the leadership is gone."""
        self.leadership = threading.Lock()
        self.leadership.acquire()
        self.leading = True
        self._usage = Usage()
        unfinished = self._pool.reading
        while self.leading:
            try:
                if unfinished is not None:
                    connection, unfinished = unfinished, None
                    self._attend(connection, 0)
                else:
                    self._turn()
            except Cancelled:
                raise
            except BaseException as error:
                self._pool.unlock()
                self._pool.log.error("the leader failed, and goes on", exc_info=error)
                self._pool.counts["leader_failures"] += 1
                self._pool.stopping.wait(PAUSE)

    def _turn(self) -> None:
        """Do what was posted, wait for clients, and serve those that are ready."""
        pool = self._pool
        while not self.inbox.empty():
            self._take(self.inbox.get_nowait())
            if not self.leading:
                return
        while not pool.calls.empty():
            pool.calls.get_nowait()()
        while not pool.resumed.empty():
            connection = pool.resumed.get_nowait()
            if connection.closed or connection.lent:
                continue
            if connection.gone:
                pool.drop(connection)
            elif pool.moving is not None:
                pool.moving(connection)
            else:
                connection.resume()
                self._attend(connection, 0)
            if not self.leading:
                return
        pool.active = False
        ready = pool.poller.poll(-1, BATCH)
        pool.active = True
        if pool.dozing:
            pool.wake_clock()
        if self._usage is None or monotonic() - self._usage.at > FRESH:
            self._usage = Usage()
        for fd, mask in ready:
            client = pool.connections.get(fd)
            if client is not None:
                self._attend(client, mask)
                if not self.leading:
                    return
            elif fd == pool.wakeup:
                os.eventfd_read(fd)
            elif fd in pool.watched:
                pool.watched.pop(fd)()
                os.close(fd)

    def _attend(self, connection: Connection[C], mask: int) -> None:
        """Do what a connection is ready for, and handle what it has sent; or close it.

        :param mask: the poll's result; 0 to go on with what was read before.
        """
        pool = self._pool
        try:
            if mask and connection.half_since and connection.large():
                pool.lend(connection)
                return
            if mask & WRITABLE:
                alive = connection.flush()
            else:
                alive = not mask or connection.receive()
            if alive:
                pool.reading = connection
                while (request := connection.request()) is not None:
                    self._dispatch(connection, request)
                    if not (self.leading and connection.more):
                        return
                if connection.large():
                    pool.lend(connection)
                return
        except ProtocolError as error:
            pool.counts["protocol_errors"] += 1
            pool.notices.tell("a connection was closed", str(error))
        except Exception as error:
            pool.log.error("a connection was closed: the server failed", exc_info=error)
            if not self.leading:
                return
        pool.drop(connection)

    def _dispatch(self, connection: Connection[C], request: Request[C]) -> None:
        """Run a request here, or give it to the thread that it is for."""
        task = request.task
        if task is None:
            if isinstance(request, Pong):
                ponged(self._pool, request)
            else:
                self._pool.pause(connection, request)
                self._pool.submit(request, monotonic())
        elif task.owner is None:
            pool = self._pool
            if len(pool.waiting) + len(pool.in_flight) >= pool.options.max_events:
                self._refuse(request, task)
            elif task.placement.inline:
                self.run(request)
            else:
                self._pool.submit(request, monotonic())
        elif task.owner is self:
            self.run(request)
        else:
            self._pool.hand_over(request, monotonic())

    def _refuse(self, request: Request[C], task: Task) -> None:
        """Answer for a task that is one too many."""
        pool = self._pool
        request.claim()
        pool.counts["events_refused"] += 1
        limit = pool.options.max_events
        pool.answer(request, request.refuse(f"there are {limit} events already, see -max-events"))
        task.end()
