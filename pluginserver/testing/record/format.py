"""Values, lengths and times as people read them: the one place that formats a request's record.

Rules kept here:

* a value is cut before it is formatted as far as that is possible, so that a large one costs little;
* bytes that are not UTF-8 come as ``\\xNN``, whether they are in bytes or, as surrogates, in text;
* :func:`plain`, :func:`body` and :func:`literal` give text that any terminal and any page can show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

LIMIT: Final = 160
"""Characters of a value that are shown."""

BODY: Final = 4096
"""Bytes of a body that are shown as text."""

HEX: Final = 256
"""Bytes of a body that are shown as numbers."""

_ESCAPED: Final = re.compile(r"\\udc([89a-f][0-9a-f])")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")


def short(value: Any, limit: int = 60) -> str:
    """A value's ``repr``, at most ``limit`` characters long with the mark of the cut."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def literal(value: Any, limit: int = LIMIT) -> str:
    """A value as Python writes it, cut after about ``limit`` characters."""
    if isinstance(value, (str, bytes)):
        more = len(value) - limit
        text = _ESCAPED.sub(r"\\x\1", repr(value[:limit]))
        return f"{text} … {counted(more)} more" if more > 0 else text
    if isinstance(value, Mapping):
        items = (f"{literal(key)}: {literal(item, limit)}" for key, item in value.items())
        return _joined("{", items, "}", limit)
    if isinstance(value, (list, tuple)):
        return _joined("[", (literal(item, limit) for item in value), "]", limit)
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]} …"


def _joined(opening: str, items: Any, closing: str, limit: int) -> str:
    out = ""
    for item in items:
        if len(out) > limit:
            return f"{opening}{out}, …{closing}"
        out += f", {item}" if out else item
    return f"{opening}{out}{closing}"


def plain(text: str, limit: int = 2000) -> str:
    """A text without quotes: control characters and broken bytes as ``\\xNN``, cut when long."""
    shown = _CONTROLS.sub(_hex, text[:limit])
    shown = _SURROGATES.sub(_byte, shown)
    more = len(text) - limit
    return f"{shown} … {counted(more)} more" if more > 0 else shown


def _hex(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _byte(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def body(data: bytes) -> str:
    """A body's beginning: text when it is UTF-8, a table of bytes otherwise."""
    shown = data[: BODY + 4]
    try:
        text = shown.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(shown) - 3 or len(data) <= BODY:
            return _table(data)
        text = shown[: error.start].decode("utf-8")
    if "\x00" in text:
        return _table(data)
    more = len(data) - BODY
    text = plain(text, BODY + 4) if more <= 0 else plain(text[:BODY], BODY)
    return f"{text}\n… {size(more)} more" if more > 0 else text


def _table(data: bytes) -> str:
    lines = []
    for offset in range(0, min(len(data), HEX), 16):
        row = data[offset : offset + 16]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{offset:04x}  {row.hex(' '):<47}  {letters}")
    if len(data) > HEX:
        lines.append(f"… {size(len(data) - HEX)} more")
    return "\n".join(lines)


def counted(number: int) -> str:
    """A number with commas between its thousands."""
    return f"{number:,}"


def round_trips(number: int) -> str:
    """A number of round trips."""
    return f"{number} round trip{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """A number of bytes, with the word."""
    return "1 byte" if number == 1 else f"{counted(number)} bytes"


def took(seconds: float) -> str:
    """A length of time in milliseconds, from one second on in seconds.

    :param seconds: the time.
    """
    ms = seconds * 1000
    if ms < 10:
        return f"{ms:.2f} ms"
    if ms < 1000:
        return f"{ms:.1f} ms" if ms < 100 else f"{ms:.0f} ms"
    return f"{seconds:.2f} s"
