"""An event: one run of one phase handler, in a greenlet.

Theory of operation.  A handler runs in a :class:`Runner`, a greenlet whose parent is the main
greenlet of the stepper thread that made it; only that thread may switch it.  The stepper switches
*in* to start a handler or to hand it a step's value, and the runner switches *out* with what Kong
is to be told next:

* a :class:`tuple` ``(method, args)`` while the handler waits in a callback;
* an :class:`Ending` when the event is over.

To make, start and bury a greenlet costs ten times what it costs to switch to one, so a runner
whose event is over waits for the next one (:class:`Runners`).  Nothing of an event is left in it:
the handler's stack is gone, and each event starts with an empty :mod:`contextvars` context.

Rules kept here:

* a handler that calls ``exit`` or ``error`` is unwound with :class:`Unwind`, which
  ``except Exception`` does not catch; the call that it carries is the event's last message even if
  the handler swallows it;
* once an event has ended, every further PDK call raises and sends nothing;
* whatever a handler raises ends its own event only, and the request fails closed where its phase
  lets Kong answer the client (:data:`ANSWERING`), unless the plugin chose to go on.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeAlias

from greenlet import GreenletExit, getcurrent, greenlet

from ..errors import EventEndedError, OutsideEventError, PDKError, PhaseError
from ..spec.functions import FORBIDDEN, FUNCTIONS
from .masked import hidden
from .placement import Pace

PHASES: Final = ("certificate", "rewrite", "access", "response", "preread", "log")
"""The phases that a plugin can have a handler for."""

ANSWERING: Final = frozenset({"rewrite", "access", "response", "preread"})
"""The phases in which ``kong.response.exit`` can answer the client."""

EXIT: Final = "kong.response.exit"
LOG_ERROR: Final = "kong.log.err"
UNEXPECTED: Final = (500, {"message": "An unexpected error occurred"})
"""The arguments of the ``exit`` that closes the request of a failed handler: Kong's own words."""

HIDDEN: Final = " (hidden by an exit in a finally block)"
AFTER: Final = " (after the last message to Kong)"
"""What Kong's log is told of an exception that did not decide how the event ended."""


class Unwind(BaseException):
    """Unwinds a handler whose event has sent its last message."""


class Abandoned(BaseException):
    """Unwinds a handler that Kong no longer waits for; its text says why."""


class Ending:
    """How an event ended.

    ``call`` is the last message for Kong, ``(method, args)``, or None for a plain ``"ret"``;
    ``error`` is set when the RPC itself is to be answered with an error.
    """

    __slots__ = ("call", "error")

    def __init__(
        self, call: tuple[str, tuple[Any, ...]] | None = None, error: str | None = None
    ) -> None:
        self.call = call
        self.error = error


RETURNED: Final = Ending()
"""A handler that came to its end without a last word."""

Out: TypeAlias = "tuple[str, tuple[Any, ...]] | Ending"
"""What comes out of an event: a callback's method and arguments, or how it ended."""


class Handler:
    """One phase handler of one instance: what all of its events have in common.

    :param plugin: the plugin's name, for messages.
    :param instance_id: the instance that the handler belongs to.
    :param phase: one of :data:`PHASES`.
    :param call: called without arguments, in a runner.
    :param failed: told of an exception that the handler raised, in the runner, before Kong is.
    :param fail_open: let the request go on after such an exception.
    :param pace: whether the phase blocks; shared by all instances of a plugin.
    """

    __slots__ = (
        "call",
        "fail_open",
        "failed",
        "forbidden",
        "instance_id",
        "pace",
        "phase",
        "plugin",
    )

    def __init__(
        self,
        plugin: str,
        instance_id: int,
        phase: str,
        call: Callable[[], object],
        failed: Callable[[Event, BaseException], None],
        fail_open: bool = False,
        pace: Pace | None = None,
    ) -> None:
        self.plugin = plugin
        self.instance_id = instance_id
        self.phase = phase
        self.call = call
        self.failed = failed
        self.fail_open = fail_open
        self.forbidden = FORBIDDEN[phase]
        self.pace = pace or Pace()

    def refusal(self, text: str) -> Ending:
        """How an event ends that came to no good end of its own; ``text`` says why."""
        if self.fail_open:
            return RETURNED
        if self.phase in ANSWERING:
            return Ending((EXIT, UNEXPECTED))
        return Ending(error=text)


class Event:
    """One run of one phase handler.

    :param event_id: the number that Kong sends with every step.
    :param handler: what runs.
    """

    __slots__ = ("ending", "forbidden", "handler", "id", "owner", "runner", "since", "slow")

    runner: Runner
    owner: Any
    """The stepper that started the event; None before that."""
    since: float
    """When its last callback went out, in seconds on the monotonic clock."""

    def __init__(self, event_id: int, handler: Handler) -> None:
        self.id = event_id
        self.handler = handler
        self.forbidden = handler.forbidden
        self.ending: Ending | None = None
        self.owner = None
        self.slow = False
        """Whether one of its slices on a worker was slow, as :mod:`.pace` understands it."""

    @property
    def suspended(self) -> bool:
        """Whether the handler waits in a callback; for an event that was started."""
        return not self.runner.dead and getattr(self.runner, "event", None) is self

    def resume(self, value: Any) -> Out:
        """Give the waiting callback its answer; on the stepper that started the event."""
        out: Out = self.runner.switch(value)
        return out

    def throw(self, error: BaseException) -> Out:
        """Raise ``error`` in the waiting callback; on the stepper that started the event."""
        out: Out = self.runner.throw(error)
        return out

    def run(self) -> Ending:
        """Run the handler to its end, in a runner; what it returns is how the event ended."""
        try:
            self.handler.call()
        except Unwind as unwinding:
            error = hidden(unwinding)
            if error is not None:
                self.handler.failed(self, error)
                self._tell_kong(error, HIDDEN)
        except Abandoned:
            if self.ending is None:
                self.ending = Ending(error=f"event {self.id} was interrupted")
        except BaseException as error:
            if self.ending is None:
                self._fail(error)
            else:
                self.handler.failed(self, error)
                if self.ending.call is not None:
                    self._tell_kong(error, AFTER)
        return self.ending or RETURNED

    def _fail(self, error: BaseException) -> None:
        """Tell our log, settle how the event ends, and tell Kong's log if that does not."""
        handler = self.handler
        handler.failed(self, error)
        self.ending = handler.refusal(summary(handler.plugin, handler.phase, error))
        if self.ending.error is None:
            self._tell_kong(error)

    def _tell_kong(self, error: BaseException, remark: str = "") -> None:
        handler = self.handler
        try:
            text = summary(handler.plugin, handler.phase, error) + remark
            self.runner.ask(LOG_ERROR, (text,))
        except (PDKError, Abandoned):
            pass

    def abandon(self, why: str) -> None:
        """Unwind the handler, which waits in a callback that nobody will answer.

        Only on the stepper that started the event, which then releases the runner.
        """
        self.ending = Ending(error=why)
        self.throw(Abandoned(why))


class Runner(greenlet):
    """A greenlet that runs events, one after another."""

    event: Event

    def __init__(self) -> None:
        super().__init__()
        self.ask: Callable[..., Any] = getcurrent().switch
        """Switch to the stepper with a callback's method and arguments; comes back with the
        answer."""

    def run(self, event: Event) -> None:
        """Run ``event``, hand out its :class:`Ending`, and wait for the next one."""
        while True:
            self.event = event
            ending = event.run()
            del event, self.event
            event = self.ask(ending)


class Runners:
    """The runners of one thread, which alone may use them.

    :param spare: how many idle runners are kept at the most.
    """

    def __init__(self, spare: int = 256) -> None:
        self._idle: list[Runner] = []
        self._spare = spare

    def start(self, event: Event) -> Out:
        """Start the event's handler."""
        try:
            runner = self._idle.pop()
            runner.gr_context = None
        except IndexError:
            runner = Runner()
        event.runner = runner
        out: Out = runner.switch(event)
        return out

    def release(self, event: Event) -> None:
        """Take back the runner of an event that is over."""
        if event.runner.dead:
            return
        if len(self._idle) < self._spare:
            self._idle.append(event.runner)
        else:
            event.runner.throw(GreenletExit)

    def close(self) -> None:
        """End the idle runners."""
        while self._idle:
            self._idle.pop().throw(GreenletExit)


def summary(plugin: str, phase: str, error: BaseException) -> str:
    """One line for Kong's log: the plugin, the phase, where it happened and what it was."""
    what = " ".join("".join(traceback.format_exception_only(error)).split())
    text = f"plugin {plugin} failed in {phase}: {what}{place(error)}"
    return text.encode("utf-8", "backslashreplace").decode()


def place(error: BaseException) -> str:
    """Where an exception was raised, ``" (file:line)"``; ``""`` when that is not known."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def callback(method: str, *args: Any) -> Any:
    """Ask Kong to call one of its PDK functions, and wait for what comes back.

    :param method: the function's full name, such as ``"kong.request.get_header"``.
    :param args: its arguments, sent as they are; a None in them cuts off what follows it.
    :returns: what Kong sent back, decoded from MessagePack; None when it sent nothing.
    :raises PDKError: when Kong answers with ``StepError``.
    :raises PhaseError: in a phase in which Kong would throw; nothing is sent.
    :raises OutsideEventError: where no event runs.
    :raises EventEndedError: after the event's last message.
    """
    return _runner(method).ask(method, args)


def finish(method: str, *args: Any) -> NoReturn:
    """Send the event's last message, to which Kong gives no answer, and unwind the handler.

    Arguments and errors are those of :func:`callback`.
    """
    _runner(method).event.ending = Ending((method, args))
    raise Unwind


def current() -> Event:
    """The event whose handler calls.

    :raises OutsideEventError: where no event runs.
    """
    runner = getcurrent()
    if type(runner) is not Runner:
        raise _outside("the current event")
    return runner.event


def _runner(method: str) -> Runner:
    """The runner that calls, if it may call this function now."""
    runner = getcurrent()
    if type(runner) is not Runner:
        raise _outside(method)
    event = runner.event
    if event.ending is not None:
        raise _ended(event, method)
    if method in event.forbidden:
        raise _forbidden(event, method)
    return runner


def _outside(method: str) -> OutsideEventError:
    ancestor = getcurrent().parent
    while ancestor is not None:
        if type(ancestor) is Runner:
            return OutsideEventError(
                f"{method} was called in a greenlet that the plugin made itself: "
                "call it in the handler's own greenlet"
            )
        ancestor = ancestor.parent
    if threading.current_thread() is threading.main_thread():
        where = "while no event runs"
    else:
        where = f"in the thread {threading.current_thread().name!r}, which runs no event"
    return OutsideEventError(f"{method} was called {where}: call it in a phase handler")


def _ended(event: Event, method: str) -> EventEndedError:
    call = event.ending.call if event.ending is not None else None
    after = f"after {call[0]}, which" if call is not None else f"after event {event.id}"
    return EventEndedError(f"{method} was called {after} ended: Kong no longer listens to it")


def _forbidden(event: Event, method: str) -> PhaseError:
    phase = event.handler.phase
    unusable = FUNCTIONS[method].unusable
    if unusable:
        return PhaseError(f"{method} cannot be called from a plugin server: {unusable}")
    return PhaseError(f"{method} cannot be called in the {phase} phase: Kong would refuse it")
