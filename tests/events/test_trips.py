"""Fewer round trips, call by call: which calls travel, in which order, and what the handler gets."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.driving import Calls, drive

from pluginserver import Kong, kong
from pluginserver.errors import PDKError
from pluginserver.events import trips
from pluginserver.events.callbacks import callback, current
from pluginserver.events.habits import AGAIN, FEW, SOME, Habit, Habits
from pluginserver.runtime.interrupts import Cancelled

GET, SET = "kong.request.get_header", "kong.response.set_header"
ALL = "kong.request.get_headers"
HEADERS = {"host": ["example.com"], "accept": ["a", "b"], "x-a": ["1"], "x_b": ["2"]}


def played(handler: Callable[[], object], *answers: Any, habits: Habits | None = None) -> Calls:
    """The calls that travel."""
    calls, _, failures = drive(handler, answers, habits=habits or Habits())
    assert not failures
    return calls


def used_to(*handlers: Callable[[], object]) -> Habits:
    """What is known of a phase whose events have long done that."""
    habits = Habits()
    for _ in range(6):
        for handler in handlers:
            drive(handler, ["v"] * 9, habits=habits)
    return habits


def reads() -> None:
    kong.request.get_header("host")
    kong.request.get_header("x-a")


def reads_three() -> None:
    reads()
    kong.request.get_header("x-b")


def sets() -> None:
    kong.response.set_header("x-a", "1")
    kong.response.set_header("x-b", "2")


def sets_for_service() -> None:
    kong.service.request.set_header("x-a", "1")
    kong.service.request.set_header("x-b", "2")


def test_an_answer_is_asked_for_once_until_something_may_have_changed_it() -> None:
    seen = []

    def handler() -> None:
        for _ in range(2):
            seen.append((kong.request.get_method(), kong.request.get_path()))
        kong.response.set_header("x-a", "1")
        seen.append((kong.request.get_method(),))
        kong.service.request.set_method("PUT")
        seen.append((kong.request.get_method(), kong.request.get_path()))

    calls = played(handler, "GET", "/a", None, None, "PUT", "/b")
    assert [name.rpartition(".")[2] for name, _ in calls] == [
        *("get_method", "get_path", "set_header", "set_method", "get_method", "get_path"),
    ]
    assert seen == [("GET", "/a"), ("GET", "/a"), ("GET",), ("PUT", "/b")]


def test_nil_is_an_answer_too() -> None:
    def handler() -> None:
        assert kong.request.get_header("x-a") is None
        assert kong.request.get_header("x-a") is None

    assert played(handler) == [(GET, ("x-a",))]


def test_an_error_is_not_remembered() -> None:
    def handler() -> None:
        with pytest.raises(PDKError):
            kong.request.get_method()
        assert kong.request.get_method() == "GET"

    assert len(played(handler, PDKError("broken"), "GET")) == 2


def test_arguments_of_other_types_are_others_to_lua() -> None:
    def handler() -> None:
        for limit in (1, 1.0, True, 1):
            callback("kong.request.get_headers", limit)
        for name in (["x"], ["x"]):
            callback(GET, name)

    assert len(played(handler)) == 5


def test_each_call_gets_an_object_of_its_own() -> None:
    def handler() -> None:
        first = kong.call("kong.request.get_headers", 1000)
        first["host"].append("spoilt")
        assert kong.call("kong.request.get_headers", 1000) == {"host": ["h"]}

    assert len(played(handler, {"host": ["h"]})) == 1


def test_no_more_is_remembered_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trips, "KEPT", 2)

    def handler() -> None:
        for _ in range(2):
            for name in "abc":
                kong.response.get_header(name)

    calls, _, failures = drive(handler, phase="response", habits=Habits())
    assert not failures
    assert [args[0] for _, args in calls] == ["a", "b", "c", "c"]


@pytest.mark.parametrize("handler", [sets, sets_for_service])
def test_headers_travel_together_in_a_phase_that_sets_several(
    handler: Callable[[], object],
) -> None:
    namespace = "kong.response" if handler is sets else "kong.service.request"
    habits = Habits()
    assert [name for name, _ in played(handler, habits=habits)] == [f"{namespace}.set_header"] * 2
    habits = used_to(handler)
    assert played(handler, habits=habits) == [
        (f"{namespace}.set_headers", ({"x-a": "1", "x-b": "2"},))
    ]


def test_a_phase_that_sets_one_header_sends_it_at_once() -> None:
    def handler() -> None:
        kong.response.set_header("x-a", "1")
        sent.append(True)

    sent: list[bool] = []
    habits = used_to(handler)
    assert played(handler, habits=habits) == [(SET, ("x-a", "1"))]
    assert not any(habit.several for habit in habits)


def test_a_header_goes_before_whatever_travels_next() -> None:
    def handler(last: Callable[[], object]) -> None:
        kong.response.set_header("x-a", "1")
        last()

    habits = used_to(sets)
    for last, then in (
        (kong.request.get_method, "kong.request.get_method"),
        (lambda: kong.log.err("x"), "kong.log.err"),
        (lambda: kong.service.request.set_header("x-b", "2"), "kong.service.request.set_header"),
        (lambda: kong.call("kong.not.there"), "kong.not.there"),
        (lambda: kong.response.clear_header("x-b"), "kong.response.clear_header"),
    ):
        calls = played(lambda last=last: handler(last), habits=habits)  # type: ignore[misc]
        assert [name for name, _ in calls] == [SET, then]
    calls, outcome, _ = drive(lambda: handler(lambda: kong.response.exit(403)), habits=habits)
    assert calls == [(SET, ("x-a", "1"))]
    assert outcome.call is not None and outcome.call[0] == "kong.response.exit"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("x-a", "1"), ("X_A", "2")),
        (("x-a", "1"), ("x-a", "2")),
        (("x-a", "1"), ("x.b", "2")),
        (("x-a", "1"), ("transfer-encoding", "chunked")),
        (("x-a", "1"), ("host", ["a", "b"])),
        (("x-a", "1"), ("x-b", [])),
    ],
)
def test_what_must_not_travel_together_does_not(one: Any, other: Any) -> None:
    def handler() -> None:
        callback(SET, *one)
        callback(SET, *other)

    assert played(handler, habits=used_to(sets)) == [(SET, one), (SET, other)]


def test_a_batch_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trips, "BATCH", 2)

    def handler() -> None:
        for name in ("x-a", "x-b", "x-c"):
            kong.response.set_header(name, "1")

    calls = played(handler, habits=used_to(sets))
    assert [len(args[0]) if len(args) == 1 else 1 for _, args in calls] == [2, 1]


def test_what_kong_refuses_raises_where_it_is_sent() -> None:
    def handler() -> None:
        sets()
        with pytest.raises(PDKError, match="refused"):
            kong.request.get_method()

    assert len(played(handler, PDKError("refused"), habits=used_to(sets))) == 1
    _, outcome, failures = drive(sets, [PDKError("refused")], habits=used_to(sets))
    assert outcome.call is not None and outcome.call[0] == "kong.response.error"
    assert [str(error) for error in failures] == ["refused"]


def test_an_interrupted_handler_drops_what_it_has_not_sent() -> None:
    def handler() -> None:
        kong.response.set_header("x-a", "1")
        raise Cancelled("late")

    calls, outcome, _ = drive(handler, habits=used_to(sets))
    assert calls == []
    assert outcome.call is not None and outcome.call[0] == "kong.response.error"


def test_a_handler_that_raises_has_done_what_it_did() -> None:
    def handler() -> None:
        kong.response.set_header("x-a", "1")
        raise RuntimeError("broken")

    calls, _, failures = drive(handler, habits=used_to(sets))
    assert [name for name, _ in calls] == [SET, "kong.log.err"]
    assert len(failures) == 1


def test_all_headers_are_asked_for_at_once_in_a_phase_that_reads_several() -> None:
    seen = []

    def handler() -> None:
        seen.extend(kong.request.get_header(name) for name in ("HOST", "x-a", "X-B", "absent"))

    habits = used_to(reads)
    calls = played(handler, HEADERS, None, habits=habits)
    assert calls == [(ALL, (1000,)), (GET, ("absent",))]
    assert seen == ["example.com", "1", "2", None]


def test_a_header_that_came_twice_is_kongs_to_tell() -> None:
    def handler() -> None:
        kong.request.get_header("host")
        assert kong.request.get_header("accept") == "Kong's"

    calls = played(handler, HEADERS, "Kong's", habits=used_to(reads))
    assert calls == [(ALL, (1000,)), (GET, ("accept",))]


def test_a_map_that_may_have_been_cut_off_answers_nothing() -> None:
    many = {f"x-{number}": ["v"] for number in range(901)}

    def handler() -> None:
        kong.request.get_header("x-1")

    calls = played(handler, many, "v", habits=used_to(reads))
    assert [name for name, _ in calls] == [ALL, GET]


def test_where_kong_refuses_all_of_them_each_is_asked_for() -> None:
    seen = []

    def handler() -> None:
        seen.append(kong.request.get_header("host"))

    habits = used_to(reads)
    assert [name for name, _ in played(handler, PDKError("no"), "h", habits=habits)] == [ALL, GET]
    assert [name for name, _ in played(handler, "h", habits=habits)] == [GET]
    assert seen == ["h", "h"]


def test_a_long_slice_has_each_call_travel() -> None:
    def handler() -> None:
        event = current()
        kong.request.get_method()
        event.owner = cast(Any, SimpleNamespace(began=monotonic() - trips.LONG - 1))
        kong.request.get_method()
        sets()
        event.owner = None

    calls = played(handler, habits=used_to(sets))
    assert [name.rpartition(".")[2] for name, _ in calls] == [
        *("get_method", "get_method", "set_header", "set_header"),
    ]


def test_a_plain_handler_has_each_call_travel() -> None:
    def handler(_kong: Kong = kong) -> None:
        for _ in range(2):
            reads_three()
            sets()

    calls, _, failures = drive(handler)
    assert not failures
    assert len(calls) == 10


def times(habit: Habit, number: int, several: int) -> list[bool]:
    """What a habit says in so many events of which each has so many."""
    said = []
    for _ in range(number):
        said.append(habit.several > 0 and habit.begin())
        if several > 1:
            habit.second()
        if several > 2:
            habit.third()
    return said


def test_a_habit_is_believed_after_six_events_and_forgotten_within_two_hundred() -> None:
    habit = Habit()
    assert times(habit, 9, 2) == [False] * 6 + [True] * 3
    times(habit, 1000, 2)
    assert times(habit, 200, 1)[-1] is False
    assert times(habit, 200, 2)[-1] is True
    times(habit, 3000, 1)
    assert habit.several == 0.0


def test_events_that_overlap_do_not_take_a_habit_from_one_another() -> None:
    habit = Habit()
    times(habit, 1000, 3)
    habit.fetched(SOME)
    for _ in range(10):
        assert all(habit.begin() for _ in range(64))
        for _ in range(64):
            habit.second()
            habit.third()


@pytest.mark.parametrize(
    ("size", "several", "asks"),
    [
        (FEW, 2, True),
        (FEW + 1, 2, False),
        (FEW + 1, 3, True),
        (SOME, 3, True),
        (SOME + 1, 3, False),
    ],
)
def test_how_many_there_are_decides_whether_all_are_asked_for(
    size: int, several: int, asks: bool
) -> None:
    habit = Habit()
    times(habit, 20, several)
    habit.fetched(size)
    assert habit.begin() is asks


def test_what_costs_more_at_once_is_never_asked_for_at_once() -> None:
    habits = Habits().one_by_one
    for _ in range(8):
        assert [name for name, _ in played(reads, "a", "b", habits=habits)] == [GET, GET]
    for _ in range(8):
        calls = played(sets, habits=habits)
    assert [name for name, _ in calls] == ["kong.response.set_headers"]


def test_where_there_were_too_many_one_event_in_so_many_tries_again() -> None:
    habit = Habit()
    times(habit, 20, 3)
    habit.refused()
    assert sum(times(habit, 3 * AGAIN, 3)) == 3
