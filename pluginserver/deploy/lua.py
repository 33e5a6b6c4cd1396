"""A plugin's schema as Lua: the ``schema.lua`` that Konnect and control planes of a hybrid Kong take.

Rules kept here:

* the text is one chunk that returns a table, needs no ``require``, and means what the dump means;
* a null, which stands in ``eq`` alone, is ``ngx.null``, as it is when Kong reads it from JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_IDENTIFIER: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_RESERVED: Final = frozenset(
    {
        *("and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if"),
        *("in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while"),
    }
)
_SPECIAL: Final = re.compile(r'[\x00-\x1f\x7f"\\]')


def schema_lua(schema: Mapping[str, Any]) -> str:
    """A schema as a chunk of Lua.

    :param schema: what the dump tells Kong: JSON values.
    """
    return f"return {_value(schema, '')}\n"


def _value(value: Any, indent: str) -> str:
    if value is None:
        return "ngx.null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    inner = f"{indent}  "
    items = _pairs(value, inner) if isinstance(value, Mapping) else _items(value, inner)
    lines = "".join(f"{inner}{item},\n" for item in items)
    return f"{{\n{lines}{indent}}}" if lines else "{}"


def _pairs(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, inside in value.items():
        plain = _IDENTIFIER.fullmatch(name) and name not in _RESERVED
        yield f"{name if plain else f'[{_text(name)}]'} = {_value(inside, indent)}"


def _items(value: Any, indent: str) -> Iterator[str]:
    for inside in value:
        yield _value(inside, indent)


def _text(value: str) -> str:
    return '"' + _SPECIAL.sub(lambda found: f"\\{ord(found[0]):03}", value) + '"'
