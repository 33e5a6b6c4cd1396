"""The limits of Lua's and Kong's values.

Rules kept here:

* a limit stands here when more than one room keeps to it; what one function alone knows stays there.
"""

from __future__ import annotations

from typing import Final

EXACT: Final = 2**53
"""Lua's numbers are doubles: beyond this an integer is not the same any more."""


def number(value: int | float) -> int | float:
    """A number as a double prints it: an integer where it is one and a double holds it exactly."""
    if isinstance(value, int):
        return value if -EXACT < value < EXACT else float(value)
    if value.is_integer() and -EXACT < value < EXACT:
        return int(value)
    return value
