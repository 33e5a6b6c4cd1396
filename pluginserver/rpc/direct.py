"""The short way of the requests that nearly all requests are: a step, or the beginning of an event.

It stands beside the general way (:mod:`.messagepack`, :mod:`.frames`, :mod:`.methods`, :mod:`.calls`), whose
checks it makes in few calls, for the frames that Kong's client writes: alone in what was read, whole, short,
in UTF-8 and without a mistake.

Rules kept here:

* whatever is not as expected is left to the general way, before anything was done about it: to claim an
  event, or to begin one, is the last thing that is done;
* the reply is that of the general way, to the byte: a test feeds both the same bytes;
* calls are avoided, and a greenlet's ``switch`` is called as a method: that is the whole gain.
"""

from __future__ import annotations

from typing import Any, Final

from msgpack import unpackb

from ..events.event import Event
from ..events.outcome import RETURNED
from ..runtime.interrupts import Cancelled
from ..runtime.requests import Peer
from ..spec.methods import HANDLE_EVENT, STEP_ERROR, STEPS
from .calls import LARGE, Context, EventCall, made
from .methods import Methods

_STEPS: Final = STEPS - {STEP_ERROR}
_BEGIN: Final = object()
"""The value that begins an event."""


class DirectCall(EventCall):
    """An :class:`~.calls.EventCall` whose usual slices, to a callback or a plain end, are one function."""

    __slots__ = ()

    def perform(self, context: Context) -> None:
        """Run the handler to its next callback or its end."""
        event = self.event
        try:
            value = self.value
            if value is _BEGIN:
                out: Any = context.runners.start(event)
                runner = event.runner
            else:
                runner = event.runner
                out = runner.switch(value)
            data: Any = None
            suspended = False
            if type(out) is tuple and out and out[0] is runner and not runner.broken:
                if suspended := len(out) == 3:
                    _, event.asked, args = out
                    data = {"Method": event.asked, "Args": args or None}
                elif len(out) == 2 and out[1] is RETURNED:
                    data = "ret"
            if data is not None:
                try:
                    reply = context.pack_strict(
                        [1, self.message_id, None, {"EventId": event.id, "Data": data}]
                    )
                    if len(reply) > LARGE:
                        context.renew()
                    self.reply = reply
                    self.value = out if suspended else RETURNED
                    self.suspended = suspended
                    return
                except Exception:
                    pass
            self.came(context, out)
        except Cancelled:
            raise
        except BaseException as error:
            self.broke(context, error)


def read(methods: Methods, peer: Peer, data: bytes, only: int = 0) -> EventCall | None:
    """The call that ``data`` is; None, and nothing was done, when that is for the general way to say.

    :param only: the event that alone may be gone on with; 0 for any, and for one that begins.
    """
    try:
        kind, message_id, method, (argument,) = unpackb(data, strict_map_key=False)
        if (
            type(kind) is not int
            or kind != 0
            or type(message_id) is not int
            or message_id < 0
            or type(argument) is not dict
        ):
            return None
        if method in _STEPS:
            number = argument["EventId"]
            if type(number) is not int or (only and number != only):
                return None
            value = argument.get("Data")
            event = methods.claim(number, None)
            if event is None:
                return None
        else:
            value = _BEGIN
            event = None if only or method != HANDLE_EVENT else _begin(methods, argument)
            if event is None:
                return None
    except Exception:
        return None
    return made(DirectCall, peer, message_id, event, value)


def _begin(methods: Methods, argument: dict[Any, Any]) -> Event | None:
    """The event that ``HandleEvent`` begins; None, and there is none, when that is for the general way.

    :raises KeyError: likewise.
    """
    number, phase = argument["InstanceId"], argument["EventName"]
    if type(number) is not int or type(phase) is not str or "EventId" in argument:
        return None
    handler = methods.find(number, phase)
    if handler is None:
        return None
    event = methods.enter(handler, methods.ended)
    if handler.closed or methods.turn_away is not None:
        event.end()
        return None
    return event
