"""An event: one run of one phase handler, in a greenlet.

Theory of operation.  A handler runs in a :class:`Runner`, a greenlet whose parent is the main
greenlet of the worker that made it; only that thread may switch it.  The worker switches *in* to start
a handler or to hand it a step's value, and the runner switches *out* with what Kong is to be told next:

* ``(runner, method, args)`` while the handler waits in a callback;
* ``(runner, outcome)`` when the event is over.

What comes out is believed only if it carries the runner that was switched to
(:meth:`Event.understand`): a handler may switch greenlets itself, and then what comes out is another's.

To make, start and bury a greenlet costs ten times what it costs to switch to one, so a runner
whose event is over waits for the next one (:class:`Runners`).  Nothing of an event is left in it:
the handler's stack is gone, and each event starts with an empty :mod:`contextvars` context.

Rules kept here:

* what a handler raised is kept in the event until nobody can interrupt its thread any more, and only
  then told (:meth:`Event.report`): telling takes locks;
* a runner whose event did not come to its end by itself is never used again;
* a handler that calls ``exit`` or ``error`` is unwound with :class:`Unwind`, which
  ``except Exception`` does not catch; the call that it carries is the event's last message even if
  the handler swallows it;
* once an event has ended, every further PDK call raises and sends nothing;
* whatever a handler raises ends its own event only, and the request fails closed where its phase
  lets Kong answer the client (:meth:`Handler.refusal`), unless the plugin chose to go on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from ..errors import ForeignSwitchError, PDKError
from ..runtime.interrupts import Cancelled
from ..runtime.requests import Task
from ..spec.functions import PATIENT
from .handler import Handler
from .masked import masked_exception
from .outcome import (
    AFTER,
    FOREIGN,
    LOG_ERROR,
    MASKED,
    RETURNED,
    Out,
    Outcome,
    Unwind,
    summary,
)


class Event(Task):
    """One run of one phase handler.

    :param event_id: the number that Kong sends with every step.
    :param handler: what runs.
    :param ended: told once that the event is over, in whatever way.
    """

    __slots__ = (
        *("_ended", "forbidden", "habits", "handler"),
        *("outcome", "runner", "trips", "unsent"),
    )

    runner: Runner

    def __init__(
        self, event_id: int, handler: Handler, ended: Callable[[Event], object] | None = None
    ) -> None:
        # Spelt out instead of calling Task's: one is made for each event.
        self.id = event_id
        self.kind = handler.plugin
        self.placement = handler.placement
        self.owner = None
        self.peer = None
        self.since = 0.0
        self.slow = False
        self.raised = None
        self.asked = ""
        self.asks = 0
        self.spent = self.waited = 0.0
        self.handler = handler
        self.forbidden = handler.forbidden
        self.outcome: Outcome | None = None
        self.habits = handler.habits
        self.trips: Any = None
        """What it remembers (:mod:`.trips`); None for nothing."""
        self.unsent: tuple[str, tuple[Any, ...], Any] | None = None
        """A call that waits to travel with others, and what :mod:`.trips` knows of it."""
        self._ended = ended

    # -- as the runtime sees it

    @property
    def suspended(self) -> bool:
        """Whether the handler waits in a callback."""
        runner = getattr(self, "runner", None)
        return runner is not None and not runner.dead and runner.event is self

    @property
    def patient(self) -> bool:
        """Whether it waits for a callback in which Kong itself waits for somebody."""
        return self.asked in PATIENT

    @property
    def timeout(self) -> float | None:
        """Seconds that one of its requests may take; None for the server's own."""
        return self.handler.request_timeout

    def look(self) -> None:
        """Tell the placement what the handler holds at its callback."""
        self.handler.placement.look(self.runner.gr_frame)

    def cancel(self, why: str) -> None:
        """Unwind the handler, which waits in a callback that nobody will answer."""
        if self.outcome is None:
            self.outcome = Outcome(error=why, how="cancelled")
        self._unwind(Cancelled(why))

    def report(self) -> None:
        """Tell what the handler raised."""
        raised, self.raised = self.raised or (), None
        for error in raised:
            try:
                self.handler.failed(self, error)
            except Exception:
                continue

    def end(self) -> None:
        """Count it, and give the runner back, if there is one that can be used again."""
        handler, owner = self.handler, self.owner
        handler.events.pop(self, None)
        if owner is not None:
            outcome = self.outcome
            how = RETURNED.how if outcome is None else outcome.how
            owner.book.count(handler.label, how, self.spent, self.waited, self.asks)
        try:
            runner = self.runner
        except AttributeError:
            pass  # it never began
        else:
            runner.home.release(runner)
        if self._ended is not None:
            self._ended(self)

    # -- slices, on the thread that owns the event

    def resume(self, value: Any) -> Out:
        """Give the waiting callback its answer."""
        return self.understand(self.runner.switch(value))

    def throw(self, error: BaseException) -> Out:
        """Raise ``error`` in the waiting callback."""
        return self.understand(self.runner.throw(error))

    def understand(self, out: Any) -> Out:
        """What came out of a switch to this event's runner, if it came from there.

        Anything else ends the event with its refusal: the handler, or what it calls, switches greenlets
        behind our back, and nobody can tell whose answer would be given to whom.
        """
        runner = self.runner
        if type(out) is tuple and out and out[0] is runner and not runner.broken:
            if len(out) == 3:
                self.asked = out[1]
                return out
            if len(out) == 2 and type(out[1]) is Outcome:
                return out[1]
        return self.broke(ForeignSwitchError(FOREIGN.format(self.handler.plugin)), out)

    def broke(self, error: BaseException, out: Any = None) -> Outcome:
        """End an event whose handler did not come back the way it went in."""
        self.runner.broken = True
        if type(out) is tuple and out and type(out[0]) is Runner:
            out[0].broken = True
        self.note(error)
        handler = self.handler
        self.outcome = handler.refusal(summary(handler.plugin, handler.phase, error), "raised")
        self._unwind(Cancelled("the event was refused"))
        return self.outcome

    def _unwind(self, error: BaseException) -> None:
        runner = self.runner
        if not runner.dead and runner.event is self:
            try:
                runner.throw(error)
            except Cancelled:
                raise
            except BaseException as other:
                self.note(other)

    # -- in the runner

    def run(self) -> Outcome:
        """Run the handler to its end; what it returns is how the event ended."""
        handler = self.handler
        try:
            # Not a partial: a call out of C costs each switch of the greenlet a fifth more.
            handler.call(handler.argument)
            if self.unsent is not None and self.outcome is None:
                self.send()
        except Unwind as unwinding:
            error = masked_exception(unwinding)
            if error is not None:
                self.note(error)
                self._tell_kong(error, MASKED)
        except Cancelled:
            if self.outcome is None:
                self.outcome = self.handler.refusal(f"event {self.id} was interrupted")
        except BaseException as error:
            self.note(error)
            if self.outcome is None:
                self._fail(error)
            elif self.outcome.call is not None:
                self._tell_kong(error, AFTER)
        return self.outcome or RETURNED

    def send(self) -> None:
        """Send the call that waits, if there is one; raises :class:`PDKError` when Kong refuses it."""
        unsent, self.unsent = self.unsent, None
        if unsent is not None:
            self.runner.ask(self.runner, unsent[0], unsent[1])

    def note(self, error: BaseException) -> None:
        """Keep what its code has raised, to be told by :meth:`report`."""
        self.raised = [*(self.raised or ()), error]

    def _fail(self, error: BaseException) -> None:
        """Settle how the event ends, and tell Kong's log if that does not."""
        handler = self.handler
        self.outcome = handler.refusal(summary(handler.plugin, handler.phase, error), "raised")
        try:
            self.send()
        except PDKError as other:
            self.note(other)
        except Cancelled:
            return
        if self.outcome.error is None:
            self._tell_kong(error)

    def _tell_kong(self, error: BaseException, remark: str = "") -> None:
        handler = self.handler
        try:
            text = summary(handler.plugin, handler.phase, error) + remark
            self.runner.ask(self.runner, LOG_ERROR, (text,))
        except (PDKError, Cancelled):
            pass


class Runner(greenlet):
    """A greenlet that runs events, one after another.

    :param home: the pool that it goes back to.
    :param ask: switches to the worker with this runner and what Kong is to be told; returns the answer.
    """

    __slots__ = ("ask", "broken", "event", "home")

    def __init__(self, home: Runners, ask: Callable[..., Any]) -> None:
        super().__init__()
        self.home = home
        self.event: Event | None = None
        """What it runs; None while it is at rest."""
        self.broken = False
        """Whether something other than this module has switched to or from it."""
        self.ask = ask

    def run(self, event: Event) -> None:
        """Run ``event``, hand out its :class:`Outcome`, and wait for the next one."""
        while True:
            self.event = event
            outcome = event.run()
            del event
            self.event = None
            event = self.ask(self, outcome)


class Runners:
    """The runners of one thread, which alone may use them.

    :param spare: how many idle runners are kept at the most.
    """

    def __init__(self, spare: int = 256) -> None:
        self._idle: list[Runner] = []
        self._spare = spare
        self._ask: Callable[..., Any] | None = None

    def start(self, event: Event) -> object:
        """Start the event's handler; gives what comes out of its runner, for :meth:`Event.understand`."""
        try:
            runner = self._idle.pop()
            runner.gr_context = None
        except IndexError:
            self._ask = self._ask or getcurrent().switch
            runner = Runner(self, self._ask)
        event.runner = runner
        out: object = runner.switch(event)
        return out

    def release(self, runner: Runner) -> None:
        """Take back the runner of an event that is over, if it is at rest."""
        if runner.dead or runner.broken or runner.event is not None:
            return
        if len(self._idle) < self._spare:
            self._idle.append(runner)
        else:
            runner.throw(GreenletExit)

    def close(self) -> None:
        """End the idle runners."""
        while self._idle:
            self._idle.pop().throw(GreenletExit)
