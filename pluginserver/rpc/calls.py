"""The requests that clients make: what each does when it is its turn, on the thread that it is for.

Rules kept here:

* :meth:`perform` is total: whatever a handler, a constructor or an exception's own methods raise, there is
  a reply, and only :class:`~pluginserver.runtime.interrupts.Cancelled` comes out, for a request that
  somebody else has answered;
* a request about an event that cannot be answered as it should be is answered with the event's refusal,
  which fails closed, and never with an RPC error, which older Kongs pass over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..errors import PDKError, PluginServerError
from ..events.event import Event, Out, Runners, describe
from ..logs import get_logger
from ..runtime.interrupts import Cancelled
from ..runtime.requests import Peer, Request
from . import replies
from .frames import packer

LARGE: Final = 256 * 1024
"""Bytes of a reply after which its encoder is replaced, because an encoder's buffer never shrinks."""


class Context:
    """What requests need of their thread: its encoder and its runners."""

    __slots__ = ("pack", "runners")

    def __init__(self) -> None:
        self.pack = packer()
        self.runners = Runners()

    def renew(self) -> None:
        """Take another encoder, after a large reply."""
        self.pack = packer()


class EventCall(Request[Context]):
    """A request that begins an event or goes on with it.

    :param peer: who is answered.
    :param message_id: the request's id.
    :param event: the event.
    """

    __slots__ = ("event", "message_id")

    def __init__(self, peer: Peer, message_id: int, event: Event) -> None:
        super().__init__(peer, event)
        self.message_id = message_id
        self.event = event

    def advance(self, context: Context) -> Out:
        """Switch to the event's runner.

        :returns: what comes out of it.
        """
        raise NotImplementedError

    def perform(self, context: Context) -> None:
        """Run the handler to its next callback or its end."""
        event = self.event
        try:
            out = self.advance(context)
            while type(out) is tuple:
                try:
                    self.reply = replies.callback(
                        context.pack, self.message_id, event.id, out[0], out[1]
                    )
                    self.suspended = True
                    if len(self.reply) > LARGE:
                        context.renew()
                    return
                except replies.PACK_ERRORS as error:
                    out = event.throw(replies.unsendable(out[0], error))
            assert not isinstance(out, tuple)
        except Cancelled:
            raise
        except BaseException as error:
            out = event.broke(error)
        self.reply = replies.ended(context.pack, self.message_id, event, out)
        if len(self.reply) > LARGE:
            context.renew()

    def refuse(self, why: str) -> bytes:
        """Answer without the handler, which fails closed where its phase can."""
        event = self.event
        event.outcome = event.handler.refusal(why)
        handler = event.handler
        repeats = handler.refusals.note(why)
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
        return replies.ended(packer(), self.message_id, event, event.outcome)


class Start(EventCall):
    """``HandleEvent``."""

    __slots__ = ()

    def advance(self, context: Context) -> Out:
        """Start the handler."""
        return context.runners.start(self.event)


class Step(EventCall):
    """A callback's answer.

    :param value: what Kong sent back.
    """

    __slots__ = ("value",)

    def __init__(self, peer: Peer, message_id: int, event: Event, value: Any) -> None:
        super().__init__(peer, message_id, event)
        self.value = value

    def advance(self, context: Context) -> Out:
        """Hand it to the handler."""
        return self.event.resume(self.value)


class StepError(Step):
    """A callback that failed; ``value`` is the text."""

    __slots__ = ()

    def advance(self, context: Context) -> Out:
        """Raise it in the handler."""
        return self.event.throw(PDKError(self.value))


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
