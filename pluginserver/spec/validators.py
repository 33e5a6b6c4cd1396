"""Which values a field of Kong's schema language accepts: judged as ``kong/db/schema/init.lua`` does.

Rules kept here:

* an empty string fits a string field only if that says ``len_min = 0``, which is Kong's rule;
* a string's length is that of its bytes, as Lua counts;
* Lua patterns (``match`` and its kin), timestamps and subsets are tried where a schema or a configuration
  is judged in Kong's place (:func:`fault`), not again for what Kong has let pass (:func:`broken_rule`);
* regular expressions are not tried: Kong asks PCRE.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from .formats import UUID
from .lua_pattern import LuaPattern, TooLongError
from .wording import NAMES, describe, did_you_mean

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


def _matches(value: str, pattern: str, unsure: bool) -> bool:
    """Whether a Lua pattern matches; ``unsure`` when that takes too long to find out."""
    try:
        return LuaPattern(pattern).find(value) is not None
    except TooLongError:
        return unsure


def _of_one_subset(values: Any, subsets: Any) -> bool:
    owner = {item: number for number, subset in enumerate(subsets) for item in subset}
    return len({owner[value] for value in values if value in owner}) <= 1


_KONGS_RULES: Final[dict[str, tuple[Rule, str]]] = {
    "match": (
        lambda value, pattern: _matches(value, pattern, True),
        "must match the Lua pattern {}",
    ),
    "not_match": (
        lambda value, pattern: not _matches(value, pattern, False),
        "must not match the Lua pattern {}",
    ),
    "match_all": (
        lambda value, rules: all(_matches(value, one["pattern"], True) for one in rules),
        "must match all of the Lua patterns in {}",
    ),
    "match_none": (
        lambda value, rules: not any(_matches(value, one["pattern"], False) for one in rules),
        "must match none of the Lua patterns in {}",
    ),
    "match_any": (
        lambda value, rule: any(_matches(value, one, True) for one in rule["patterns"]),
        "must match one of the Lua patterns in {}",
    ),
    "timestamp": (
        lambda value, on: not on or bool(value > 0),
        "must be a timestamp: greater than 0",
    ),
    "mutually_exclusive_subsets": (_of_one_subset, "must hold values of only one of {}"),
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

    :param rules: a field's attributes; those that are not validators are ignored.
    """
    return _first_broken(_RULES, rules, value)


def _first_broken(
    known: Mapping[str, tuple[Rule, str]], rules: Mapping[str, Any], value: Any
) -> str | None:
    for name, (holds, text) in known.items():
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
        return f"{path}: expected {NAMES[type_]}, got {describe(value)}"
    if value == "" and type_ == "string" and "len_min" not in field:
        return f"{path}: is empty, which Kong accepts only with len_min=0"
    rule = broken_rule(field, value)
    if rule is not None:
        return f"{path}: {rule}, got {describe(value)}"
    inside = next((found for found in _faults_inside(field, value, path) if found), None)
    if inside is not None:
        return inside
    rule = _first_broken(_KONGS_RULES, field, value)
    return None if rule is None else f"{path}: {rule}, got {describe(value)}"


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
                    yield f"{path}.{name}: is unknown{did_you_mean(name, fields)}"
            for name, inner in fields.items():
                if inner.get("required") and "default" not in inner and name not in value:
                    yield f"{path}.{name}: is missing"
