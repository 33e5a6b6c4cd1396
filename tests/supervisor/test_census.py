"""What was counted in all members, for the one that was asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from pluginserver.supervisor.census import Census
from pluginserver.supervisor.loop import Loop
from pluginserver.supervisor.member import Member


class FakeMember:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def tell(self, *frame: Any) -> None:
        self.told.append(frame)

    @property
    def asked(self) -> int:
        """The number of the last question."""
        return int(next(frame[1] for frame in reversed(self.told) if frame[0] == "figures"))

    @property
    def answers(self) -> list[tuple[Any, ...]]:
        return [frame[1:] for frame in self.told if frame[0] == "whole"]


class FakeLoop:
    """Keeps what is to be done later."""

    def __init__(self) -> None:
        self.later_on: list[Callable[[], object]] = []

    def later(self, _seconds: float, function: Callable[[], object]) -> None:
        self.later_on.append(function)


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def members() -> list[FakeMember]:
    return [FakeMember(), FakeMember()]


@pytest.fixture
def census(loop: FakeLoop, members: list[FakeMember]) -> Census:
    return Census(cast(Loop, loop), lambda: cast("list[Member]", members), lambda: True)


def as_member(member: FakeMember) -> Member:
    return cast(Member, member)


def test_who_asked_gets_the_sum_once(census: Census, members: list[FakeMember]) -> None:
    first, second = members
    census.ask(as_member(first), 7)
    for member in (first, second):
        assert not first.answers
        census.answered(as_member(member), member.asked, {"connections": 2})
    census.answered(as_member(second), second.asked, {"connections": 9})
    assert first.answers == [(7, {"connections": 4, "ready": True})]
    assert not second.answers


def test_one_that_ends_is_not_waited_for(census: Census, members: list[FakeMember]) -> None:
    first, second = members
    census.ask(as_member(first), 7)
    census.answered(as_member(first), first.asked, {"connections": 2})
    census.gone(as_member(second))
    assert first.answers == [(7, {"connections": 2, "ready": True})]


def test_one_that_hangs_is_left_out_after_a_while(
    census: Census, loop: FakeLoop, members: list[FakeMember]
) -> None:
    first, second = members
    census.ask(as_member(first), 7)
    census.answered(as_member(first), first.asked, {"connections": 2})
    (overdue,) = loop.later_on
    overdue()
    census.answered(as_member(second), second.asked, {"connections": 9})
    assert first.answers == [(7, {"connections": 2, "ready": True})]


def test_questions_are_told_apart(census: Census, members: list[FakeMember]) -> None:
    first, second = members
    census.ask(as_member(first), 1)
    early = {member: member.asked for member in members}
    census.ask(as_member(second), 1)
    for member in members:
        census.answered(as_member(member), member.asked, {"connections": 1})
    assert not first.answers
    assert second.answers == [(1, {"connections": 2, "ready": True})]
    for member in members:
        census.answered(as_member(member), early[member], {"connections": 5})
    assert first.answers == [(1, {"connections": 10, "ready": True})]
