"""Header lists: see pluginserver/testing/kong/headers.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginserver.spec.multimap import Headers as PluginHeaders
from pluginserver.spec.multimap import ReadHeaders
from pluginserver.testing import Headers

NAMES = st.text("abcXYZ-_", min_size=1)
VALUES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


def test_names_are_one_under_any_case_and_dash() -> None:
    headers = Headers({"X_Bar": "1", "x-BAR": "2"})
    assert headers["x-bar"] == "1"
    assert headers.all("X-Bar") == ["1", "2"]
    assert "X-bAr" in headers
    assert headers.lists() == {"x_bar": ["1"], "x-bar": ["2"]}


def test_setting_replaces_every_spelling() -> None:
    headers = Headers([("X_Bar", "1"), ("Other", "o"), ("x-bar", "2")])
    headers["X-BAR"] = "3"
    assert headers.pairs() == [("Other", "o"), ("X-BAR", "3")]


def test_lists_bytes_and_other_values() -> None:
    headers = Headers({"a": ["1", b"\xff"], "b": b"x"})
    headers.add("c", True)
    headers.add("d", False)
    headers.add("e", 5)
    assert headers.pairs() == [
        ("a", "1"), ("a", "\udcff"), ("b", "x"), ("c", "true"), ("d", "false"), ("e", "5"),
    ]  # fmt: skip


def test_line_breaks_are_escaped() -> None:
    headers = Headers({"x\r\ny": "a\nb"})
    assert headers.pairs() == [("x%0D%0Ay", "a%0Ab")]


def test_a_missing_header_says_what_there_is() -> None:
    with pytest.raises(KeyError, match="no header 'x-c'; there are: a, b"):
        Headers({"A": "1", "b": "2"})["x-c"]
    with pytest.raises(KeyError, match="none"):
        Headers()["x"]
    with pytest.raises(KeyError):
        del Headers()["x"]
    assert Headers().get("x") is None


def test_a_copy_stands_alone() -> None:
    one = Headers({"a": "1"})
    two = Headers(one)
    two["a"] = "2"
    del one["A"]
    assert one.pairs() == []
    assert two == {"a": "2"}
    assert two != one
    assert two != 3
    assert repr(two) == "Headers([('a', '2')])"


@pytest.mark.parametrize("kind", [Headers, PluginHeaders])
def test_a_plugin_and_a_test_ask_headers_in_the_same_way(
    kind: type[Headers] | type[PluginHeaders],
) -> None:
    headers: ReadHeaders = kind({"X_Bar": "1", "Multi": ["a", "b"]})
    assert headers["x-bar"] == headers.get("X-BAR") == "1"
    assert headers.all("multi") == headers.get_all("MULTI") == ["a", "b"]
    assert headers.all("other") == headers.get_all("other") == []
    assert headers.lists() == {"x_bar": ["1"], "multi": ["a", "b"]}
    assert [value for _, value in headers.pairs()] == ["1", "a", "b"]
    assert list(headers) == ["x_bar", "multi"]
    assert len(headers) == 2
    assert "x-bar" in headers
    assert "other" not in headers
    assert 5 not in headers


def test_headers_of_one_kind_are_taken_for_the_other() -> None:
    ours = Headers([("a", "1"), ("a", "2")])
    theirs = PluginHeaders({"a": ["1", "2"]})
    assert Headers(theirs) == ours
    assert PluginHeaders(ours) == theirs
    assert ours == theirs
    assert theirs == ours
    assert theirs != Headers({"a": "1"})


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_every_value_is_found_by_its_name(pairs: list[tuple[str, str]]) -> None:
    headers = Headers(pairs)
    assert headers.pairs() == pairs
    assert len(headers) == len(list(headers)) == len({name.lower() for name, _ in pairs})
    for name, value in pairs:
        assert value in headers.all(name.swapcase())
