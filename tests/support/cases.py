"""How many random cases the tests draw: ``PLUGINSERVER_FUZZ_CASES`` of what is quick, else a share of it."""

from __future__ import annotations

import os

CASES = int(os.environ.get("PLUGINSERVER_FUZZ_CASES", "2600"))
