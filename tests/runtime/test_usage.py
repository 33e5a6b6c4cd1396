"""What a slice did with its time."""

from __future__ import annotations

import threading
import time

import pytest

from pluginserver.runtime import usage
from pluginserver.runtime.usage import Usage

needs_schedstat = pytest.mark.skipif(
    Usage().waited is None, reason="this system does not tell how long a thread waited"
)


def test_a_thread_that_sleeps_is_blocked() -> None:
    start = Usage()
    time.sleep(0.1)
    blocked = start.blocked(100.0)
    if start.waited is not None:
        assert blocked is not None
        assert 0.05 < blocked < 10
        assert start.blocked(0.01) == 0.01


@needs_schedstat
def test_a_thread_that_computes_is_not() -> None:
    start, until = Usage(), time.thread_time() + 0.1
    while time.thread_time() < until:
        pass
    blocked = start.blocked(100.0)
    assert blocked is not None
    assert blocked < 0.05


@needs_schedstat
def test_a_thread_that_waits_for_the_interpreter_beside_one_that_computes_is_not() -> None:
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(range(100))

    neighbour = threading.Thread(target=compute)
    neighbour.start()
    try:
        start = Usage()
        for _ in range(20):
            time.sleep(0)  # gives the interpreter away, and waits 5 ms to get it back
        wall = time.monotonic() - start.at
        blocked = start.blocked(100.0)
    finally:
        over.set()
        neighbour.join()
    assert wall > 0.05
    assert blocked is not None
    assert blocked < wall / 2


def test_where_the_system_does_not_tell_nothing_is_blocked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = Usage()
    monkeypatch.setattr(usage, "SCHEDSTAT", "/proc/absent")
    start = Usage()
    assert start.waited is None
    assert start.blocked(100.0) is None
    assert known.blocked(100.0) is None
    monkeypatch.setattr(usage, "SCHEDSTAT", "/dev/null")
    assert Usage().waited is None
