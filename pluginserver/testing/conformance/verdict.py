"""How a check says that something does not hold, or that it does not apply.

Rules kept here:

* nothing but these two ends a check, besides what a client meets: no answer, an error.
"""

from __future__ import annotations

from typing import Any


class Wrong(Exception):
    """The server does something else than it should; the text says what."""


class Skipped(Exception):
    """The check does not apply; the text says why."""


def want(holds: bool, text: str) -> None:
    """Go on only when this holds.

    :raises Wrong: with this text, when it does not.
    """
    if not holds:
        raise Wrong(text)


def short(value: Any) -> str:
    """A value's ``repr``, cut."""
    return f"{value!r:.100}"
