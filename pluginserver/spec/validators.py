"""Which values a field of Kong's schema language accepts: judged as ``kong/db/schema/init.lua`` does.

Rules kept here:

* an empty string fits a string field only if that says ``len_min = 0``, which is Kong's rule;
* a string's length is that of its bytes, as Lua counts;
* Lua patterns (``match`` and its kin), regular expressions and timestamps are not tried: only Kong can.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from .formats import UUID
from .wording import NAMES, meant, shown

Rule: TypeAlias = Callable[[Any, Any], bool]


def _same(value: Any, other: Any) -> bool:
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _length(value: Any) -> int:
    """As Lua counts: the bytes of a string."""
    return len(value.encode("utf-8", "replace") if isinstance(value, str) else value)


_RULES: Final[dict[str, tuple[Rule, str]]] = {
    "eq": (_same, "must be {}"),
    "ne": (lambda value, other: not _same(value, other), "must not be {}"),
    "between": (
        lambda value, ends: bool(ends[0] <= value <= ends[1]),
        "must be between {} and {}",
    ),
    "gt": (lambda value, limit: bool(value > limit), "must be greater than {}"),
    "len_eq": (lambda value, length: _length(value) == length, "must have length {}"),
    "len_min": (lambda value, length: _length(value) >= length, "must have length {} at least"),
    "len_max": (lambda value, length: _length(value) <= length, "must have length {} at most"),
    "starts_with": (lambda value, text: bool(value.startswith(text)), "must start with {}"),
    "one_of": (
        lambda value, values: any(_same(value, other) for other in values),
        "must be one of {}",
    ),
    "not_one_of": (
        lambda value, values: not any(_same(value, other) for other in values),
        "must be none of {}",
    ),
    "contains": (
        lambda value, other: any(_same(item, other) for item in value),
        "must contain {}",
    ),
    "uuid": (lambda value, on: not on or UUID.fullmatch(value) is not None, "must be a UUID"),
}


def fits(type_: str, value: object) -> bool:
    """Whether a JSON value is of one of Kong's types, judged from outside: not what it holds."""
    match type_:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer" | "number" if isinstance(value, float):
            return type_ == "number" or value.is_integer()
        case "integer" | "number":
            return isinstance(value, int) and not isinstance(value, bool)
        case "array" | "set":
            return isinstance(value, list)
        case "map" | "record" | "foreign":
            return isinstance(value, dict)
        case _:
            return True


def broken_rule(rules: Mapping[str, Any], value: Any) -> str | None:
    """The first validator that a value of the right type breaks, in words, or None.

    :param rules: a field's attributes; those that are no validators are ignored.
    """
    for name, (holds, text) in _RULES.items():
        if name in rules and not holds(value, rules[name]):
            ends = rules[name] if name == "between" else [rules[name]]
            return text.format(*(json.dumps(end, default=repr) for end in ends))
    return None


def fault(field: Mapping[str, Any], value: Any, path: str) -> str | None:
    """Why Kong would refuse a value for a field, with the place, or None.

    :param field: a field as Kong has it; it must be a good one.
    :param value: a JSON value.
    :param path: the value's place, for the text.
    """
    type_ = field["type"]
    if not fits(type_, value):
        return f"{path}: expected {NAMES[type_]}, got {shown(value)}"
    if value == "" and type_ == "string" and "len_min" not in field:
        return f"{path}: is empty, which Kong accepts only with len_min=0"
    rule = broken_rule(field, value)
    if rule is not None:
        return f"{path}: {rule}, got {shown(value)}"
    return next((found for found in _faults_inside(field, value, path) if found), None)


def _faults_inside(field: Mapping[str, Any], value: Any, path: str) -> Iterator[str | None]:
    match field["type"]:
        case "array" | "set":
            for index, item in enumerate(value):
                yield fault(field["elements"], item, f"{path}[{index}]")
        case "map":
            for key, item in value.items():
                yield fault(field["keys"], key, f"the key {key!r} of {path}")
                yield fault(field["values"], item, f"{path}[{key!r}]")
        case "record":
            fields = {name: inner for one in field["fields"] for name, inner in one.items()}
            for name, item in value.items():
                if name in fields:
                    yield fault(fields[name], item, f"{path}.{name}")
                else:
                    yield f"{path}.{name}: is unknown{meant(name, fields)}"
            for name, inner in fields.items():
                if inner.get("required") and "default" not in inner and name not in value:
                    yield f"{path}.{name}: is missing"
