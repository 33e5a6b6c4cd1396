"""What the process beside a server reads of the stacks that are written."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pluginserver.runtime import frozen
from pluginserver.runtime.frozen import dumped

ONE = b"Thread 0x00007f11 [pluginserver-1] (most recent call first):\n  File one\n\n"
TWO = b"Current thread 0x00007f22 (most recent call first):\n  File two\n"


class Clock:
    """A clock that only goes on for who sleeps."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture
def stacks() -> Iterator[int]:
    number = os.memfd_create("stacks")
    yield number
    os.close(number)


@pytest.mark.parametrize(
    "pieces",
    [
        (ONE + TWO, ONE + TWO),
        (b"", ONE, b"", TWO[:30], TWO[30:], ONE[:30]),
        (ONE, TWO, ONE.replace(b"Thread", b"Current thread") + TWO.replace(b"Current t", b"T")),
    ],
)
def test_who_is_kept_from_writing_the_stacks_is_waited_for(
    stacks: int, pieces: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "DUMP_LOOK", 0.001)
    rest = iter(pieces)
    assert dumped(stacks, lambda: os.write(stacks, next(rest)) and None) == ONE + TWO
    assert list(rest) == []


def test_what_is_not_told_twice_in_time_is_all_there_is(
    stacks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "time", Clock())
    pieces = iter((ONE, TWO))
    assert dumped(stacks, lambda: os.write(stacks, next(pieces, b"")) and None) == ONE + TWO
