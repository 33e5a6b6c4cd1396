"""How events end, and how what went wrong is told: the words for Kong's log."""

from __future__ import annotations

import traceback
from typing import Any, Final, TypeAlias

from ..errors import cut
from ..logs import raised_at

EXIT: Final = "kong.response.exit"
ERROR: Final = "kong.response.error"
LOG_ERROR: Final = "kong.log.err"
UNEXPECTED: Final = (500, {"message": "An unexpected error occurred"})
"""The arguments of the ``exit`` that closes a request where Kong has no ``error``: Kong's own words."""

FOREIGN: Final = (
    "the plugin {} switched to another greenlet in the middle of an event (gevent, eventlet, or a switch"
    " of its own): call nothing that switches greenlets in a handler"
)

MASKED: Final = " (hidden by an exit in a finally block)"
AFTER: Final = " (after the last message to Kong)"
"""What Kong's log is told of an exception that did not decide how the event ended."""


class Unwind(BaseException):
    """Unwinds a handler whose event has sent its last message."""


class Outcome:
    """How an event ended.

    :param call: the last message for Kong, ``(method, args)``; None for a plain ``"ret"``.
    :param error: set when the RPC itself is to be answered with an error.
    :param how: ``"returned"``, ``"exited"``, ``"raised"``, ``"refused"`` or ``"cancelled"``.
    """

    __slots__ = ("call", "error", "how")

    def __init__(
        self,
        call: tuple[str, tuple[Any, ...]] | None = None,
        error: str | None = None,
        how: str = "returned",
    ) -> None:
        self.call = call
        self.error = error
        self.how = how


RETURNED: Final = Outcome()
"""A handler that came to its end without a last word."""

Out: TypeAlias = "tuple[Any, str, tuple[Any, ...]] | Outcome"
"""What comes out of an event: its runner with a callback's method and arguments, or how it ended."""


def summary(plugin: str, phase: str, error: BaseException) -> str:
    """One line for Kong's log: the plugin, the phase, where it happened and what it was."""
    text = f"plugin {plugin} failed in {phase}: {describe(error)}{place(error)}"
    return text.encode("utf-8", "backslashreplace").decode()


def describe(error: BaseException) -> str:
    """An exception's type and text in one line, whatever its own methods raise."""
    try:
        return cut(" ".join("".join(traceback.format_exception_only(error)).split()))
    except Exception:
        return f"{type(error).__name__} (its text cannot be had)"


def place(error: BaseException) -> str:
    """Where an exception was raised, ``" (file:line)"``; ``""`` when that is not known."""
    at = raised_at(error)
    return f" ({at})" if at else ""
