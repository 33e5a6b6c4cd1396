"""Short switch intervals while a thread computes, and only then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.client import TIMEOUT

from pluginserver.runtime.switch_interval import SHORT_INTERVAL, SwitchInterval


@contextmanager
def thread(compute: bool) -> Iterator[int]:
    """A thread that computes or waits; gives its ident."""
    ended = threading.Event()

    def run() -> None:
        while compute and not ended.is_set():
            pass
        ended.wait(TIMEOUT)

    worker = threading.Thread(target=run)
    worker.start()
    assert worker.ident is not None
    yield worker.ident
    ended.set()
    worker.join()


@pytest.fixture(autouse=True)
def chosen() -> Iterator[float]:
    """What the program has chosen, and must have again afterwards."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.004)
    yield sys.getswitchinterval()
    assert sys.getswitchinterval() == pytest.approx(0.004)
    sys.setswitchinterval(before)


def look_until_short(interval: SwitchInterval, ident: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    while sys.getswitchinterval() > 2 * SHORT_INTERVAL:
        assert time.monotonic() < deadline
        interval.look(time.monotonic(), [ident])


def test_a_thread_that_computes_makes_them_short() -> None:
    interval = SwitchInterval()
    with thread(compute=True) as ident:
        look_until_short(interval, ident)
        interval.look(time.monotonic() + 1, [])
    assert sys.getswitchinterval() == pytest.approx(0.004)


def test_a_thread_that_waits_does_not() -> None:
    interval = SwitchInterval()
    now = time.monotonic()
    with thread(compute=False) as ident:
        for number in range(20):
            interval.look(now + number, [ident])
            assert sys.getswitchinterval() == pytest.approx(0.004)


def test_servers_side_by_side_share_the_decision() -> None:
    one, other = SwitchInterval(), SwitchInterval()
    with thread(compute=True) as ident:
        look_until_short(one, ident)
        one.close()
        look_until_short(other, ident)
        one.close()
        assert sys.getswitchinterval() < 2 * SHORT_INTERVAL
        other.close()
        assert sys.getswitchinterval() == pytest.approx(0.004)
    other.close()


def test_a_shorter_choice_of_the_program_stays() -> None:
    interval = SwitchInterval()
    sys.setswitchinterval(SHORT_INTERVAL / 4)
    with thread(compute=True) as ident:
        deadline = time.monotonic() + TIMEOUT
        for _ in range(1000):
            assert time.monotonic() < deadline
            interval.look(time.monotonic(), [ident])
            assert sys.getswitchinterval() <= SHORT_INTERVAL / 2
    interval.close()
    sys.setswitchinterval(0.004)
