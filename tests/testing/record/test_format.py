"""Values as people read them."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginserver.testing.record.format import (
    BODY,
    body,
    literal,
    plain,
    round_trips,
    short,
    size,
    took,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a'b", '"a\'b"'),
        ("caf\udce9", r"'caf\xe9'"),
        (b"\xff", r"b'\xff'"),
        ("a" * 200, "'" + "a" * 160 + "' … 40 more"),
        (b"a" * 2000, "b'" + "a" * 160 + "' … 1,840 more"),
        ({"a": [1, None], 2: True}, "{'a': [1, None], 2: True}"),
        (("a", 1.5), "['a', 1.5]"),
        ([], "[]"),
        (list(range(1000)), None),
        ({str(n): "x" * 100 for n in range(9)}, None),
        (10**200, None),
    ],
)
def test_literals(value: Any, text: str | None) -> None:
    shown = literal(value)
    if text is None:
        assert "…" in shown
        assert len(shown) < 500
    else:
        assert shown == text


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5))
def test_short_values_are_written_as_python_reads_them(value: Any) -> None:
    assert ast.literal_eval(literal(value, 10_000)) == value


@given(st.text(st.characters()), st.integers(1, 50))
def test_plain_text_holds_nothing_that_moves_a_cursor(text: str, limit: int) -> None:
    shown = plain(text, limit)
    shown.encode()
    assert not any(ord(letter) < 32 and letter not in "\t\n" for letter in shown)
    assert not set(shown) & set("\x7f\x9b\u202e\u2066")


def test_plain_text_is_cut() -> None:
    assert plain("abcdef", 4) == "abcd … 2 more"
    assert plain("caf\udce9 \x1b[31m \ud800") == r"caf\xe9 \x1b[31m \ud800"


@given(st.binary(max_size=600))
def test_any_body_can_be_shown(data: bytes) -> None:
    shown = body(data)
    shown.encode()
    assert bool(shown) is bool(data)


def test_a_body_of_text_is_shown_as_it_is() -> None:
    assert body("grüße\n".encode()) == "grüße\n"


def test_a_long_body_is_cut_even_within_a_letter() -> None:
    shown = body("é".encode() * BODY)
    assert shown.endswith(" more")
    assert shown.startswith("é" * (BODY // 2))
    shown = body(b"a" * (BODY + 1))
    assert shown == "a" * BODY + "\n… 1 byte more"
    shown = body(b"a" * (BODY - 1) + "€".encode() * 10)
    assert shown.startswith("a" * (BODY - 1))
    assert " more" in shown


def test_other_bytes_are_a_table() -> None:
    lines = body(bytes(range(32)) + b"text" * 200).splitlines()
    assert lines[0] == ("0000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  ................")
    assert lines[2].endswith("texttexttexttext")
    assert lines[-1] == "… 576 bytes more"
    assert body(b"\xff\xfe").startswith("0000  ff fe")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 ms"),
        (0.00123, "1.23 ms"),
        (0.0456, "45.6 ms"),
        (0.789, "789 ms"),
        (1.5, "1.50 s"),
    ],
)
def test_times(seconds: float, text: str) -> None:
    assert took(seconds) == text


def test_round_trips() -> None:
    assert [round_trips(0), round_trips(1), round_trips(2)] == [
        "0 round trips",
        "1 round trip",
        "2 round trips",
    ]


def test_a_short_value_has_room_for_the_mark_of_its_cut() -> None:
    assert short("a" * 58) == repr("a" * 58)
    assert short("a" * 59) == "'" + "a" * 58 + "…"
    assert short([1, 2, 3], 5) == "[1, …"


def test_sizes() -> None:
    assert [size(0), size(1), size(12345)] == ["0 bytes", "1 byte", "12,345 bytes"]
