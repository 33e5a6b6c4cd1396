"""The levels of Kong's log.

Rules kept here:

* the names are nginx's, as Kong's PDK and its ``log_level`` spell them; Python's are in
  :mod:`pluginserver.logs`.
"""

from __future__ import annotations

from typing import Final

LOG_LEVELS: Final = ("debug", "info", "notice", "warn", "err", "crit", "alert", "emerg")
"""The lowest first."""
