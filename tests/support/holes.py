"""Calls with a None in them, and how many of their arguments arrived on LuaJIT 2.1."""

from __future__ import annotations

from typing import Final

SEEN_ON_LUAJIT: Final = {
    "_x": 2,
    "x_x": 1,
    "__x": 0,
    "_xx": 3,
    "x_xx": 4,
    "xx_x": 4,
    "x__x": 4,
    "_xxx": 4,
    "_x_x": 4,
    "__xx": 0,
    "___x": 0,
    "xxx_x": 3,
    "xx_xx": 5,
    "xx__x": 2,
    "x_xxx": 5,
    "x_x_x": 1,
    "x__xx": 5,
    "x___x": 1,
    "_xxxx": 5,
    "_xx_x": 3,
    "_x_xx": 5,
    "_x__x": 2,
    "__xxx": 5,
    "__x_x": 0,
    "___xx": 0,
    "____x": 0,
    "xx_x_xx_x": 7,
    "x___x_x__x": 1,
    "_xxx_xx": 7,
    "x___xx_x": 8,
}
"""``_`` is a None, ``x`` anything else."""
