"""The bodies that Kong reads and writes by their type: forms, multipart and JSON.

Rules kept here:

* numbers are Lua's: doubles, and an integer where one is exact.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from .limits import number

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
MULTIPART: Final = "multipart/form-data"

_FIRST_BOUNDARY: Final = 8764113571
"""A boundary that is made up."""

_ESCAPES: Final = re.compile(
    r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<lone>u[dD][89a-fA-F])|.)", re.DOTALL
)
"""The escapes of a JSON text: two surrogates that are a pair, one that is not, any other."""


def kind_of(content_type: str) -> str | None:
    """Which of the three Kong reads a body of this type as; None for another type."""
    media = content_type.lower()
    return next((kind for kind in (FORM, JSON, MULTIPART) if media.startswith(kind)), None)


def from_json(data: bytes) -> dict[str, Any] | list[Any] | None:
    """An object or array as Kong reads it; None for anything else.

    What only Lua's decoder takes, such as ``0x10``, is None too.
    """
    text = data.decode("utf-8", "surrogateescape")
    if any(found["lone"] for found in _ESCAPES.finditer(text)):
        return None
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None


def to_multipart(fields: Mapping[str, str], content_type: str) -> tuple[str, str]:
    """A multipart body as Kong writes it, and its type with the boundary.

    :param content_type: its boundary is used unless it occurs in a value; else one is made.
    """
    made = map(str, itertools.count(_FIRST_BOUNDARY))
    boundary = _boundary(content_type) or next(made)
    while any(f"\n--{boundary}" in value for value in fields.values()):
        boundary = next(made)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{fields[name]}\r\n'
        for name in sorted(fields)
    ]
    return f"{''.join(parts)}--{boundary}--\r\n", f"{MULTIPART}; boundary={boundary}"


def _boundary(content_type: str) -> str:
    given = content_type.partition("boundary=")[2]
    return given[1:].partition('"')[0] if given.startswith('"') else given


def _number(text: str) -> int | float:
    return number(float(text))


_DECODER: Final = json.JSONDecoder(strict=False, parse_int=_number, parse_float=_number)
