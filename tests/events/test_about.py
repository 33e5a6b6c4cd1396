"""What a record of the log says of the event that runs."""

from __future__ import annotations

from typing import Any

import pytest
from support.driving import drive

from pluginserver.events.about import running
from pluginserver.events.habits import Habits
from pluginserver.pdk import kong


def test_outside_of_an_event_nothing_is_known() -> None:
    assert running() == {}


def test_in_a_handler_it_is_said_which_one() -> None:
    found: list[dict[str, Any]] = []
    drive(lambda: found.append(running()), phase="log")
    assert found == [{"plugin": "p", "phase": "log", "instance": 2, "event": 1}]


@pytest.mark.parametrize("others", [0, 1, 2])
@pytest.mark.parametrize("name", ["X-Kong-Request-Id", "x-kong-request-id"])
def test_the_id_of_the_request_is_known_when_its_header_was_read(others: int, name: str) -> None:
    found: list[Any] = []

    def handler() -> None:
        for number in range(others):
            kong.request.get_header(f"x-{number}")
        found.append(running().get("request"))
        kong.request.get_header(name)
        found.append(running().get("request"))

    calls, _, _ = drive(handler, [*("other" for _ in range(others)), "abc"], habits=Habits())
    assert found == [None, "abc"]
    assert len(calls) == others + 1


def test_it_is_known_when_all_headers_were_read_at_once() -> None:
    found: list[Any] = []
    habits = Habits()

    def handler() -> None:
        for name in ("x-a", "x-b", "x-c"):
            kong.request.get_header(name)
        found.append(running().get("request"))

    headers = {"x-a": ["1"], "x-b": ["2"], "x-c": ["3"], "x-kong-request-id": ["abc"]}

    names: list[str] = []
    while names != ["kong.request.get_headers"]:
        # Before the phase asks for all at once, each of the three gets the whole map: it only counts them.
        calls, _, _ = drive(handler, [headers] * 3, habits=habits)
        names = [method for method, _ in calls]
        assert len(found) < 1000
    assert found[-1] == "abc"
