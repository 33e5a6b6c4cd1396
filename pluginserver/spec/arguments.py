"""A query's arguments, and those of a form: as nginx reads them, and as it and Kong write them.

Rules kept here:

* what is not UTF-8 stays what it was, as surrogates;
* an argument without a value, which has no ``=``, is True.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes

_SAFE: Final = "!'()*-._~"
"""What nginx does not escape, besides letters and digits."""

_SAFE_IN_URLS: Final = "*-._"
"""What the URL standard does not escape; ``~``, which Python never escapes, is not among it."""


def decode(query: str, limit: int) -> dict[str, Any]:
    """Arguments as nginx decodes them: a list for a name that comes several times.

    :param limit: how many are read.
    """
    out: dict[str, Any] = {}
    count = 0
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        if not name:
            continue
        if count == limit:
            break
        count += 1
        key, item = _unescaped(name), _unescaped(value) if equals else True
        if key not in out:
            out[key] = item
        elif isinstance(out[key], list):
            out[key].append(item)
        else:
            out[key] = [out[key], item]
    return out


def encode(args: Mapping[str, Any]) -> str:
    """Arguments as nginx encodes them, in the order given.

    :param args: texts, bytes, numbers, True, or lists of these; False and None are no entry.
    """
    return "&".join(
        _escaped(name) if one is True else f"{_escaped(name)}={_escaped(one)}"
        for name, value in args.items()
        for one in (value if isinstance(value, (list, tuple)) else [value])
        if one is not None and one is not False
    )


def ordered(args: Mapping[str, Any]) -> str:
    """Arguments as Kong encodes a table: as :func:`encode`, in the order of what comes out."""
    parts = (encode({name: value}) for name, value in args.items())
    return "&".join(sorted(part for part in parts if part))


def without(query: str, name: str) -> str:
    """A query without an argument: Kong reads and writes it as the URL standard says, with ``%20``.

    So each argument has a ``=`` then.
    """
    pairs = (part.partition("=") for part in query.removeprefix("?").split("&") if part)
    kept = [(_unescaped(key), _unescaped(value)) for key, _, value in pairs]
    return "&".join(
        f"{_escaped(key, _SAFE_IN_URLS)}={_escaped(value, _SAFE_IN_URLS)}"
        for key, value in kept
        if key != name
    ).replace("~", "%7E")


def _unescaped(part: str) -> str:
    data = part.replace("+", " ").encode("utf-8", "surrogateescape")
    return unquote_to_bytes(data).decode("utf-8", "surrogateescape")


def _escaped(value: Any, safe: str = _SAFE) -> str:
    data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
    return quote(data, safe=safe)
