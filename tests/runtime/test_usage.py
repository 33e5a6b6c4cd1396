"""What a slice did with its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from pluginserver.runtime import usage
from pluginserver.runtime.usage import Spent, Usage

needs_schedstat = pytest.mark.skipif(
    Usage().spent(0.0) is None, reason="this system does not tell how long a thread waited"
)


def measured(code: Callable[[], object]) -> tuple[float, Spent]:
    """How long something took, and what it spent."""
    start = Usage()
    code()
    took = time.monotonic() - start.at
    spent = start.spent(took)
    assert spent is not None
    assert all(0 <= one <= took for one in spent)
    return took, spent


def compute(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@needs_schedstat
def test_a_thread_that_sleeps_is_blocked() -> None:
    _, spent = measured(lambda: time.sleep(0.1))
    assert spent.blocked > 0.05
    assert spent.computed < 0.05


@needs_schedstat
def test_a_thread_that_computes_is_not() -> None:
    _, spent = measured(lambda: compute(0.1))
    assert spent.computed > 0.05
    assert spent.blocked < 0.05


@needs_schedstat
def test_what_was_before_the_slice_does_not_count() -> None:
    start = Usage()
    compute(0.1)
    assert start.spent(0.0) == (0.0, 0.0, 0.0)


@needs_schedstat
def test_a_thread_that_waits_for_the_interpreter_beside_one_that_computes_is_not() -> None:
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            sum(range(100))

    def give_away() -> None:
        for _ in range(20):
            time.sleep(0)  # gives the interpreter away, and waits 5 ms to get it back

    neighbour = threading.Thread(target=run)
    neighbour.start()
    try:
        took, spent = measured(give_away)
    finally:
        over.set()
        neighbour.join()
    assert took > 0.05
    assert spent.blocked < took / 2


@pytest.mark.parametrize("file", ["/proc/absent", "/dev/null"])
def test_where_the_system_does_not_tell_nothing_is_made_up(
    monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    known = Usage()
    monkeypatch.setattr(usage, "SCHEDSTAT", file)
    assert known.spent(1.0) is None
    start = Usage()
    assert start.spent(1.0) is None
