"""Interrupts: who was first, what comes when, and that nothing comes afterwards."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from support.client import TIMEOUT

from pluginserver.runtime import interrupts
from pluginserver.runtime.interrupts import Cancelled, Interruptible


@pytest.fixture(autouse=True)
def short_interval() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run(body: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=body)
    thread.start()
    return thread


def test_of_two_that_claim_one_is_first() -> None:
    def claim(work: Interruptible, barrier: threading.Barrier, claims: list[bool]) -> None:
        barrier.wait(TIMEOUT)
        claims.append(work.claim())

    for _ in range(200):
        work, barrier = Interruptible(), threading.Barrier(2)
        claims: list[bool] = []
        threads = [run(partial(claim, work, barrier, claims)) for _ in range(2)]
        for thread in threads:
            thread.join(TIMEOUT)
        assert sorted(claims) == [False, True]
        assert work.claimed


def test_an_interrupt_ends_a_loop() -> None:
    work = Interruptible()
    entered = threading.Event()
    caught: list[bool] = []

    def loop() -> None:
        try:
            entered.set()
            while True:
                pass
        except Cancelled:
            work.over = True
        caught.append(work.claim())
        work.acknowledge()

    thread = run(loop)
    assert entered.wait(TIMEOUT)
    assert work.claim()
    assert thread.ident is not None
    work.interrupt(thread.ident)
    thread.join(TIMEOUT)
    assert caught == [False]


def code(work: Interruptible, ready: list[None], delay: int | None, mine: list[bool]) -> None:
    """Code that may be interrupted, settled as a worker does it, and what the thread does afterwards.

    It takes no lock, a barrier's neither.

    :param delay: how long the code takes, in turns of a loop; None for one that ends when interrupted.
    """
    try:
        try:
            ready.append(None)
            for _ in itertools.count() if delay is None else range(delay):
                pass
        except Cancelled:
            work.over = True
    except Cancelled:
        work.over = True
    while True:
        try:
            first = work.claim()
            if not first:
                work.acknowledge()
            break
        except Cancelled:
            work.over = True
    mine.append(first)
    for _ in range(2000):
        pass


def test_whatever_the_moment_nothing_comes_after_the_acknowledgement() -> None:
    """The code ends before somebody claims it and interrupts, twice; after it; or at about that time."""
    ready: list[None]
    mine: list[bool] = []
    stray: list[BaseException] = []

    def body(work: Interruptible, ready: list[None], delay: int | None) -> None:
        try:
            code(work, ready, delay, mine)
        except BaseException as error:
            stray.append(error)

    for number in range(400):
        work, ready = Interruptible(), []
        before, after = number % 40 == 0, number % 40 == 1
        thread = run(partial(body, work, ready, None if after else number % 40 * 50))
        while len(mine) == number if before else not ready:
            pass
        assert thread.ident is not None
        if work.claim():
            work.interrupt(thread.ident)
            work.interrupt(thread.ident)
        thread.join(TIMEOUT)
        assert not thread.is_alive()
        assert not stray
        assert before <= mine[-1] and after <= (not mine[-1])


def test_who_acknowledges_waits_for_an_interrupt_that_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The interrupter has looked, and not raised yet, when the code is over."""
    work = Interruptible()
    looked, go, acknowledging = threading.Event(), threading.Event(), threading.Event()
    really = interrupts.raise_in
    done: list[str] = []

    def raise_late(thread: int, error: type[BaseException] | None) -> None:
        if error is not None:
            looked.set()
            assert go.wait(TIMEOUT)
        really(thread, error)

    def body() -> None:
        assert looked.wait(TIMEOUT)
        try:
            acknowledging.set()
            work.acknowledge()
            done.append("acknowledged")
            for _ in range(2000):
                pass
            done.append("undisturbed")
        except Cancelled:
            done.append("stray")

    monkeypatch.setattr(interrupts, "raise_in", raise_late)
    thread = run(body)
    assert work.claim()
    assert thread.ident is not None
    ident = thread.ident
    interrupter = run(lambda: work.interrupt(ident))
    assert acknowledging.wait(TIMEOUT)
    thread.join(0.05)
    assert done == [], "it did not wait"
    go.set()
    interrupter.join(TIMEOUT)
    thread.join(TIMEOUT)
    assert done == ["acknowledged", "undisturbed"]
