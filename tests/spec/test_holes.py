"""How many arguments arrive when some are None: what was seen, row by row."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.holes import SEEN_ON_LUAJIT

from pluginserver.spec.holes import border


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([None, {"id": "c"}], 2),
        ([1, None, "x"], 1),
        ([None, None, "x"], 0),
        ([None, "x", "y"], 3),
        ([1, None, "x", "y"], 4),
        ([1, 2, None, "x"], 4),
    ],
)
def test_what_was_seen_on_kong(values: list[Any], count: int) -> None:
    assert border(values) == count


@pytest.mark.parametrize(("pattern", "count"), SEEN_ON_LUAJIT.items())
def test_what_was_seen_on_luajit(pattern: str, count: int) -> None:
    assert border([None if letter == "_" else 1 for letter in pattern]) == count


@given(st.lists(st.none() | st.just(1)))
def test_the_border_is_a_length_that_lua_allows(values: list[Any]) -> None:
    end = border(values)
    assert end == 0 or values[end - 1] is not None
    assert end == len(values) or values[end] is None


@pytest.mark.parametrize(
    ("values", "count"),
    [([], 0), ([None], 0), ([1, None, None], 1), ([False, 0, ""], 3), (["a"] * 100, 100)],
)
def test_nones_at_the_end_cut_nothing_off(values: list[Any], count: int) -> None:
    assert border(values) == count
