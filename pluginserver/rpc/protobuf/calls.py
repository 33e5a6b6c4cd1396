"""What a client of ProtoBuf:1 asks for, and what it is told: on the thread that it is for.

An event has its connection to itself, so what is known of it is kept there, in a :class:`Talk`.  Rules kept
here:

* there is no message that carries an error: what goes wrong in an event closes the request by an ``exit``,
  or is told to Kong's log; the connection is closed for no handler's sake, since Kong would run it again;
* if Kong answers what says how an event ended, its *last words*, then that is ended as if it had returned,
  and the connection serves on;
* who answers says what is to be read before it sends;
* a handler that comes back late changes nothing that another call looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ...errors import PDKError, PluginServerError
from ...events.event import Event
from ...events.outcome import Outcome, describe
from ...logs import get_logger
from ...runtime.connection import Connection
from ...runtime.interrupts import Cancelled
from ...runtime.pool import CLOSED
from ...runtime.requests import Peer, Pong, Request
from ..calls import PING, Context, EventCall, made
from ..replies import PACK_ERRORS
from .asks import Ask, Given
from .functions import ask, closing, last_words
from .messages import encode
from .plain import PLAIN
from .wire import WireError, frame, varint

_END: Final = frame(b"")
"""The handler is done."""

_PING: Final = PLAIN[PING](()).frames


class Talk:
    """What a connection is in the middle of: one call, to its end.

    :param sequence: the number of the call.
    """

    __slots__ = ("call", "event", "failure", "read", "said", "sequence")

    read: Callable[[bytes], Any]
    """Reads what answers the event's callback."""

    def __init__(self, sequence: int = 0) -> None:
        self.sequence: Final = sequence
        self.event: Event | None = None
        """The event that has the connection to itself."""
        self.call: TalkCall | None = None
        """What was made of the event's last frame."""
        self.said: Ask | None = None
        """Its last words, if they were said for it by who had claimed its call."""
        self.failure = ""
        """Why the connection is to be closed."""

    def over(self, event: Event) -> None:
        """Let the connection go on, if the event has ended as one that returns, or is about to."""
        outcome = event.outcome
        if outcome is None or (outcome.call is None and outcome.error is None):
            self.event = None

    @property
    def words(self) -> Ask | None:
        """The last words that Kong was told, or is about to be; None before that."""
        return self.said or (None if self.call is None else self.call.words)

    def say(self, words: Ask | None) -> bytes:
        """How an event ends that somebody else ends; by who has claimed its call.

        :param words: None when it is to look as if it had returned.
        """
        self.said = words
        if words is not None:
            return words.frames
        self.event = None
        return self.end()

    def answered(self, data: bytes) -> bytes:
        """What follows when Kong answers the last words."""
        words = self.words
        assert words is not None
        try:
            out = words.read(data)
        except (PDKError, WireError):
            out = None
        self.call = None
        return self.say(out if type(out) is Ask else None)

    def end(self) -> bytes:
        """The end of an event."""
        return _END + frame(b"\x08" + varint(self.sequence))


class TalkCall(EventCall):
    """A request that begins an event or goes on with it.

    :param talk: what its connection is in the middle of.
    """

    __slots__ = ("talk", "words")

    talk: Talk
    words: Ask | None
    """The last words that its reply is; None when it is none."""

    @staticmethod
    def make(peer: Peer, talk: Talk, event: Event, data: bytes | None) -> TalkCall:
        """Make one.

        :param data: Kong's answer to the event's callback; None to begin it.
        """
        self = made(TalkCall, peer, 0, event, data)
        if data is None and event.habits is not None:
            event.habits = event.habits.one_by_one
        self.words = None
        self.talk = talk
        talk.call = self
        return self

    def perform(self, context: Context) -> None:
        """Run the handler to its next callback or its end."""
        event = self.event
        try:
            out = self._go_on(context)
            while type(out) is tuple:
                try:
                    one = ask(out[1], out[2])
                except PDKError as error:
                    out = event.throw(error)
                except PACK_ERRORS as error:
                    out = event.throw(_unsendable(out[1], error))
                else:
                    if not isinstance(one, Given):
                        return self._ask(one)
                    out = event.resume(one.value)
            if type(out) is Ask:
                return self._ask(out)
            assert type(out) is Outcome
        except Cancelled:
            raise
        except BaseException as error:
            out = event.broke(error)
        self.value = out
        self.words = _last(event, out)
        self.reply = self.talk.end() if self.words is None else self.words.frames

    def _go_on(self, context: Context) -> Any:
        """What comes out of the event, or what is to be asked before it can go on."""
        event, data = self.event, self.value
        if data is None:
            return event.understand(context.runners.start(event))
        try:
            value = self.talk.read(data)
        except PDKError as error:
            return event.throw(error)
        except WireError as error:
            return event.throw(PDKError(f"{event.asked}: Kong's answer cannot be read: {error}"))
        return value if type(value) is Ask else event.resume(value)

    def _ask(self, one: Ask) -> None:
        self.talk.read = one.read
        self.reply = one.frames
        self.suspended = True

    @property
    def pointless(self) -> bool:
        """Whether Kong has closed the connection."""
        return isinstance(self.peer, Connection) and self.peer.closed

    def ping_message(self) -> bytes:
        """A callback that is legal in every phase, and that nobody's handler has made."""
        return _PING

    def encoded(self) -> bytes:
        """The reply: nothing in it depends on who asks."""
        return self.reply

    def refuse(self, why: str) -> bytes:
        """Answer without the handler, and say so in the log; of what nobody waits for nothing is said."""
        if why is CLOSED:
            self.event.outcome = Outcome(error=why, how="cancelled")
            return b""
        return super().refuse(why)

    def refusal(self, why: str) -> bytes:
        """The reply without the handler, which fails closed where its phase can."""
        event = self.event
        event.outcome = event.handler.refusal(why)
        if event.owner is None:
            event.handler.unbegun.note()
        return self.talk.say(_last(event, event.outcome))


class TalkPong(Pong[Context]):
    """What answers a ping."""

    __slots__ = ()

    def take_over(self) -> None:
        """There is nothing to take over: the connection is the same."""


class TalkControl(Request[Context]):
    """A request that is about no event.

    :param talk: what its connection is in the middle of.
    :param what: what it is, for the log.
    :param function: gives the fields of what is answered.
    """

    __slots__ = ("function", "talk", "what")

    def __init__(
        self, peer: Peer, talk: Talk, what: str, function: Callable[[], dict[str, Any]]
    ) -> None:
        super().__init__(peer, None)
        self.talk = talk
        self.what = what
        self.function = function

    def perform(self, _context: Context) -> None:
        """Call the function."""
        try:
            fields = {"sequence": self.talk.sequence, **self.function()}
            self.reply = frame(encode("RpcReturn", fields))
        except PluginServerError as error:
            get_logger().error(f"{self.what} was refused: {error}")
            self.reply = self.refuse(str(error))
        except Cancelled:
            raise
        except BaseException as error:
            get_logger().error(f"{self.what} failed", exc_info=error)
            self.reply = self.refuse(f"internal error: {describe(error)}")

    def refuse(self, why: str) -> bytes:
        """Have the connection closed: nothing else tells Kong that something failed."""
        self.talk.failure = f"{self.what} was refused: {why}"
        return b""


def refused(talk: Talk, phase: str, why: str) -> bytes:
    """What tells Kong that an event cannot begin."""
    return talk.say(closing(phase, why))


def _last(event: Event, outcome: Outcome) -> Ask | None:
    """What tells Kong how an event ended, always something that can be sent; None if as one that returns."""
    try:
        return last_words(outcome, event.handler.phase)
    except Exception as error:
        event.raised = [*(event.raised or ()), error]
        event.outcome = event.handler.refusal(describe(error), "raised")
        return _last(event, event.outcome)


def _unsendable(name: str, error: BaseException) -> TypeError:
    """What a call raises whose arguments cannot be sent."""
    return TypeError(f"{name}: Kong's ProtoBuf:1 cannot carry this: {describe(error)}")
