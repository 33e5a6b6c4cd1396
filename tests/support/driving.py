"""Events driven by hand, without a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pluginserver.events.event import Event, Runners
from pluginserver.events.habits import Habits
from pluginserver.events.handler import Handler
from pluginserver.events.outcome import Outcome

Calls = list[tuple[str, tuple[Any, ...]]]


def drive(
    handler: Callable[[], object],
    answers: Iterable[Any] = (),
    phase: str = "access",
    fail_open: bool = False,
    habits: Habits | None = None,
) -> tuple[Calls, Outcome, list[BaseException]]:
    """Run a handler to its end as a worker would.

    :param answers: what each callback gets in turn, None when they run out; an exception is raised
        in it.
    :param habits: what saves round trips; None for a handler whose callbacks all travel.
    :returns: the callbacks as ``(method, args)``, how the event ended, what the handler raised.
    """
    failures: list[BaseException] = []
    event = Event(
        1,
        Handler(
            "p",
            2,
            phase,
            lambda _kong: handler(),
            lambda _event, error: failures.append(error),
            fail_open,
            habits=habits,
        ),
    )
    calls: Calls = []
    feed = iter(answers)
    runners = Runners()
    out = event.understand(runners.start(event))
    while isinstance(out, tuple):
        calls.append((out[1], out[2]))
        answer = next(feed, None)
        out = event.throw(answer) if isinstance(answer, BaseException) else event.resume(answer)
    event.report()
    event.end()
    runners.close()
    return calls, out, failures


def ask(
    function: Callable[..., Any],
    *args: Any,
    answers: Iterable[Any] = (),
    phase: str = "access",
    **kwargs: Any,
) -> tuple[Calls, Any]:
    """Call a PDK function in an event.

    :returns: the callbacks, with the last message of the event as the last of them if there is
        one, and what the function returned.
    :raises BaseException: what the function raised; ``calls`` is what had been sent by then.
    """
    results: list[Any] = []
    raised: list[BaseException] = []

    def handler() -> None:
        try:
            results.append(function(*args, **kwargs))
        except Exception as error:
            raised.append(error)

    calls, outcome, failures = drive(handler, answers, phase)
    assert not failures
    if raised:
        raised[0].calls = calls  # type: ignore[attr-defined]
        raise raised[0]
    if outcome.call is not None:
        calls.append(outcome.call)
    return calls, results[0] if results else None
