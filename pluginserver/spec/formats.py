"""The forms of Kong's texts.

Rules kept here:

* a pattern is matched against the whole text, with ``fullmatch``.
"""

from __future__ import annotations

import re
from typing import Final

UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""The id of an entity."""
