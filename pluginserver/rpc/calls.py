"""The requests that clients make: what each does when it is its turn, on the thread that it is for.

Rules kept here:

* :meth:`perform` is total: whatever a handler, a constructor or an exception's own methods raise, there is
  a reply, and only :class:`~pluginserver.runtime.interrupts.Cancelled` comes out, for a request that
  somebody else has answered;
* a request about an event that cannot be answered as it should be is answered with the event's refusal,
  which fails closed, and never with an RPC error, which older Kongs pass over.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ..errors import PluginServerError
from ..events.event import Event, Runners
from ..events.outcome import Outcome, describe
from ..logs import get_logger
from ..runtime.interrupts import Cancelled
from ..runtime.requests import Peer, Pong, Request
from . import replies
from .frames import packer, strict_packer

new: Final = object.__new__
"""Makes an object whose fields are set afterwards, for a fifth of what a call of its class takes."""

PING: Final = "kong.nginx.get_subsystem"
"""Legal in every phase, without arguments, and without an effect."""

_NUMBER: Final = re.compile(r"\d+(\.\d+)?")
"""Reasons that differ in their numbers only are told once."""

LARGE: Final = 256 * 1024
"""Bytes of a reply after which its encoder is replaced, because an encoder's buffer never shrinks."""


class Context:
    """What requests need of their thread: its encoder and its runners."""

    __slots__ = ("pack", "pack_strict", "runners")

    def __init__(self) -> None:
        self.renew()
        self.runners = Runners()

    def renew(self) -> None:
        """Take other encoders, after a large reply."""
        self.pack = packer()
        self.pack_strict = strict_packer()


class EventCall(Request[Context]):
    """A request that begins an event or goes on with it: ``HandleEvent``, and the steps.

    :param peer: who is answered.
    :param message_id: the request's id.
    :param event: the event.
    :param value: what is sent to the event; what came out of it when it has run.
    :param act: switches to the event's runner with ``value``, and returns what comes out of it; None to
        begin the event.
    """

    __slots__ = ("act", "event", "message_id", "value")

    act: Callable[[Any], object] | None
    event: Event
    message_id: int
    value: Any

    @staticmethod
    def of(
        peer: Peer,
        message_id: int,
        event: Event,
        act: Callable[[Any], object] | None = None,
        value: Any = None,
    ) -> EventCall:
        """Make one."""
        self = made(EventCall, peer, message_id, event, value)
        self.act = act
        return self

    def perform(self, context: Context) -> None:
        """Run the handler to its next callback or its end."""
        event = self.event
        try:
            act = self.act
            raw = context.runners.start(event) if act is None else act(self.value)
            self.came(context, raw)
        except Cancelled:
            raise
        except BaseException as error:
            self.broke(context, error)

    def came(self, context: Context, raw: object) -> None:
        """Make the reply to what came out of the switch to the event's runner."""
        event = self.event
        out = self.value = event.understand(raw)
        while type(out) is tuple:
            try:
                self.reply = replies.callback(
                    context.pack, self.message_id, event.id, out[1], out[2]
                )
                self.suspended = True
                if len(self.reply) > LARGE:
                    context.renew()
                return
            except replies.PACK_ERRORS as error:
                out = self.value = event.throw(replies.unsendable(out[1], error))
        assert not isinstance(out, tuple)
        self._end(context, out)

    def broke(self, context: Context, error: BaseException) -> None:
        """Make the reply when the switch, or what came of it, raised."""
        out = self.value = self.event.broke(error)
        self._end(context, out)

    def _end(self, context: Context, outcome: Outcome) -> None:
        self.reply = replies.ended(context.pack, self.message_id, self.event, outcome)
        if len(self.reply) > LARGE:
            context.renew()

    def ping_message(self) -> bytes:
        """A callback that is legal in every phase, and that nobody's handler has made."""
        return replies.callback(packer(), self.message_id, self.event.id, PING, ())

    def encoded(self) -> bytes:
        """The reply to what came out of the event, with the message id of now."""
        out = self.value
        if isinstance(out, tuple):
            return replies.callback(packer(), self.message_id, self.event.id, out[1], out[2])
        return replies.ended(packer(), self.message_id, self.event, out)

    def refuse(self, why: str) -> bytes:
        """Answer without the handler, and say so in the log."""
        event = self.event
        reply = self.refusal(why)
        assert event.outcome is not None
        handler = event.handler
        repeats = handler.refusals.note(_NUMBER.sub("N", why))
        if repeats is not None:
            answered = "the client gets a 500" if event.outcome.call else "the request went on"
            get_logger().error(
                f"{why}: the request was answered without it, {answered}",
                plugin=handler.plugin,
                phase=handler.phase,
                instance=handler.instance_id,
                event=event.id,
                repeats=repeats,
            )
        return reply

    def refusal(self, why: str) -> bytes:
        """The reply without the handler, which fails closed where its phase can."""
        event = self.event
        event.outcome = event.handler.refusal(why)
        if event.owner is None:
            event.handler.unbegun.note()
        return replies.ended(packer(), self.message_id, event, event.outcome)


K = TypeVar("K", bound=EventCall)


def made(kind: type[K], peer: Peer, message_id: int, event: Event, value: Any) -> K:
    """A call of one kind, without what only its kind has.

    Spelt out, and calling nothing: one is made for each RPC.

    :param value: as in :class:`EventCall`.
    """
    self = new(kind)
    self._unclaimed = [None]
    self._raising = self.over = self.suspended = False
    self.reply = b""
    self.since = 0.0
    self.ping = None
    self.peer = peer
    self.message_id = message_id
    self.task = self.event = event
    self.value = value
    return self


class EventPong(Pong[Context]):
    """A step that answers a ping."""

    __slots__ = ("message_id",)

    def __init__(self, peer: Peer, message_id: int, pinged: EventCall) -> None:
        super().__init__(peer, pinged)
        self.message_id = message_id

    def take_over(self) -> None:
        """Have the handler's reply answer this step."""
        pinged = self.pinged
        assert isinstance(pinged, EventCall)
        pinged.peer = self.peer
        pinged.message_id = self.message_id


class Control(Request[Context]):
    """A request that is about no event.

    :param function: what does it.
    :param argument: what that gets.
    """

    __slots__ = ("argument", "function", "message_id")

    def __init__(
        self, peer: Peer, message_id: int, function: Callable[[Any], object], argument: Any
    ) -> None:
        super().__init__(peer, None)
        self.message_id = message_id
        self.function = function
        self.argument = argument

    def perform(self, context: Context) -> None:
        """Call the function."""
        try:
            value = self.function(self.argument)
            self.reply = replies.result(context.pack, self.message_id, value)
        except PluginServerError as error:
            self.reply = replies.failure(context.pack, self.message_id, str(error))
        except Cancelled:
            raise
        except BaseException as error:
            get_logger().error("a request failed", exc_info=error)
            text = f"internal error: {describe(error)}"
            self.reply = replies.failure(context.pack, self.message_id, text)

    def refuse(self, why: str) -> bytes:
        """Answer with an error."""
        return replies.failure(packer(), self.message_id, why)
