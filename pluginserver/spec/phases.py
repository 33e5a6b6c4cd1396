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

_NO_SOCKETS: Final = "since nginx has no sockets in that phase: use response"
_WEBSOCKET: Final = "since only Kong Enterprise's own plugins in Lua run there"
_START: Final = "since it runs before there is a server: use the constructor of Plugin"

LUA_PHASES: Final = {
    "header_filter": _NO_SOCKETS,
    "body_filter": _NO_SOCKETS,
    "ws_handshake": _WEBSOCKET,
    "ws_client_frame": _WEBSOCKET,
    "ws_upstream_frame": _WEBSOCKET,
    "ws_close": _WEBSOCKET,
    "init_worker": _START,
    "configure": _START,
}
"""The phases that are for plugins in Lua alone, and why."""

ANSWERING: Final = frozenset({"rewrite", "access", "response", "preread"})
"""The phases in which ``kong.response.exit`` can answer the client."""
