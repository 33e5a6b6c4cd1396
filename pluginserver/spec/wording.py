"""How JSON values, types and exceptions are put into words, for the errors that authors and users see."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping
from typing import Final

import attrs

NAMES: Final = {
    "string": "a string",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "array": "a list",
    "set": "a list",
    "map": "an object",
    "record": "an object",
    "foreign": "an object",
    "json": "a JSON value",
    "any": "a JSON value",
}
"""Kong's types in words."""

LONGEST: Final = 60
"""So many characters of a value are shown."""


def describe(value: object) -> str:
    """A JSON value with what it is, cut when it is long: ``"soon" (a string)``."""
    try:
        text = json.dumps(value, default=repr)
    except (ValueError, RecursionError):
        text = "something without end"
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 3]}..."
    return text if value is None or isinstance(value, bool) else f"{text} ({_kind(value)})"


def describe_error(error: BaseException) -> str:
    """An exception in one line: its type and text, without what attrs' validators put behind it."""
    try:
        text = str(error)
    except Exception:
        return f"{type(error).__name__} (its text cannot be had)"
    if any(isinstance(argument, attrs.Attribute) for argument in error.args):
        text = str(error.args[0])
    text = " ".join(text.split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def safe_repr(value: object) -> str:
    """Its ``repr``, whatever that raises."""
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


def is_users_interrupt(error: BaseException) -> bool:
    """Whether it is Ctrl-C, which comes in the main thread, and not a plugin's doing."""
    main = threading.current_thread() is threading.main_thread()
    return main and isinstance(error, KeyboardInterrupt)


def did_you_mean(name: object, known: Collection[str]) -> str:
    """A question after an unknown name, ``: did you mean 'x'?``; empty when none is close."""
    from difflib import get_close_matches  # here, because a dump has no use for it

    close = get_close_matches(str(name), sorted(known), 1)
    return f": did you mean {close[0]!r}?" if close else ""


def _kind(value: object) -> str:
    if isinstance(value, str):
        return NAMES["string"]
    if isinstance(value, int):
        return NAMES["integer"]
    if isinstance(value, float):
        return NAMES["number"]
    return NAMES["map"] if isinstance(value, Mapping) else NAMES["array"]
