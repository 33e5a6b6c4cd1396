"""What a client is told, in MessagePack-RPC: the one place where responses are made.

    response   [1, msgid, error, nil]            the request cannot be answered with a result
               [1, msgid, nil, result]           a control method's result
               [1, msgid, nil, {EventId, Data}]  an event: Data is {Method, Args}, or "ret" when it is over

A callback without arguments has nil for ``Args``, as go-pluginserver writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from ..errors import cut
from ..events.event import Event
from ..events.outcome import Outcome, describe
from . import pieces

Pack: TypeAlias = Callable[[Any], bytes]

PACK_ERRORS: Final = (TypeError, ValueError, OverflowError, RecursionError)
"""What an encoder raises for a value that it cannot carry."""


def result(pack: Pack, message_id: int, value: Any) -> bytes:
    """The response to a control request.

    :raises TypeError, ValueError, OverflowError: for a value that cannot be carried.
    """
    try:
        return pack([1, message_id, None, value])
    except pieces.LongText:
        return pieces.encode(pack, [1, message_id, None, value])


def failure(pack: Pack, message_id: int, text: str) -> bytes:
    """The response that carries an error.

    :param text: any text; what UTF-8 cannot carry in it is escaped, and a long one is cut.
    """
    text = cut(text)
    try:
        return pack([1, message_id, text, None])
    except UnicodeEncodeError:
        return pack([1, message_id, text.encode("utf-8", "backslashreplace").decode(), None])


def callback(
    pack: Pack, message_id: int, event_id: int, method: str, args: tuple[Any, ...]
) -> bytes:
    """The response that asks Kong for a callback.

    :raises TypeError, ValueError, OverflowError: for arguments that cannot be carried.
    """
    frame = [
        1,
        message_id,
        None,
        {"EventId": event_id, "Data": {"Method": method, "Args": args or None}},
    ]
    try:
        return pack(frame)
    except pieces.LongText:
        return pieces.encode(pack, frame)


def unsendable(method: str, error: BaseException) -> TypeError:
    """What a callback raises whose arguments an encoder refused with ``error``."""
    return TypeError(f"{method}: MessagePack cannot carry this: {describe(error)}")


def ended(pack: Pack, message_id: int, event: Event, outcome: Outcome) -> bytes:
    """The response that tells Kong how an event ended: always one that can be sent."""
    if outcome.error is not None:
        return failure(pack, message_id, outcome.error)
    if outcome.call is None:
        return pack([1, message_id, None, {"EventId": event.id, "Data": "ret"}])
    try:
        return callback(pack, message_id, event.id, *outcome.call)
    except BaseException as error:
        event.raised = [*(event.raised or ()), error]
        event.outcome = event.handler.refusal(describe(error), "raised")
        return ended(pack, message_id, event, event.outcome)
