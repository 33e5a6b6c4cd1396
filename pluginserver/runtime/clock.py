"""The one clock of a server: stuck leaders, time-outs, and what is done from time to time.

Rules kept here:

* an idle server wakes nobody: when nothing has happened for a while the clock sleeps until the next
  time-out, or until somebody wakes it;
* before it goes to sleep it asks for nothing any more: the switch interval is the program's again;
* only the clock, and the end of the server, interrupt a thread, and only for a request that they have
  claimed (see :mod:`.interrupts`); never the leader, and no control request, which holds locks of ours;
* a request is answered once: refused by who claims it here, else answered by who ran it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final, Generic

from ..logs import Repeats
from .connection import Connection
from .groups import CONTROL, CONTROL_THREADS, EVENTS, FORGOTTEN
from .pings import cancel_kept, ping
from .pool import CLOSED, ThreadPool
from .requests import SHUTDOWN, C, Ping, Request, Work
from .switch_interval import LONG, SwitchInterval, cpu_time
from .thread import PoolThread

STUCK: Final = 0.010
"""Seconds in one slice after which the leader is replaced."""

TICK: Final = 0.005
"""Seconds between two looks at the leader."""

ROUND: Final = 0.1
"""Seconds between two looks at the time-outs."""

SHORT: Final = 0.05
"""Seconds in one slice after which the leader reads again on the connection that its request came on."""

QUIET_TICKS: Final = 100
"""Looks in a row that find nothing done, before the clock goes to sleep."""

LONG_CONTROL: Final = 10.0
"""Seconds after which a control request no longer counts as one of :data:`~.pool.CONTROL_THREADS`."""

UNWIND: Final = 2.0
"""Seconds that the threads get to end, at the end; after half of it they are interrupted."""

AGAIN: Final = 0.05
"""Seconds between two interrupts of one thread, at the end."""

STALLED: Final = "a connection was closed whose client sent half a message or did not read"

Housekeeping = Callable[[], "float | None"]
"""Done from time to time; returns in how many seconds it wants to be called again, None for not."""


class Clock(Generic[C]):
    """The clock of one server.

    :param pool: its threads.
    :param name: the name of the clock's own thread.
    :param housekeeping: what else is done, at least once in each of its own intervals.
    """

    def __init__(
        self, pool: ThreadPool[C], name: str, housekeeping: Housekeeping = lambda: None
    ) -> None:
        self._pool = pool
        self._housekeeping = housekeeping
        self._interval = SwitchInterval()
        self._late: dict[Work, None] = {}
        """What was claimed here and may still run."""
        self._spent: dict[PoolThread, tuple[Work, float]] = {}
        """For each thread in a slice what that serves, and its CPU time when it was seen first."""
        self._next_round = 0.0
        self._failures = Repeats()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Have a thread lead, and start the clock."""
        self._pool.promote()
        self._thread.start()

    # -- the thread

    def _run(self) -> None:
        failure: BaseException | None = None
        while not self._pool.stopping.is_set():
            try:
                if failure is not None:
                    told, failure = failure, None
                    self._recover(told)
                self._tick()
            except BaseException as error:
                failure = error
        self._interval.close()

    def _recover(self, failure: BaseException) -> None:
        """Leave no lock behind, and say once in a while what failed."""
        self._pool.unlock()
        self._interval.unlock()
        self._pool.counts["clock_failures"] += 1
        repeats = self._failures.note(type(failure))
        if repeats is not None:
            self._pool.log.error("the clock failed", repeats=repeats, exc_info=failure)
        self._pool.stopping.wait(ROUND)

    def _tick(self) -> None:
        quiet = 0
        while not self._pool.stopping.wait(TICK):
            quiet = 0 if self._pool.active else quiet + 1
            self._look(monotonic())
            if quiet > QUIET_TICKS:
                self._doze()
                quiet = 0

    def _look(self, now: float) -> None:
        pool = self._pool
        self._interval.look(now, self._busy_since(now - LONG))
        leader = pool.leader
        if leader is None:
            pool.promote()
        elif (began := leader.began) and now - began > STUCK:
            self._replace(leader, began)
        if pool.crowded():
            self._make_room(now)
        if now >= self._next_round:
            self._next_round = now + ROUND
            self.enforce_timeouts(now)
            self._pool.notices.flush()
            self._housekeeping()

    def _doze(self) -> None:
        """Sleep until the next time-out, or until something happens."""
        pool = self._pool
        self._interval.close()
        pool.dozing = True
        if not pool.active and not pool.stopping.is_set():
            delays = [self._next_timeout(monotonic()), self._housekeeping(), pool.notices.flush()]
            try:
                pool.alarm.get(
                    timeout=min((one for one in delays if one is not None), default=None)
                )
            except queue.Empty:
                pass
        pool.dozing = False
        self._next_round = 0.0

    def _next_timeout(self, now: float) -> float | None:
        """Seconds until :meth:`enforce_timeouts` has something to do; None for never."""
        options = self._pool.options
        ends = [one.since + options.callback_timeout for one in list(self._pool.waiting.values())]
        ends += [since + options.io_timeout for since in self._stalled().values()]
        if self._pool.in_flight or self._late:
            ends.append(now + ROUND)
        return max(0.0, min(ends) - now) if ends else None

    def _busy_since(self, before: float) -> Iterator[int]:
        """The threads that have been in one slice since ``before``."""
        for thread in self._pool.threads():
            if thread.began and thread.began < before and thread.ident is not None:
                yield thread.ident

    # -- a leader that is stuck

    def _replace(self, leader: PoolThread, began: float) -> None:
        """Acquire the leadership of a leader that is in a slice, and promote another."""
        pool = self._pool
        work = self._depose(leader)
        if work is None:
            return
        task = work.task
        if task is not None and leader.began == began:
            task.placement.replaced(monotonic())
        pool.leader = None
        pool.promote()

    def _depose(self, leader: PoolThread) -> Work | None:
        """Acquire its leadership.

        :returns: what its slice serves; None when it is in none.
        """
        if not leader.leadership.acquire(False):
            return None
        leader.leading = False
        work = leader.current
        if isinstance(work, Request):
            work.since = leader.began or monotonic()
            self._pool.in_flight[work] = None
            if work.claimed:
                self._pool.in_flight.pop(work, None)
        return work

    # -- time-outs

    def enforce_timeouts(self, now: float) -> None:
        """Refuse the requests whose time is over, and cancel the tasks that Kong has forgotten.

        :param now: seconds on the monotonic clock.
        """
        pool = self._pool
        for request in list(pool.in_flight):
            if now - request.since > SHORT:
                pool.recall(request.peer)
            why = CLOSED if request.pointless else pool.refusing or self._overdue(request, now)
            if why is not None:
                self._refuse(request, why)
            else:
                ping(pool, request, now)
        self._enforce_budgets()
        timeout = pool.options.callback_timeout
        for pinged in list(pool.pinged.values()):
            if pinged.ping is not None and (pinged.pointless or now - pinged.ping.sent > timeout):
                self._unanswered(pinged, pinged.ping)
        for task in list(pool.waiting.values()):
            if now - task.since > timeout:
                pool.abandon(task, f"Kong sent no step for event {task.id} in {timeout:g} s")
        for connection, since in self._stalled().items():
            if now - since > pool.options.io_timeout:
                pool.counts["io_timeouts"] += 1
                pool.notices.tell(STALLED, f"for {pool.options.io_timeout:g} s, see -io-timeout")
                connection.cut()
        self._interrupt_late()

    def _stalled(self) -> dict[Connection[C], float]:
        """The connections whose clients owe something, and since when."""
        connections = list(self._pool.connections.values())
        return {one: since for one in connections if (since := one.stalled_since)}

    def _overdue(self, request: Request[C], now: float) -> str | None:
        """Why a request is to be refused now; None when it is not."""
        options = self._pool.options
        waited = now - request.since
        task = request.task
        own = None if task is None else task.timeout
        timeout = options.request_timeout if own is None else own
        if waited > timeout:
            return f"the plugin did not answer within {timeout:g} s"
        if task is None:
            return None
        owner = task.owner
        if isinstance(owner, PoolThread) and owner.current is not request:
            busy = owner.busy_for(now)
            if busy > options.stuck_timeout:
                self._pool.counts["stuck"] += 1
                return (
                    f"the thread of the event hangs in another handler for {busy:.0f} s:"
                    " see what that handler waits for"
                )
        if owner is None and waited > options.queue_timeout and self._pool.withdraw(request):
            self._pool.counts["queue_full"] += 1
            task.end()
            return (
                f"no thread was free within {options.queue_timeout:g} s, all {options.max_threads}"
                " are taken: find what the handlers wait for, or raise -max-threads"
            )
        return None

    def _refuse(self, request: Request[C], why: str) -> None:
        """Answer for what still runs, or never began: Kong is about to stop waiting."""
        if request.ping is not None:
            request.ping.refused = why
        if not request.claim():
            if request.ping is not None and request.task is not None:
                self._late[request] = None
            return
        self._pool.in_flight.pop(request, None)
        self._pool.recall(request.peer)
        if request.task is not None:
            self._late[request] = None
        if self._pool.withdraw(request) and request.task is not None:
            request.task.end()
        self._pool.counts["refused"] += 1
        self._pool.answer(request, request.refuse(why))

    def _unanswered(self, request: Request[C], ping: Ping) -> None:
        """Give up a request whose ping Kong does not answer: nobody waits for it."""
        task = request.task
        assert task is not None
        if self._pool.pinged.pop(task.id, None) is None:
            return
        self._pool.in_flight.pop(request, None)
        ping.refused = "Kong no longer waits for it"
        self._pool.tell_abandoned("it did not answer the callback of a handler that is busy")
        self._late[request] = None
        cancel_kept(self._pool, task, ping.refused)

    def _enforce_budgets(self) -> None:
        """Refuse the events whose slice has used up its CPU time."""
        budget = self._pool.options.cpu_timeout
        before, self._spent = self._spent, {}
        for thread in self._pool.threads():
            work, ident = thread.current, thread.ident
            if ident is None or not isinstance(work, Request) or work.task is None:
                continue
            spent = cpu_time(ident)
            first = before[thread][1] if thread in before and before[thread][0] is work else spent
            self._spent[thread] = work, first
            if spent - first > budget and work in self._pool.in_flight and work not in self._late:
                self._pool.counts["cpu"] += 1
                self._refuse(work, f"the handler computed for {budget:g} s without a callback")

    def _interrupt_late(self) -> None:
        """Interrupt, again and again, what was refused and still runs."""
        threads = self._pool.threads()
        for work in list(self._late):
            if not [thread for thread in threads if thread.interrupt(work)]:
                del self._late[work]
        for group in self._pool.groups.values():
            group.lost = sum(thread.current in self._late for thread in list(group.threads))

    def _make_room(self, now: float) -> None:
        """When events wait for threads, take those of the events that have waited longest for Kong."""
        pool = self._pool
        control, events = pool.groups[CONTROL], pool.groups[EVENTS]
        stuck = [one for one in list(control.threads) if one.busy_for(now) > LONG_CONTROL]
        control.limit = CONTROL_THREADS + len(stuck)
        with pool.lock:
            full = len(events.threads) >= events.limit
            missing = {
                kind: number
                for kind, number in events.backlog.lengths()
                if full or not events.allows(kind)
            }
        parked = [
            (task.since, thread.holding, task)
            for thread in list(events.threads)
            if (task := thread.parked) is not None
            and thread.holding is not None
            and now - task.since > FORGOTTEN
            and not task.patient
        ]
        for kind, number in missing.items():
            own = not events.allows(kind)
            candidates = sorted(
                (since, task.id, task)
                for since, holder, task in parked
                if not own or holder == kind
            )
            for _, _, task in candidates[:number]:
                pool.abandon(task, "other events needed its thread")
        pool.refill()

    # -- the end

    def stop(self) -> list[str]:
        """End the clock and the threads: refuse what runs, cancel what waits, interrupt what stays.

        :returns: the names of the threads that could not be ended; they are daemons.
        """
        pool = self._pool
        pool.stopping.set()
        pool.alarm.put(None)
        if self._thread.is_alive():
            self._thread.join(UNWIND)
        leader = pool.leader
        if leader is not None and leader.began:
            self._depose(leader)
        for request in list(pool.in_flight):
            self._refuse(request, "the plugin server stops")
            self._late[request] = None
        with pool.lock:
            threads = pool.threads()  # and from here on there is no new one
        for thread in threads:
            thread.post(SHUTDOWN)
        deadline = monotonic() + UNWIND
        while any(thread.is_alive() for thread in threads) and monotonic() < deadline:
            for thread in threads:
                thread.join(AGAIN / max(1, len(threads)))
            if monotonic() > deadline - UNWIND / 2:
                self._interrupt(threads)
        pool.close()
        return [thread.name for thread in threads if thread.is_alive()]

    def _interrupt(self, threads: list[PoolThread]) -> None:
        for thread in threads:
            work = thread.current
            if work is None:
                continue
            if work.claim():
                self._late[work] = None
            if work in self._late:
                thread.interrupt(work)
