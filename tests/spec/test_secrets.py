"""Values and texts without their secrets."""

from __future__ import annotations

from typing import Any

import pytest

from pluginserver.spec.secrets import MASK, concealed, masked, secrets_in

TEXT = {"type": "string"}
HIDDEN = {"type": "string", "encrypted": True}
RECORD = {"type": "record", "fields": [{"a": TEXT}, {"b": HIDDEN}]}
LIST = {"type": "array", "elements": RECORD}


@pytest.mark.parametrize(
    ("field", "value", "shown", "secrets"),
    [
        (TEXT, "x", "x", []),
        (HIDDEN, "xyz", MASK, ["xyz"]),
        (HIDDEN, "", MASK, [""]),
        (HIDDEN, None, None, []),
        ({"type": "integer", "referenceable": True}, 5, MASK, ["5"]),
        (RECORD, {"a": "x", "b": "y", "c": "z"}, {"a": "x", "b": MASK, "c": "z"}, ["y"]),
        (RECORD, {"a": "x"}, {"a": "x"}, []),
        (RECORD, [], [], []),
        (RECORD, "xyz", MASK, ["xyz"]),
        (RECORD, ["xyz", {"b": "c"}], MASK, ["xyz", "b", "c"]),
        (LIST, "xyz", MASK, ["xyz"]),
        (LIST, ["xyz", {"a": "c"}], [MASK, {"a": "c"}], ["xyz"]),
        (LIST, [{"b": "x"}, {"b": None}], [{"b": MASK}, {"b": None}], ["x"]),
        ({"type": "set", "elements": HIDDEN}, ["x", "y"], [MASK, MASK], ["x", "y"]),
        ({"type": "map", "keys": TEXT, "values": HIDDEN}, {"x": "y"}, {"x": MASK}, ["y"]),
        ({"type": "map", "keys": HIDDEN, "values": TEXT}, {"x": "y"}, {MASK: "y"}, ["x"]),
        ({"type": "json", "encrypted": True}, {"x": ["y", True]}, MASK, ["x", "y"]),
        ({"type": "string", "encrypted": False}, "x", "x", []),
    ],
)
def test_values(field: dict[str, Any], value: Any, shown: Any, secrets: list[str]) -> None:
    assert masked(field, value) == shown
    assert secrets_in(field, value) == secrets


def test_a_value_is_not_changed() -> None:
    value = {"a": "x", "b": "y"}
    masked(RECORD, value)
    assert value == {"a": "x", "b": "y"}


@pytest.mark.parametrize(
    ("text", "secrets", "shown"),
    [
        ("nothing here", ["secret"], "nothing here"),
        ("a secret b secret", ["secret"], f"a {MASK} b {MASK}"),
        ("a longer secret", ["long", "longer secret"], f"a {MASK}"),
        ("one line", ["one\nline"], MASK),
        (r"got 'one\nline'", ["one\nline"], f"got '{MASK}'"),
        (r'got "\u00e9t\u00e9 5"', ["été 5"], f'got "{MASK}"'),
        ("cut 0123456789abc...", ["0123456789abcdef"], f"cut {MASK}..."),
        ("cut 01234567", ["0123456789abcdef"], f"cut {MASK}"),
        ("short 0123456", ["0123456789abcdef"], "short 0123456"),
        ("twice 12345678 12345678", ["12345678"], f"twice {MASK} {MASK}"),
        ("an x", ["x"], None),
        ("an y", ["x", ""], "an y"),
    ],
)
def test_texts(text: str, secrets: list[str], shown: str | None) -> None:
    assert concealed(text, secrets) == shown
