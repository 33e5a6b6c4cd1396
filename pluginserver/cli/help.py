"""How a command line explains itself.

Rules kept here:

* a dump pays for nothing that only the help needs: argparse asks for the terminal's width with each flag
  that it is told of, and loads the compression libraries for that.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import cache
from typing import Final

COLUMNS: Final = 80
"""The width when there is no terminal."""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """The usual help, as wide as the terminal; what is below the flags keeps its lines."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_width() - 2)


@cache
def _width() -> int:
    """The columns of the terminal: what ``COLUMNS`` says, what it says itself, or 80."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or COLUMNS
    except (AttributeError, ValueError, OSError):  # no stdout, closed, not a terminal
        return COLUMNS
