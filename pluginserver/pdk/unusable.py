"""Functions of Kong's PDK that a plugin server cannot use.

Rules kept here:

* they exist, and raise: an author who knows them from Lua reads why, and what to use instead.
"""

from __future__ import annotations

from typing import NoReturn

from ..errors import PhaseError
from ..spec.functions import FUNCTIONS


def refuse(name: str) -> NoReturn:
    """Say why the function cannot be called.

    :raises PhaseError: always.
    """
    raise PhaseError(f"{name} {FUNCTIONS[name].unusable}")
