"""One thread of the pool, as the leader and as a worker.

The theory of operation, the shared fields and the states are told in :mod:`.pool`.  Rules kept here:

* nothing that goes wrong ends the thread: not in a plugin, not in a client, not in our own code.
"""

from __future__ import annotations

import os
import threading
from time import monotonic
from typing import Any, Final

from .codec import ProtocolError
from .connection import Connection
from .interrupts import Cancelled
from .lending import StepReader
from .pings import ponged
from .pool import ThreadPool
from .requests import (
    LATE,
    C,
    Call,
    Cancel,
    Item,
    Job,
    Pong,
    Promote,
    Request,
    Shutdown,
    Task,
)
from .sending import READABLE, WRITABLE
from .slices import SlicingThread
from .usage import FRESH, Usage

BATCH: Final = 64
"""Ready connections taken in one poll."""

PAUSE: Final = 0.05
"""Seconds that a leader rests after a failure of its own, so that one which stays is no busy loop."""


class Worker(SlicingThread[C]):
    """A thread of the pool.

    :param pool: what it works for.
    :param name: its name.
    :param group: which of the pool's groups it is in.
    :param context: what its requests need of their thread.
    """

    def __init__(self, pool: ThreadPool[C], name: str, group: str, context: C) -> None:
        super().__init__(pool, name, group, context)
        self._ended = False

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
            if self.steps is not None:
                self.steps.close()
            self.pool.remove(self)

    def _work(self) -> None:
        try:
            while not self._ended:
                if self.current is not None:
                    self.settle()
                self._take(self._read_step() or self.pool.next_item(self))
        except Cancelled:
            if self.current is not None:
                self.current.over = True
        except BaseException as error:
            self.pool.unlock()
            self.pool.log.error("a worker failed, and goes on", exc_info=error)

    def _read_step(self) -> Request[C] | None:
        """Wait for the next step of this thread's task where its callback went, if that can be."""
        task = self.parked
        if task is None or self.live > 1:
            return None
        connection = task.peer
        if not isinstance(connection, Connection) or not connection.lent:
            return None
        if connection.unsent_since:  # the leader sends the rest
            self.pool.recall(connection)
            return None
        if self.steps is None:
            try:
                self.steps = StepReader(self.pool, self)
            except OSError:
                self.pool.recall(connection)
                return None
        return self.steps.step(task, connection) if connection.take_back() else None

    def _leave(self) -> None:
        """Cancel the tasks that wait here, for a step or for their turn."""
        why = "the plugin server stops"
        while not self.inbox.empty():
            work = self.inbox.get_nowait()
            if isinstance(work, (Request, Cancel)):
                if isinstance(work, Request) and work.claim():
                    self.pool.answer(work, work.refuse(why))
                self._discard(work, why)
        for table in (self.pool.waiting, self.pool.kept):
            for task in list(table.values()):
                if task.owner is self and table.pop(task.id, None) is not None:
                    self.cancel(task, why)

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
            self.pool.in_flight.pop(work, None)
        if task is None:
            return
        if task.owner is self:
            self.cancel(task, why)
        else:
            task.end()

    # -- as the leader

    def _lead(self) -> None:
        """Serve the connections until the leadership is gone."""
        self.leadership = threading.Lock()
        self.leadership.acquire()
        self.leading = True
        self.usage = Usage()
        unfinished = self.pool.reading
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
                self.pool.unlock()
                self.pool.log.error("the leader failed, and goes on", exc_info=error)
                self.pool.counts["leader_failures"] += 1
                self.pool.stopping.wait(PAUSE)

    def _turn(self) -> None:
        """Do what was posted, wait for clients, and serve those that are ready."""
        pool = self.pool
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
            elif pool.moving is not None and connection.task is None:
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
        if self.usage is None or monotonic() - self.usage.at > FRESH:
            self.usage = Usage()
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
        pool = self.pool
        try:
            if mask == READABLE and not connection.half_since:
                alive: Any = connection.receive_direct()
                if alive is not True and alive is not False:
                    pool.reading = connection
                    task = alive.task
                    if task.owner is self:
                        self.run_inline(alive, task)
                    else:
                        self._dispatch(connection, alive)
                    return
            elif mask and connection.half_since and connection.large():
                pool.lend(connection)
                return
            elif mask & WRITABLE:
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
                ponged(self.pool, request)
            else:
                self.pool.pause(connection, request)
                self.pool.submit(request, monotonic())
        elif task.owner is None:
            pool = self.pool
            if len(pool.waiting) + len(pool.in_flight) >= pool.options.max_events:
                self._refuse(request, task)
            elif task.placement.inline:
                task.owner = self
                self.live += 1
                self.run_inline(request, task)
            else:
                pool.lend_to_owner(request)
                pool.submit(request, monotonic())
        elif task.owner is self:
            self.run_inline(request, task)
        else:
            self.pool.lend_to_owner(request)
            self.pool.hand_over(request, monotonic())

    def _refuse(self, request: Request[C], task: Task) -> None:
        """Answer for a task that is one too many."""
        pool = self.pool
        request.claim()
        pool.counts["events_refused"] += 1
        limit = pool.options.max_events
        pool.answer(request, request.refuse(f"there are {limit} events already, see -max-events"))
        task.end()
