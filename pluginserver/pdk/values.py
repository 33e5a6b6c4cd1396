"""Arguments as Kong can take them: checked, and put into the form that goes on the wire.

MessagePack and Lua each lose something.  Lua's table has no None, its number is a double, and a
call that Lua refuses ends the request silently.  So a value that would not arrive as it is
raises here, before anything is sent, and the event goes on.

Rules kept here:

* an error names the argument, down to the place in it: ``body['items'][3]``;
* ``TypeError`` for a value of a wrong type, ``ValueError`` for a wrong value;
* text may hold surrogate escapes, which are bytes that are not UTF-8, but not other surrogates;
* nothing is dropped: a None that Lua would drop raises, except in the fields of an attrs object,
  where it means that the field is not set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from ..spec.entities import Entity
from ..spec.holes import border
from ..spec.limits import EXACT
from ..spec.multimap import MultiMap

Body: TypeAlias = "str | bytes | Mapping[str, Any] | Sequence[Any] | attrs.AttrsInstance"
"""A body: text, bytes, or what is sent as JSON."""

Value: TypeAlias = "Body | bool | int | float"
"""What a Lua table can hold."""

MAX_DEPTH: Final = 100
"""How deep a value may nest; far below what MessagePack (511) and Lua's JSON encoder (1000) take."""

DIGITS: Final = 14
"""Lua's JSON encoder writes numbers with so many significant digits."""

_Path: TypeAlias = "tuple[Any, Any] | str"
"""Where a value stands: the argument's name, or the path of what holds it and its key there."""


def check_text(value: object, what: str) -> str:
    """An argument that must be text.

    :param what: what to call it in an error.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be str, not {type(value).__name__}")
    if not value.isascii():
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{what} holds a lone surrogate, {value[error.start]!a}, which is not text: remove it"
            ) from None
    return value


def check_raw(value: object, what: str) -> str | bytes:
    """An argument that is sent as it is: text, which becomes UTF-8, or bytes."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if not isinstance(value, str):
        raise TypeError(f"{what} must be str or bytes, not {type(value).__name__}")
    return check_text(value, what)


def check_integer(value: object, what: str, low: int, high: int) -> int:
    """An argument that must be an integer from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be int, not {type(value).__name__}")
    if not low <= value <= high:
        raise ValueError(f"{what} must be from {low} to {high}, not {value}")
    return value


def check_flag(value: object, what: str) -> bool:
    """An argument that must be True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{what} must be bool, not {type(value).__name__}")
    return value


def check_choice(value: str, what: str, choices: Sequence[str]) -> str:
    """An argument that must be one of a few texts."""
    if check_text(value, what) not in choices:
        raise ValueError(f"{what} must be one of {', '.join(choices)}, not {value!r}")
    return choices[choices.index(value)]


def to_lua(value: object, what: str) -> Any:
    """An argument of any type that Lua can hold.

    :param value: text, bytes, bool, int, float, or lists, mappings and attrs objects of those; an
        attrs object becomes a map of its fields, without private ones and those that are None.
    """
    return _convert(value, what, False, 0)


def to_lua_map(value: object, what: str) -> dict[str, Any]:
    """An argument that must be a mapping or an attrs object."""
    if not isinstance(value, Mapping) and not attrs.has(type(value)):
        raise TypeError(f"{what} must be a mapping, not {type(value).__name__}")
    return to_lua(value, what)


def to_jsonable(value: object, what: str) -> Any:
    """A mapping, list or attrs object that is to be JSON; None is null in it.

    :raises TypeError: also for a number or a boolean alone, which Kong does not take as a body.
    """
    if not isinstance(value, (Mapping, list, tuple)) and not attrs.has(type(value)):
        raise TypeError(
            f"{what} must be str, bytes, a mapping, a list or an attrs object, "
            f"not {type(value).__name__}"
        )
    return _convert(value, what, True, 0)


def survives_lua(value: Any) -> bool:
    """Whether Kong would make the same JSON of a converted value as we would.

    A Lua table cannot hold null, does not tell an empty list from an empty map, and Lua's encoder
    rounds long numbers.
    """
    if isinstance(value, dict):
        return all(map(survives_lua, value.values()))
    if isinstance(value, list):
        return bool(value) and all(map(survives_lua, value))
    if isinstance(value, (int, float)):
        return float(f"{value:.{DIGITS}g}") == value
    return value is not None


def json_text(value: Any) -> str:
    """A value that :func:`to_jsonable` has converted, as JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def check_arguments(values: tuple[object, ...]) -> tuple[Any, ...]:
    """The arguments of a call whose function is not known: trailing Nones dropped.

    :raises ValueError: for a None with which Kong would cut the arguments off: see
        :mod:`pluginserver.spec.holes`.
    """
    count = len(values)
    while count and values[count - 1] is None:
        count -= 1
    arriving = border(values[:count])
    if arriving < count:
        raise ValueError(
            f"argument {arriving + 1} is None, where Kong would cut the arguments off: "
            "give a value in its place"
        )
    return tuple(
        None if value is None else to_lua(value, f"argument {place}")
        for place, value in enumerate(values[:count], 1)
    )


def _convert(value: object, path: _Path, nulls: bool, depth: int) -> Any:
    if isinstance(value, str):
        return check_text(value, _describe_path(path)) if not value.isascii() else value
    if value is None:
        if nulls:
            return None
        raise ValueError(f"{_describe_path(path)} is None, which Lua cannot hold: leave it out")
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if (nulls and -(2**63) <= value < 2**64) or -EXACT <= value <= EXACT:
            return value
        raise ValueError(
            f"{_describe_path(path)} is an integer of {value.bit_length()} bits, too big for Kong: "
            "send it as text"
        )
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise ValueError(f"{_describe_path(path)} is {value}, which Kong cannot take")
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        return data.decode("utf-8", "surrogateescape") if nulls else data
    if depth == MAX_DEPTH:
        raise ValueError(f"{_describe_path(path)} nests deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        items = value.lists() if isinstance(value, MultiMap) else value
        return {
            _key(key, path): _convert(item, (path, key), nulls, depth + 1)
            for key, item in items.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            _convert(item, (path, place), nulls, depth + 1) for place, item in enumerate(value)
        ]
    if attrs.has(type(value)):
        return {
            name: _convert(item, (path, name), nulls, depth + 1)
            for name, item in _fields(value).items()
            if nulls or item is not None
        }
    raise TypeError(
        f"{_describe_path(path)} is a {type(value).__name__}, which cannot be sent: "
        "use str, bytes, bool, int, float, a list, a mapping or an attrs object"
    )


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, Entity):
        return value.to_kong()
    return {
        field.name: getattr(value, field.name)
        for field in attrs.fields(type(value))
        if not field.name.startswith("_")
    }


def _key(key: object, path: _Path) -> str:
    if isinstance(key, str):
        return check_text(key, f"a key of {_describe_path(path)}")
    raise TypeError(
        f"{_describe_path(path)} has the key {key!r}, a {type(key).__name__}: Kong takes only str"
    )


def _describe_path(path: _Path) -> str:
    keys: list[str] = []
    while not isinstance(path, str):
        path, key = path
        keys.append(f"[{key!r}]")
    if len(keys) > 8:
        keys[4:-4] = ["[...]"]
    return path + "".join(reversed(keys))
