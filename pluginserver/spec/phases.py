"""Kong's phases: when a plugin's code runs.

Rules kept here:

* only the phases for which Kong calls a plugin server are here, in the order of a request's life; the
  others (``header_filter``, ``body_filter``, ``ws_*``) are for plugins in Lua alone.
"""

from __future__ import annotations

from typing import Final

LETTERS: Final = {
    "C": "certificate",
    "R": "rewrite",
    "A": "access",
    "P": "response",
    "S": "preread",
    "L": "log",
}
"""A letter for each phase, as :mod:`.functions` writes sets of them."""

PHASES: Final = tuple(LETTERS.values())
"""The phases that a plugin can have a handler for."""

ANSWERING: Final = frozenset({"rewrite", "access", "response", "preread"})
"""The phases in which ``kong.response.exit`` can answer the client."""
