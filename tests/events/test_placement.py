"""When a phase counts as blocking."""

from __future__ import annotations

from pluginserver.events.placement import (
    FIRST_PROBATION,
    LAST_PROBATION,
    STRIKES,
    WINDOW,
    Pace,
)


def fast_events(pace: Pace, count: int) -> None:
    for _ in range(count):
        pace.ended_on_worker(slow=False)


def test_a_phase_is_inline_after_a_row_of_fast_events() -> None:
    pace = Pace()
    fast_events(pace, FIRST_PROBATION - 1)
    assert pace.blocking
    fast_events(pace, 1)
    assert not pace.blocking


def test_a_slow_event_begins_the_row_again() -> None:
    pace = Pace()
    fast_events(pace, FIRST_PROBATION - 1)
    pace.ended_on_worker(slow=True)
    fast_events(pace, FIRST_PROBATION - 1)
    assert pace.blocking


def test_strikes_make_it_blocking() -> None:
    pace = Pace()
    fast_events(pace, FIRST_PROBATION)
    for number in range(STRIKES):
        assert not pace.blocking
        pace.slow_inline(100.0 + number)
    assert pace.blocking


def test_strikes_that_are_far_apart_do_not() -> None:
    pace = Pace()
    fast_events(pace, FIRST_PROBATION)
    for number in range(10 * STRIKES):
        pace.slow_inline(number * WINDOW)
    assert not pace.blocking


def test_each_probation_is_twice_as_long_up_to_a_limit() -> None:
    pace = Pace()
    probation = FIRST_PROBATION
    while probation < 4 * LAST_PROBATION:
        pace.block()
        length = min(probation, LAST_PROBATION)
        fast_events(pace, length - 1)
        assert pace.blocking
        fast_events(pace, 1)
        assert not pace.blocking
        probation *= 2
