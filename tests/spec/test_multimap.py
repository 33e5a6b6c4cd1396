"""Headers and query arguments as mappings with several values for a name."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginserver.spec.multimap import Headers, Query

HEADERS = Headers({"Host": "a.org", "X-Many": ["1", "2"], "x_bar": ["b"]})


@pytest.mark.parametrize("name", ["host", "HOST", "Host"])
def test_headers_are_found_in_any_case(name: str) -> None:
    assert HEADERS[name] == "a.org"
    assert name in HEADERS
    assert HEADERS.get(name) == "a.org"


@pytest.mark.parametrize("name", ["x_many", "X-Many", "X_MANY"])
def test_dash_and_underscore_are_one(name: str) -> None:
    assert HEADERS.get_all(name) == ["1", "2"]


@pytest.mark.parametrize("name", ["x-bar", "X_BAR"])
def test_a_header_sent_with_an_underscore_is_found(name: str) -> None:
    assert HEADERS[name] == "b"


def test_one_header_under_both_spellings() -> None:
    headers = Headers({"x_a": "under", "x-a": "dash"})
    assert (headers["x_a"], headers["X-A"]) == ("under", "dash")


def test_what_is_not_there() -> None:
    with pytest.raises(KeyError, match="nothing"):
        HEADERS["nothing"]
    assert HEADERS.get("nothing") is None
    assert HEADERS.get("nothing", "default") == "default"
    assert HEADERS.get_all("nothing") == []
    assert "nothing" not in HEADERS
    assert 5 not in HEADERS


def test_headers_as_a_mapping() -> None:
    assert isinstance(HEADERS, Mapping)
    assert len(HEADERS) == 3
    assert list(HEADERS) == ["host", "x-many", "x_bar"]
    assert dict(HEADERS) == {"host": "a.org", "x-many": "1", "x_bar": "b"}
    assert {**HEADERS, "more": "m"}["more"] == "m"
    assert HEADERS == {"host": "a.org", "x-many": "1", "x_bar": "b"}
    assert HEADERS != {"host": "b.org"}
    assert HEADERS != 5


def test_all_values() -> None:
    assert HEADERS.lists() == {"host": ["a.org"], "x-many": ["1", "2"], "x_bar": ["b"]}
    assert HEADERS.pairs() == [
        ("host", "a.org"),
        ("x-many", "1"),
        ("x-many", "2"),
        ("x_bar", "b"),
    ]
    assert repr(HEADERS) == "Headers({'host': ['a.org'], 'x-many': ['1', '2'], 'x_bar': ['b']})"


def test_what_is_given_out_is_a_copy() -> None:
    HEADERS.get_all("x-many").append("3")
    HEADERS.lists()["x-many"].append("3")
    assert HEADERS.get_all("x-many") == ["1", "2"]


def test_equal_when_every_value_is() -> None:
    assert Headers({"a": ["1", "2"]}) == Headers([("A", "1"), ("a", "2")])
    assert Headers({"a": ["1", "2"]}) != Headers({"a": "1"})
    with pytest.raises(TypeError, match="unhashable"):
        hash(HEADERS)


def test_a_copy_of_another() -> None:
    assert Headers(HEADERS) == HEADERS


def test_an_argument_without_a_value_is_true() -> None:
    query = Query({"a": ["1", "2"], "b": [], "c": [""]})
    assert query.lists() == {"a": ["1", "2"], "b": [True], "c": [""]}
    assert query["b"] is True


def test_the_case_of_an_argument_counts() -> None:
    query = Query({"a": ["1"], "A": ["2"], "x_y": ["3"]})
    assert (query["a"], query["A"]) == ("1", "2")
    assert "x-y" not in query
    with pytest.raises(KeyError):
        query["X_Y"]


def test_an_empty_header() -> None:
    assert Headers({"a": []}) == Headers({"a": ""})
    assert not Headers()


@given(st.dictionaries(st.text("abAB_-", min_size=1), st.lists(st.text(), min_size=1)))
def test_no_value_is_lost(lists: dict[str, list[str]]) -> None:
    query = Query(lists)
    assert query.lists() == lists
    headers = Headers(lists)
    assert len(headers.pairs()) == sum(map(len, lists.values()))
    for name, values in lists.items():
        assert set(values) <= set(headers.get_all(name))
        assert headers[name.swapcase()] == headers[name]
