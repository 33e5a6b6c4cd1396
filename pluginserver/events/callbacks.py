"""What the PDK calls: ask Kong for something, or send an event's last message.

Rules kept here:

* a call is judged before anything is sent: outside of an event, after its last message, and in a phase in
  which Kong would throw it raises, with a sentence that says what to do;
* a finaliser that the garbage collector runs may be another event's: it cannot call;
* so may one that runs because the last reference is gone: it cannot end the event, and who tries is named;
* the event is found by the greenlet that calls: nothing is made for an event but its runner;
* what need not travel does not, where the handler is to save round trips: see :mod:`.trips`.
"""

from __future__ import annotations

import threading
from typing import Any, NoReturn

from greenlet import getcurrent

from ..errors import EventEndedError, OutsideEventError, PhaseError
from ..logs import called_at
from ..spec.refusals import refusal
from .collection import COLLECTION, in_collection, in_finaliser
from .event import Event, Runner
from .outcome import Outcome, Unwind
from .outside import tell_outside
from .trips import WAYS, travel


def callback(method: str, *args: Any) -> Any:
    """Ask Kong to call one of its PDK functions, and wait for what comes back.

    :param method: the function's full name, such as ``"kong.request.get_header"``.
    :param args: its arguments, sent as they are; a None in them cuts off what follows it.
    :returns: what Kong sent back, decoded from MessagePack; None when it sent nothing.  A later call may
        get the same object: who shows it to a handler makes another one.
    :raises PDKError: when Kong answers with ``StepError``.
    :raises PhaseError: in a phase in which Kong would throw; nothing is sent.
    :raises OutsideEventError: where no event runs, and in a finaliser that the garbage collector calls.
    :raises EventEndedError: after the event's last message.
    """
    event = _event(method)
    if event.habits is not None:
        way = WAYS.get(method)
        if way is not None:
            return way(event, method, args)
        if event.trips is not None or event.unsent is not None:
            return travel(event, method, args)
    runner = event.runner
    return runner.ask(runner, method, args)


def finish(method: str, *args: Any) -> NoReturn:
    """Send the event's last message, to which Kong gives no answer, and unwind the handler.

    Arguments and errors are those of :func:`callback`.

    :raises OutsideEventError: in any finaliser, too.
    """
    event = _event(method)
    if in_finaliser():
        error = _in_finaliser(method)
        event.note(error)
        raise error
    if event.unsent is not None:
        event.send()
    event.outcome = Outcome((method, args), how="exited")
    raise Unwind


def current() -> Event:
    """The event whose handler calls.

    :raises OutsideEventError: where no event runs.
    """
    runner = getcurrent()
    if type(runner) is not Runner:
        raise _outside("the current event")
    assert runner.event is not None
    return runner.event


def in_event() -> bool:
    """Whether it is a handler that asks."""
    return type(getcurrent()) is Runner


def _event(method: str) -> Event:
    """The event whose handler calls, if it may call this function now."""
    runner = getcurrent()
    if type(runner) is not Runner:
        raise _outside(method)
    if COLLECTION.thread and in_collection():
        raise _in_finaliser(method)
    event = runner.event
    assert event is not None
    if event.outcome is not None:
        raise _ended(event, method)
    if method in event.forbidden:
        raise _forbidden(event, method)
    return event


def _in_own_greenlet() -> bool:
    """Whether what runs is a greenlet that a handler made."""
    ancestor = getcurrent().parent
    while ancestor is not None:
        if type(ancestor) is Runner:
            return True
        ancestor = ancestor.parent
    return False


def _outside(method: str) -> OutsideEventError:
    if _in_own_greenlet():
        return OutsideEventError(
            f"{method} was called in a greenlet that the plugin made itself: "
            "call it in the handler's own greenlet"
        )
    thread = threading.current_thread()
    in_own_thread = thread is not threading.main_thread()
    where = "while no event runs"
    if in_own_thread:
        where = f"in the thread {thread.name!r}, which runs no event"
    at = called_at()
    place = f" ({at})" if at else ""
    error = OutsideEventError(f"{method} was called {where}: call it in a phase handler{place}")
    return tell_outside(error) if in_own_thread else error


def _in_finaliser(method: str) -> OutsideEventError:
    return OutsideEventError(
        f"{method} was called in a finaliser, which may run in another request's event: call it in the"
        " handler itself"
    )


def _ended(event: Event, method: str) -> EventEndedError:
    call = event.outcome.call if event.outcome is not None else None
    after = f"after {call[0]}, which" if call is not None else f"after event {event.id}"
    return EventEndedError(f"{method} was called {after} ended: Kong no longer listens to it")


def _forbidden(event: Event, method: str) -> PhaseError:
    return PhaseError(refusal(method, (event.handler.phase,)))
