"""Short switch intervals while a thread computes, and only then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pluginserver.runtime.switch_interval import SHORT_INTERVAL, SwitchInterval, cpu_time

BUSY, WAITING = 1, 2


class Machine:
    """A machine with one thread that computes and one that waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def cpu_time(self, ident: int) -> float:
        return self.now if ident == BUSY else 3.0

    def interval(self) -> SwitchInterval:
        return SwitchInterval(self.cpu_time)

    def look(self, interval: SwitchInterval, *idents: int) -> None:
        """Look twice, a second apart: the first time tells nothing."""
        for _ in range(2):
            self.now += 1
            interval.look(self.now, idents)


@pytest.fixture
def machine() -> Iterator[Machine]:
    """The program has chosen an interval, and must have it again afterwards."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0040005)
    yield Machine()
    chosen = sys.getswitchinterval()
    sys.setswitchinterval(before)
    assert chosen == pytest.approx(0.004, abs=1e-9)


def is_short() -> bool:
    return sys.getswitchinterval() == pytest.approx(SHORT_INTERVAL)


def test_a_thread_that_computes_makes_them_short(machine: Machine) -> None:
    interval = machine.interval()
    machine.look(interval, BUSY, WAITING)
    assert is_short()
    machine.look(interval)
    assert not is_short()


def test_threads_that_compute_in_turn_make_them_short(machine: Machine) -> None:
    """Each of them has an eighth of the time: that alone is no reason."""
    interval = SwitchInterval(lambda ident: machine.now / 8)
    machine.look(interval, 1)
    assert not is_short()
    machine.look(interval, 1, 2, 3, 4)
    assert is_short()
    interval.close()


def test_a_thread_that_waits_does_not(machine: Machine) -> None:
    interval = machine.interval()
    for _ in range(20):
        machine.look(interval, WAITING)
        assert not is_short()


def test_looks_that_follow_each_other_at_once_tell_nothing(machine: Machine) -> None:
    interval = machine.interval()
    machine.look(interval, WAITING)
    for _ in range(10):
        interval.look(machine.now + 0.001, [BUSY])
        assert not is_short()


def test_servers_side_by_side_share_the_decision(machine: Machine) -> None:
    one, other = machine.interval(), machine.interval()
    machine.look(one, BUSY)
    assert is_short()
    one.close()
    assert not is_short()
    machine.look(other, BUSY)
    machine.look(one, BUSY)
    one.close()
    assert is_short()
    other.close()
    assert not is_short()
    other.close()


def test_a_shorter_choice_of_the_program_stays(machine: Machine) -> None:
    interval = machine.interval()
    sys.setswitchinterval(SHORT_INTERVAL / 4)
    chosen = sys.getswitchinterval()
    for _ in range(10):
        machine.look(interval, BUSY)
        assert sys.getswitchinterval() == chosen
        interval.close()
        assert sys.getswitchinterval() == chosen
    sys.setswitchinterval(0.0040005)


def test_the_cpu_time_of_a_thread_is_its_own() -> None:
    go, ended = threading.Event(), threading.Event()

    def run() -> None:
        go.set()
        ended.wait()

    waits = threading.Thread(target=run)
    waits.start()
    go.wait()
    assert waits.ident is not None
    before = [cpu_time(threading.get_ident()), cpu_time(waits.ident)]
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    after = [cpu_time(threading.get_ident()), cpu_time(waits.ident)]
    ended.set()
    waits.join()
    assert after[0] - before[0] >= 0.05
    assert after[1] - before[1] < 0.05
