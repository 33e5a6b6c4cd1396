"""The table of the simulated PDK, and the checks that its functions share.

A function is called with the request's :class:`~pluginserver.testing.kong.state.State` and its arguments
as Lua passes them: what is missing is None, what is too much is dropped.  It returns the first
result of the Lua function, or a :class:`~pluginserver.testing.kong.state.Failure` for ``nil, err``; where
Lua throws, it raises :class:`~pluginserver.testing.kong.lua.LuaError` with Kong's words.

Rules kept here:

* the table is complete once the package is imported: nothing is entered later;
* a check raises with Kong's words, for plugins' authors search for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from ..kong.lua import LuaError, type_name

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen
class Implementation:
    """A PDK function.

    :param call: takes the state and the arguments.
    :param arity: how many arguments it takes; None for any number.
    """

    call: Callable[..., Any]
    arity: int | None


TABLE: dict[str, Implementation] = {}
"""Every function of the simulated PDK by its full name."""


def pdk(*names: str) -> Callable[[F], F]:
    """Enter a function in the table under these names."""

    def enter(function: F) -> F:
        code = function.__code__
        arity = None if code.co_flags & 0x04 else code.co_argcount - 1
        for name in names:
            TABLE[name] = Implementation(function, arity)
        return function

    return enter


def want_string(value: Any, what: str) -> str:
    """The value, which must be a string; ``what`` begins Kong's words."""
    if not isinstance(value, str):
        raise LuaError(f"{what} must be a string")
    return value


def want_integer(value: Any, what: str, low: int, high: int) -> int:
    """The value, which must be an integer of that range."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise LuaError(f"{what} must be an integer")
    if not low <= value <= high:
        raise LuaError(f"{what} must be an integer between {low} and {high}: given {value}")
    return value


def want_limit(value: Any, what: str, default: int = 100) -> int:
    """A limit from 1 to 1000, or its default for nil."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise LuaError(f"{what} must be a number")
    if value < 1:
        raise LuaError(f"{what} must be >= 1")
    if value > 1000:
        raise LuaError(f"{what} must be <= 1000")
    return int(value)


def want_header(name: Any, value: Any) -> list[Any]:
    """A header's values, after Kong's check of its name and value."""
    if not isinstance(name, str):
        raise LuaError(f"invalid header name {name!r}: got {type_name(name)}, expected string")
    if isinstance(value, list):
        for one in value:
            if not isinstance(one, str):
                raise LuaError(
                    f"invalid header value in array {name!r}: got {type_name(one)}, expected string"
                )
        return value
    if value is None or isinstance(value, dict):
        raise LuaError(
            f"invalid header value for {name!r}: got {type_name(value)}, "
            "expected string, number, boolean or array of strings"
        )
    return [value]


def want_headers(headers: Any) -> dict[str, list[Any]]:
    """A map of headers, each with its values, after Kong's check."""
    if not isinstance(headers, (dict, list)):
        raise LuaError("headers must be a table")
    return {name: want_header(name, value) for name, value in entries_of(headers).items()}


def want_table(value: Any, what: str) -> list[Any] | dict[Any, Any]:
    """The value, which must be a table."""
    if not isinstance(value, (list, dict)):
        raise LuaError(f"{what} must be a table")
    return value


def entries_of(table: list[Any] | dict[Any, Any]) -> dict[Any, Any]:
    """A table's entries by key, a list's by place."""
    return table if isinstance(table, dict) else dict(enumerate(table, 1))
