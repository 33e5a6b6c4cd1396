"""``kong.node``: this one Kong."""

from __future__ import annotations

from typing import Final

from ..events.callbacks import callback
from ..spec.entities import MemoryStats
from .namespace import Namespace
from .values import check_choice, check_integer

_UNITS: Final = ("b", "B", "k", "K", "m", "M", "g", "G")


class Node(Namespace):
    """Functions about the Kong node."""

    __slots__ = ()

    NAME = "kong.node"

    def get_id(self) -> str:
        """The node's id, a UUID.

        Phases: all.
        """
        return callback("kong.node.get_id")

    def get_hostname(self) -> str:
        """The name of the machine that Kong runs on.

        Phases: all.
        """
        return callback("kong.node.get_hostname")

    def get_memory_stats(self, unit: str | None = None, scale: int | None = None) -> MemoryStats:
        """How much memory the node uses.

        :param unit: ``"b"``, ``"k"``, ``"m"`` or ``"g"``, for powers of 1024; default: ``"b"``.  In
            bytes the numbers are integers, else texts such as ``"12.00 KiB"``.
        :param scale: how many digits follow the decimal point, from 0 to 14; default: 2.

        Phases: all.
        """
        name = "kong.node.get_memory_stats"
        if scale is not None:
            unit = check_choice(unit or "b", "unit", _UNITS)
            answer = callback(name, unit, check_integer(scale, "scale", 0, 14))
        elif unit is not None:
            answer = callback(name, check_choice(unit, "unit", _UNITS))
        else:
            answer = callback(name)
        return MemoryStats.from_kong(answer) or MemoryStats()
