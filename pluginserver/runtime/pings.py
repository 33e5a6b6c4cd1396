"""What becomes of a request whose ping is out: the clock has sent Kong a callback in its handler's name.

Rules kept here:

* what the handler yields meanwhile is kept, and answers the step that comes, whose peer takes over;
* a connection whose ping is out may have moved to another process: the step then comes from there.
"""

from __future__ import annotations

from time import monotonic

from .pool import ThreadPool
from .requests import LATE, C, Cancel, Ping, Pong, Request, Task


def ping(pool: ThreadPool[C], request: Request[C], now: float) -> None:
    """Send a callback in the name of a handler that is busy, if it is time, so that Kong goes on waiting; by
    the clock.

    :param now: seconds on the monotonic clock.
    """
    task, sent = request.task, request.ping
    if task is None or task.owner is None:
        return
    since = request.since if sent is None else max(request.since, sent.sent)
    if now - since < pool.options.ping_interval:
        return
    message = request.ping_message()
    if message is None:
        return
    if sent is None:
        sent = request.ping = Ping()
    if request.claim():
        pool.recall(request.peer)
        sent.sent = now
        pool.counts["pings"] += 1
        pool.pinged[task.id] = request
        pool.answer(request, message)


def ponged(pool: ThreadPool[C], pong: Pong[C]) -> None:
    """Go on with a request whose ping was answered; the leader only, and it is in ``pinged`` no more."""
    request = pong.pinged
    pong.take_over()
    request.give_back()
    ping, task = request.ping, request.task
    assert ping is not None and task is not None
    if ping.refused is not None:
        if request.claim():
            pool.in_flight.pop(request, None)
            pool.answer(request, request.refuse(ping.refused))
            cancel_kept(pool, task, LATE)
    elif ping.done and request.claim():
        deliver(pool, request)


def deliver(pool: ThreadPool[C], request: Request[C]) -> None:
    """Send the reply that was kept while a ping was out; by who has claimed it."""
    task = request.task
    assert task is not None
    if request.suspended:
        task.since = monotonic()
        pool.waiting[task.id] = task
        pool.kept.pop(task.id, None)
    pool.in_flight.pop(request, None)
    pool.answer(request, request.encoded())


def cancel_kept(pool: ThreadPool[C], task: Task, why: str) -> None:
    """Have a task cancelled whose callback was kept; nothing happens if it was not."""
    if pool.kept.pop(task.id, None) is not None:
        assert task.owner is not None
        task.owner.post(Cancel(task, why))
