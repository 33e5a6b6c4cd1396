"""Names and values of headers, as Kong takes them.

Rules kept here:

* a value is text, bytes, a number or a boolean, or a list of those; in a list Kong takes texts only,
  so anything else becomes text as Lua would write it;
* of two spellings of one name in a mapping the last one counts, as in calls one after another: Lua
  would take either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ..spec.limits import EXACT
from ..spec.multimap import MultiMap
from .values import check_raw, check_text, to_lua

HeaderValue: TypeAlias = (
    "str | bytes | bool | int | float | Sequence[str | bytes | bool | int | float]"
)
"""The value of a header, or a list of its values."""

HeadersInput: TypeAlias = "Mapping[str, HeaderValue]"
"""Headers as a mapping, such as a :class:`~pluginserver.spec.multimap.Headers`."""

WireValue: TypeAlias = "str | bytes | bool | int | float | list[str | bytes]"


def header_name(name: object) -> str:
    """A header's name."""
    return check_text(name, "name")


def header_value(name: str, value: object) -> WireValue:
    """A header's value, or the list of its values."""
    what = f"the value of header {name!r}"
    if isinstance(value, (list, tuple)):
        return [_listed(item, f"{what} at {place}") for place, item in enumerate(value)]
    if isinstance(value, (bool, int, float)):
        return _number(value, what)
    if value is None:
        raise TypeError(f"{what} must be str, bytes, a number or a list, not None")
    return check_raw(value, what)


def header_map(headers: object) -> dict[str, WireValue]:
    """Headers with their values."""
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers must be a mapping, not {type(headers).__name__}")
    out: dict[str, WireValue] = {}
    spelt: dict[str, str] = {}
    pairs = headers.lists() if isinstance(headers, MultiMap) else headers
    for name, value in pairs.items():
        wire = header_value(header_name(name), value)
        out.pop(spelt.get(comparable_name(name), ""), None)
        spelt[comparable_name(name)] = name
        out[name] = wire
    return out


def comparable_name(name: str) -> str:
    """The form in which two names of one header are equal."""
    return name.lower().replace("_", "-")


def _listed(value: object, what: str) -> str | bytes:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        number = _number(value, what)
        return f"{number:.14g}" if isinstance(number, float) else str(number)
    return check_raw(value, what)


def _number(value: bool | int | float, what: str) -> str | bool | int | float:
    if isinstance(value, int) and not -EXACT <= value <= EXACT:
        return str(value)
    return to_lua(value, what)
