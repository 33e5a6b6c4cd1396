"""When a phase shares the leader's thread, and what ends that."""

from __future__ import annotations

from types import FrameType
from typing import Any

from pluginserver.events.placement import (
    BLOCKED,
    FIRST_TRIAL,
    FORGIVEN,
    LAST_TRIAL,
    REMEMBERED,
    STRIKES,
    WINDOW,
    Placement,
)
from pluginserver.logs import Logger
from pluginserver.runtime.usage import Spent

COMPUTED = Spent(0.008, 0.0, 0.0)
WAITED_ELSEWHERE = Spent(0.0, 1.5 * BLOCKED, 0.0)
STARVED = Spent(0.001, 0.001, 0.05)


class Judge:
    """A judge whose findings a test sets."""

    def __init__(self) -> None:
        self.found: str | None = None
        self.holding: str | None = None
        self.asked = 0

    def reason(self) -> str | None:
        self.asked += 1
        return self.found

    def held(self, _frame: FrameType | None) -> str | None:
        return self.holding


class Told(Logger):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def info(self, message: str, /, **_fields: Any) -> None:
        self.lines.append(message)


def fast_events(placement: Placement, count: int, now: float = 0.0) -> None:
    for _ in range(count):
        placement.ended_on_worker(False, now)


def length_of_trial(placement: Placement, now: float = 0.0) -> int:
    """How many fast events make it inline."""
    count = 0
    while not placement.inline:
        placement.ended_on_worker(False, now)
        count += 1
        assert count <= LAST_TRIAL
    return count


def test_a_phase_is_inline_after_a_row_of_fast_events() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL - 1)
    assert not placement.inline
    assert placement.name == "trial"
    fast_events(placement, 1)
    assert placement.inline
    assert placement.name == "shared"
    assert f"{FIRST_TRIAL} events in a row were quick" in placement.reason


def test_a_slow_event_begins_the_row_again() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL - 1)
    placement.ended_on_worker(True, 0.0)
    fast_events(placement, FIRST_TRIAL - 1)
    assert not placement.inline


def test_the_source_is_asked_once_and_only_when_the_trial_is_passed() -> None:
    judge = Judge()
    placement = Placement(judge=judge)
    fast_events(placement, FIRST_TRIAL - 1)
    assert judge.asked == 0
    fast_events(placement, 100)
    assert judge.asked == 1
    assert placement.inline


def test_what_the_source_says_is_final() -> None:
    judge = Judge()
    judge.found = "threading.local (p.py:3)"
    placement = Placement(judge=judge)
    fast_events(placement, 10 * LAST_TRIAL)
    assert not placement.inline
    assert not placement.open
    assert judge.asked == 1
    assert (placement.name, placement.reason) == ("own", "threading.local (p.py:3)")


def test_what_is_held_at_a_callback_is_final_even_when_the_phase_is_inline_by_then() -> None:
    judge = Judge()
    placement = Placement(judge=judge)
    placement.look(None)
    fast_events(placement, FIRST_TRIAL)
    assert placement.inline
    judge.holding = "a lock (p.py:3)"
    placement.look(None)
    assert not placement.inline
    fast_events(placement, 10 * LAST_TRIAL)
    assert (placement.name, placement.reason) == ("own", "a lock (p.py:3)")


def test_slow_slices_end_it_for_a_trial() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL)
    for number in range(STRIKES):
        assert placement.inline
        placement.slow_inline(100.0 + number, COMPUTED)
    assert placement.name == "trial"
    assert "slow" in placement.reason


def test_slow_slices_that_are_far_apart_do_not() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL)
    for number in range(10 * STRIKES):
        placement.slow_inline(number * WINDOW, None)
    assert placement.inline


def test_slices_whose_time_is_not_known_count_as_slow() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL)
    for _ in range(STRIKES):
        placement.slow_inline(0.0, None)
    assert placement.name == "trial"


def test_slices_that_waited_for_a_processor_are_not_slow() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL)
    for _ in range(10 * STRIKES):
        placement.slow_inline(0.0, STARVED)
    assert placement.inline


def test_a_leader_that_was_replaced_for_want_of_a_processor_is_forgiven() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL)
    reason = placement.reason
    placement.replaced(0.0)
    assert not placement.inline
    placement.slow_inline(0.0, STARVED)
    assert (placement.name, placement.reason) == ("shared", reason)
    placement.replaced(0.0)
    placement.slow_inline(0.0, COMPUTED)
    assert placement.name == "trial"
    assert length_of_trial(placement) == 2 * FIRST_TRIAL


def test_slices_that_blocked_end_it_for_good() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL)
    for number in range(STRIKES):
        assert placement.inline
        placement.slow_inline(number * 2 * WINDOW, WAITED_ELSEWHERE)
    assert placement.name == "own"
    assert "blocked" in placement.reason
    fast_events(placement, 2 * LAST_TRIAL)
    assert not placement.inline


def test_slices_that_blocked_hours_apart_do_not() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL)
    for number in range(10 * STRIKES):
        placement.slow_inline(number * REMEMBERED, WAITED_ELSEWHERE)
    assert placement.inline


def test_a_replaced_leader_ends_it_for_a_trial_at_once() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL)
    placement.replaced(1.0)
    assert placement.name == "trial"


def test_trials_double_up_to_a_limit_and_shrink_again() -> None:
    placement = Placement()
    expected = FIRST_TRIAL
    now = 0.0
    while expected < 4 * LAST_TRIAL:
        assert length_of_trial(placement, now) == min(expected, LAST_TRIAL)
        placement.replaced(now)
        expected *= 2
    assert length_of_trial(placement, now) == LAST_TRIAL
    now += 3 * FORGIVEN
    placement.replaced(now)
    assert length_of_trial(placement, now) == LAST_TRIAL // 4
    now += 1000 * FORGIVEN
    placement.replaced(now)
    assert length_of_trial(placement, now) == FIRST_TRIAL


def test_a_plugin_may_choose_threads_of_its_own() -> None:
    placement = Placement("own")
    fast_events(placement, 2 * LAST_TRIAL)
    assert (placement.name, placement.inline, placement.open) == ("own", False, False)
    assert placement.reason == 'the plugin says threads = "own"'


def test_a_plugin_may_choose_to_share_and_is_judged_by_its_stuck_slices_alone() -> None:
    judge = Judge()
    judge.found = judge.holding = "a lock (p.py:3)"
    placement = Placement("shared", judge)
    assert placement.inline
    placement.look(None)
    for _ in range(10 * STRIKES):
        placement.slow_inline(0.0, WAITED_ELSEWHERE)
    assert (placement.name, placement.reason) == ("shared", 'the plugin says threads = "shared"')
    for _ in range(STRIKES):
        assert placement.inline
        placement.replaced(0.0)
    assert placement.name == "trial"
    fast_events(placement, LAST_TRIAL)
    assert placement.inline
    assert judge.asked == 0


def test_each_decision_is_a_line_and_one_that_comes_again_is_not() -> None:
    judge, told = Judge(), Told()
    placement = Placement(None, judge, told)
    for _ in range(5):
        length_of_trial(placement)
        placement.replaced(0.0)
    judge.found = "threading.local (p.py:3)"
    fast_events(placement, LAST_TRIAL)
    lines = told.lines
    assert len(lines) == 3
    assert "its events share a thread: 32 events in a row were quick" in lines[0]
    assert "the leader had to be replaced" in lines[1]
    assert "each of its events has a thread of its own: threading.local (p.py:3)" in lines[2]
