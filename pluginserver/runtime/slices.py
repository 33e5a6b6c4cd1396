"""What a thread of the pool does with its slices: runs them, and settles what came of them.

The theory of operation, the shared fields and the states are told in :mod:`.pool`.  Rules kept here:

* only a task's owner begins it, goes on with it or ends it;
* what was begun in a slice is settled, in :meth:`SlicingThread.settle`, whatever came out of the slice
  and whatever interrupted it;
* leadership is regained in a ``finally``;
* :meth:`SlicingThread.run_inline` does what the others do, for what nearly all slices are.
"""

from __future__ import annotations

from time import monotonic
from typing import Any, Generic

from .. import logs
from .book import MICRO, SHARE
from .forks import end_child
from .interrupts import Cancelled
from .pings import deliver
from .pool import GONE, ThreadPool
from .requests import LATE, SLOW, C, Cancel, Ping, Request, Task
from .thread import PoolThread
from .usage import Usage


class SlicingThread(PoolThread, Generic[C]):
    """A thread of the pool, as far as its slices go.

    :param pool: what it works for.
    :param name: its name.
    :param group: which of the pool's groups it is in.
    :param context: what its requests need of their thread.
    """

    def __init__(self, pool: ThreadPool[C], name: str, group: str, context: C) -> None:
        super().__init__(name, group, pool.wake_poll, pool.books.take())
        self.pool = pool
        self.usage: Usage | None = None
        """Taken when the slice at hand began, or shortly before; None when nobody wants to know."""
        self._context = context
        self._led = False
        """Whether that slice began on the leader."""

    def run(self, work: Request[Any] | Cancel) -> None:
        """Run a slice, and settle what came of it."""
        task = work.task
        if task is not None and task.owner is None:
            task.owner = self
            self.live += 1
        leading = self.leading
        self.parked = None
        self.current = work
        self.began = began = monotonic()
        if task is not None and task.since and type(work) is not Cancel:
            self._resumed(task, began)
        self._led = leading
        if leading:
            self.leadership.release()
        else:
            self.usage = Usage() if task is not None and task.placement.open else None
        try:
            work.perform(self._context)
        finally:
            if self.pool.forked_off:
                end_child("a handler" if task is None else f"a handler of {task.kind}")
            if leading and not self.leadership.acquire(False):
                self.leading = False
        self.settle()

    def run_inline(self, request: Request[C], task: Task) -> None:
        """Do what :meth:`run` and :meth:`settle` do, for a slice on the leader like most of them.

        In one function, since calls are what a slice of Python costs most.
        """
        pool = self.pool
        self._led = True
        self.current = request
        self.began = began = monotonic()
        since = task.since
        if since:
            wait = began - since
            task.waited += wait
            task.asks += 1
            if self.book.exact or began * MICRO % SHARE < 1.0:
                self.book.time(task.asked, wait)
        leadership = self.leadership
        leadership.release()
        try:
            request.perform(self._context)
        finally:
            if pool.forked_off:
                end_child(f"a handler of {task.kind}")
            if not leadership.acquire(False):
                self.leading = False
        now = monotonic()
        if (
            not self.leading
            or now - began > SLOW
            or task.raised is not None
            or not request.claim()
        ):
            self.settle()
            return
        self.began = 0.0
        self.current = None
        task.spent += now - began
        if request.suspended:
            task.since = now
            task.peer = peer = request.peer
            pool.waiting[task.id] = task
            if not peer.answer(request.reply, task.id):
                pool.abandon(task, GONE)
        else:
            self.live -= 1
            task.end()
            request.peer.answer(request.reply)
        if pool.moving is not None:
            pool.resume(request)

    def _resumed(self, task: Task, began: float) -> None:
        """Count the callback whose answer a slice begins with; :meth:`run_inline` does the same."""
        wait = began - task.since
        task.waited += wait
        task.asks += 1
        if self.book.exact or began * MICRO % SHARE < 1.0:
            self.book.time(task.asked, wait)

    def settle(self) -> None:
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
            task.spent += took
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
                self.pool.waiting[task.id] = task
            elif not mine and type(work) is not Cancel and task.suspended:
                self.cancel(task, LATE)
            else:
                self.live -= 1
                if not self.leading:
                    task.placement.ended_on_worker(task.slow, now)
                task.end()
        if isinstance(work, Request):
            if work.since:
                self.pool.in_flight.pop(work, None)
            if task is not None and (not mine or not work.suspended or self.live > 1):
                self.pool.recall(work.peer)  # before the next request can come there
            if mine:
                self.pool.answer(work, work.reply if work.ping is None else work.encoded())

    def _keep(self, request: Request[Any], ping: Ping) -> None:
        """Keep the reply of a slice that has ended while a ping is out: Kong's step will want it."""
        task = request.task
        assert task is not None
        took = monotonic() - self.began
        self.began = 0.0
        self.current = None
        task.slow = True
        task.spent += took
        if task.raised is not None:
            task.report()
        if request.suspended:
            self.parked = task
            self.pool.kept[task.id] = task
        else:
            self.live -= 1
            task.placement.ended_on_worker(True, monotonic())
            task.end()
        ping.done = True
        if request.claim():
            deliver(self.pool, request)
        elif ping.refused is not None and self.pool.kept.pop(task.id, None) is not None:
            self.cancel(task, LATE)

    def _judge(self, task: Task, took: float, now: float) -> None:
        """Tell what is known of a slow slice."""
        spent = None if self.usage is None else self.usage.spent(took)
        if self._led:
            task.placement.slow_inline(now, spent)
            self.usage = Usage()
        if not self.leading and (spent is None or spent.own > SLOW):
            task.slow = True

    def cancel(self, task: Task, why: str) -> None:
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
            self.settle()
