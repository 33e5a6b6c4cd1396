"""How many arguments arrive when some are None: what was seen, row by row."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from pluginserver.spec.holes import RECEIVED, received

SEEN_ON_KONG = [
    ([None, {"id": "c"}], 2),
    ([1, None, "x"], 1),
    ([None, None, "x"], 0),
    ([None, "x", "y"], 3),
    ([1, None, "x", "y"], 4),
    ([1, 2, None, "x"], 4),
]


@pytest.mark.parametrize(("values", "count"), SEEN_ON_KONG)
def test_what_was_seen_on_kong(values: list[Any], count: int) -> None:
    assert received(values) == count


def test_each_call_of_up_to_five_arguments_is_known() -> None:
    calls = {
        "".join(places) + "x"
        for length in range(1, 5)
        for places in product("_x", repeat=length)
        if "_" in places
    }
    assert set(RECEIVED) == calls


@pytest.mark.parametrize("pattern", RECEIVED)
def test_a_call_is_cut_only_before_a_none(pattern: str) -> None:
    """The length of a Lua table is a place that nil follows, or its end."""
    count = RECEIVED[pattern]
    assert f"{pattern}_"[count] == "_"
    assert count == 0 or pattern[count - 1] == "x"


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([], 0),
        ([None], 0),
        ([1, None, None], 1),
        ([None, 1, None], 2),
        ([False, 0, ""], 3),
        ([1, 2, 3, 4, 5, 6, 7], 7),
        ([1, 2, None, 4, 5, 6], 2),
    ],
)
def test_trailing_nones_and_long_calls(values: list[Any], count: int) -> None:
    assert received(values) == count
