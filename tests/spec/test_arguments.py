"""Arguments of queries and forms."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginserver.spec import arguments

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(st.dictionaries(NAMES, st.one_of(NAMES, st.just(""), st.just(True))))
def test_what_is_encoded_is_decoded(args: dict[str, str]) -> None:
    assert arguments.decode(arguments.encode(args), 1000) == args
    assert arguments.decode(arguments.ordered(args), 1000) == args


def test_a_limit_and_several_values() -> None:
    assert arguments.decode("a=1&a&b=2", 2) == {"a": ["1", True]}
    assert arguments.decode("a=1&a&a=2&=x", 9) == {"a": ["1", True, "2"]}


def test_the_order_is_that_of_what_is_encoded() -> None:
    args = {"b": 1, "a": ["z", None, False, True], "A": b"\xe9", "none": False}
    assert arguments.ordered(args) == "A=%E9&a=z&a&b=1"


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("a=0&d=1&a=2&c=3&a=4&b=5&a=6&d=7&a=8", "d=1&c=3&b=5&d=7"),
        (
            "a=0&c+d=1+2&a=2&c%20d=3%20&a=4&b+d=5&%20a+=6+%20+&+%20+d=+%20+7%20++&a=8",
            "c%20d=1%202&c%20d=3%20&b%20d=5&%20a%20=6%20%20%20&%20%20%20d=%20%20%207%20%20%20",
        ),
        ("?a=1&b", "b="),
        ("%61=1", ""),
        ("b=%zz&c=%e9", "b=%25zz&c=%E9"),
    ],
)
def test_a_query_without_an_argument_as_kongs_own_tests_have_it(query: str, left: str) -> None:
    assert arguments.without(query, "a") == left


@given(st.lists(st.tuples(NAMES, NAMES)), NAMES)
def test_the_others_stay(pairs: list[tuple[str, str]], name: str) -> None:
    query = "&".join(arguments.encode({key: value}) for key, value in pairs)
    left = parse_qsl(arguments.without(query, name), keep_blank_values=True)
    assert left == [pair for pair in pairs if pair[0] != name]
