"""What is sent for a PDK call, and what its answer gives: one callback, several, or none.

Rules kept here:

* an :class:`Ask` holds nothing of an event: one may serve many.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Ask(NamedTuple):
    """What Kong is sent.

    :param frames: the method's frame and its argument's.
    :param read: takes the result's bytes, and gives what the call gives, or another :class:`Ask`; it raises
        :class:`~pluginserver.errors.PDKError` or :class:`~.wire.WireError`.
    """

    frames: bytes
    read: Callable[[bytes], Any]


class Given(NamedTuple):
    """What a call gives without anything being sent."""

    value: Any


def then(first: Ask, go_on: Callable[[Any], Any]) -> Ask:
    """Ask, and go on with what that gives.

    :param go_on: gives the call's value, or another :class:`Ask`.
    """

    def read(data: bytes) -> Any:
        value = first.read(data)
        return then(value, go_on) if type(value) is Ask else go_on(value)

    return Ask(first.frames, read)


Args = tuple[Any, ...]
Begin = Callable[[Args], Ask]
"""Makes what is sent of a call's arguments; raises WireError, or PDKError, for those that cannot be."""


def at(args: Args, place: int, default: Any = None) -> Any:
    return args[place] if len(args) > place else default
