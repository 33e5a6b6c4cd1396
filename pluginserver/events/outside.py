"""What is told of a call that a thread of a plugin's own makes, where nobody may see the exception.

A thread, or an executor, keeps what its function raises to itself; so who calls ``kong`` there is told of.
Rules kept here:

* a server logs it once a minute for each place; who plays Kong for a test gets each one;
* no lock is held: the thread is nobody's but the plugin's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..errors import OutsideEventError
from ..logs import Seldom, get_logger

OBSERVERS: Final[list[Callable[[OutsideEventError], object]]] = []
"""Called with each such error, on the thread that called."""

_seldom: Final = Seldom()


def tell_outside(error: OutsideEventError) -> OutsideEventError:
    """Tell of a call where no event runs; gives the error, to be raised."""
    for observer in list(OBSERVERS):
        observer(error)
    if _seldom.is_due(str(error)):
        get_logger().error(str(error))
    return error
