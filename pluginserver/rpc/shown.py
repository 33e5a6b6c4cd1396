"""What a message shows of a value that a client sent: never longer than asked, and never built whole.

``f"{value!r:.200}"`` builds all of it first: ten times the value's memory, for 200 characters.
"""

from __future__ import annotations

from typing import Any

import msgpack


def shown(value: Any, limit: int) -> str:
    """The first characters of ``repr(value)``.

    :param value: what was decoded from MessagePack.
    """
    return _shown(value, limit)[:limit]


def _shown(value: Any, room: int) -> str:
    """At least ``room`` characters of ``repr(value)``, or all of it."""
    if room <= 0:
        return ""
    if isinstance(value, (str, bytes)):
        return repr(value[:room])
    if isinstance(value, msgpack.ExtType):
        return f"ExtType(code={value.code}, data={_shown(value.data, room)})"
    if isinstance(value, dict):
        return _joined("{", value.items(), "}", room)
    if isinstance(value, list):
        return _joined("[", value, "]", room)
    return repr(value)


def _joined(opening: str, values: Any, closing: str, room: int) -> str:
    text = opening
    for number, value in enumerate(values):
        if len(text) >= room:
            return text
        if number:
            text += ", "
        if type(value) is tuple:
            text += _shown(value[0], room - len(text)) + ": "
            text += _shown(value[1], room - len(text))
        else:
            text += _shown(value, room - len(text))
    return text + closing
