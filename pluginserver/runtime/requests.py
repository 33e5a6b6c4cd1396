"""What steppers give each other to do, and the replies that come of it.

A request that the leader does not handle to its end itself is a :class:`Job`.  Who takes a job out
of the crew's jobs has claimed the right to answer it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..events.event import Ending, Event, Out
from ..rpc.frames import failure
from .connection import Connection


class Job:
    """A request that is not in the leader's hands: on its way to a worker, or on one.

    :param event: the event that it starts or steps; None for a control request.
    :param act: what does the work: it takes ``value``, and what it gives comes out of the event.
        None to have a worker start the event.
    :param since: when the request came, in seconds on the monotonic clock.

    ``late`` says that it was answered because its time was over.
    """

    __slots__ = ("act", "connection", "event", "late", "message_id", "since", "value")

    def __init__(
        self,
        connection: Connection,
        message_id: int,
        event: Event | None,
        act: Callable[[Any], Any] | None,
        value: Any,
        since: float,
    ) -> None:
        self.late = False
        self.connection = connection
        self.message_id = message_id
        self.event = event
        self.act = act
        self.value = value
        self.since = since


class Abandon:
    """Told to the owner of an event that nobody waits for any more; the event is claimed
    already."""

    __slots__ = ("event", "why")

    def __init__(self, event: Event, why: str) -> None:
        self.event = event
        self.why = why


LEAD: Final = object()
"""Told to a stepper that holds the baton from now on."""

STOP: Final = object()
"""Told to every stepper at the end."""

LATE: Final = "its time was over"
"""Why an event is abandoned whose request was answered without it."""

PACK_ERRORS: Final = (TypeError, ValueError, OverflowError, RecursionError)
"""What an encoder raises for a value that it cannot carry."""


def result(event: Event, out: Out) -> dict[str, Any]:
    """What ``HandleEvent`` and the steps answer when ``out`` came out of the event."""
    data: Any = "ret"
    if isinstance(out, tuple):
        data = {"Method": out[0], "Args": out[1] or None}
    elif out.call is not None:
        data = {"Method": out.call[0], "Args": out.call[1]}
    return {"EventId": event.id, "Data": data}


def unsendable(method: str, error: BaseException) -> TypeError:
    """What a callback raises whose arguments an encoder refused with ``error``."""
    return TypeError(f"{method}: MessagePack cannot carry this: {error}")


def last_reply(
    pack: Callable[[Any], bytes], message_id: int, event: Event, ending: Ending
) -> bytes:
    """The response that tells Kong how an event ended."""
    if ending.error is not None:
        return failure(pack, message_id, ending.error)
    try:
        return pack([1, message_id, None, result(event, ending)])
    except PACK_ERRORS as error:
        event.handler.failed(event, error)
        return last_reply(pack, message_id, event, event.handler.refusal(str(error)))
