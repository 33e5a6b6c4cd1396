"""When a phase counts as blocking."""

from __future__ import annotations

from pluginserver.events.placement import (
    FIRST_TRIAL,
    LAST_TRIAL,
    STRIKES,
    WINDOW,
    Placement,
)


def fast_events(placement: Placement, count: int) -> None:
    for _ in range(count):
        placement.ended_on_worker(slow=False)


def test_a_phase_is_inline_after_a_row_of_fast_events() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL - 1)
    assert not placement.inline
    fast_events(placement, 1)
    assert placement.inline


def test_a_slow_event_begins_the_row_again() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL - 1)
    placement.ended_on_worker(slow=True)
    fast_events(placement, FIRST_TRIAL - 1)
    assert not placement.inline


def test_strikes_make_it_blocking() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL)
    for number in range(STRIKES):
        assert placement.inline
        placement.slow_inline(100.0 + number)
    assert not placement.inline


def test_strikes_that_are_far_apart_do_not() -> None:
    placement = Placement()
    fast_events(placement, FIRST_TRIAL)
    for number in range(10 * STRIKES):
        placement.slow_inline(number * WINDOW)
    assert placement.inline


def test_each_probation_is_twice_as_long_up_to_a_limit() -> None:
    placement = Placement()
    probation = FIRST_TRIAL
    while probation < 4 * LAST_TRIAL:
        placement.blocked()
        length = min(probation, LAST_TRIAL)
        fast_events(placement, length - 1)
        assert not placement.inline
        fast_events(placement, 1)
        assert placement.inline
        probation *= 2
