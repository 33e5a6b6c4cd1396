"""The limits of Lua's and Kong's values.

Rules kept here:

* a limit stands here when more than one room keeps to it; what one function alone knows stays there.
"""

from __future__ import annotations

from typing import Final

EXACT: Final = 2**53
"""Lua's numbers are doubles: beyond this an integer is not the same any more."""
