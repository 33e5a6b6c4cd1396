"""What a slice did with its time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

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


@pytest.mark.parametrize(
    ("own", "waited", "process", "expected"),
    [
        (0.001, 0.0, 0.001, Spent(0.001, 0.007, 0.0)),  # it slept
        (0.008, 0.0, 0.008, Spent(0.008, 0.0, 0.0)),  # it computed
        (0.001, 0.0, 0.008, Spent(0.001, 0.0, 0.0)),  # another thread had the interpreter's lock
        (0.001, 0.007, 0.001, Spent(0.001, 0.0, 0.007)),  # other processes had the processors
        (0.002, 0.003, 0.004, Spent(0.002, 0.001, 0.003)),
        (0.004, 0.005, 0.020, Spent(0.004, 0.0, 0.005)),
    ],
)
def test_where_the_time_of_a_slice_went(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    own: float,
    waited: float,
    process: float,
    expected: Spent,
) -> None:
    file = tmp_path / "schedstat"
    monkeypatch.setattr(usage, "SCHEDSTAT", os.fsencode(file))

    def reads(at: float, own: float, waited: float, process: float) -> None:
        file.write_text(f"{round((7 + own) * 1e9)} {round((3 + waited) * 1e9)} 12\n")
        monkeypatch.setattr(usage, "monotonic", lambda: 1000 + at)
        monkeypatch.setattr(usage, "process_time", lambda: 20 + process)

    reads(0, 0, 0, 0)
    start = Usage()
    reads(0.008, own, waited, process)
    assert start.spent(0.008) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("file", [b"/proc/absent", b"/dev/null"])
def test_where_the_system_does_not_tell_nothing_is_made_up(
    monkeypatch: pytest.MonkeyPatch, file: bytes
) -> None:
    known = Usage()
    monkeypatch.setattr(usage, "SCHEDSTAT", file)
    assert known.spent(1.0) is None
    start = Usage()
    assert start.spent(1.0) is None
