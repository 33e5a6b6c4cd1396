"""How many of a call's arguments reach Kong's function when some of them are None.

Kong puts the arguments into a Lua table, in their order, and passes on as many as the table's length
says.  The length of a table with nils in it ("holes") is any place before a nil, and which one depends
on how LuaJIT made the table grow: sometimes all arguments arrive, sometimes the rest is cut off.

Rules kept here:

* what is in the table was seen: all of it on LuaJIT 2.1, and again on Kong 3.10 wherever a test says
  so; the longest call of Kong's PDK has five arguments;
* of a longer call only what stands before its first None is taken to arrive;
* trailing Nones are no arguments: whoever sends a call leaves them out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

RECEIVED: Final[Mapping[str, int]] = MappingProxyType(
    {
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
    }
)
"""How many arguments arrive: ``_`` is a None, ``x`` anything else."""


def received(values: Sequence[object]) -> int:
    """How many of a call's arguments Kong's function receives, from the first on.

    :param values: the arguments as they are sent.
    """
    count = len(values)
    while count and values[count - 1] is None:
        count -= 1
    pattern = "".join("_" if value is None else "x" for value in values[:count])
    first = pattern.find("_")
    return count if first < 0 else RECEIVED.get(pattern, first)
