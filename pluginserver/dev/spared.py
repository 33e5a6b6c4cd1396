"""How many of a request's round trips are spared behind a real Kong, where the server saves them.

The development gateway has every PDK call travel, so that it can be shown.  Behind Kong fewer do
(:mod:`pluginserver.events.trips`); how many, this module finds out by the server's own code: it plays the
calls of a phase again, with the answers that were recorded, until the phase has its habits.

Rules kept here:

* nothing of the plugin runs, and nobody is asked: a call that is played again gets its recorded answer;
* what a plugin did between its calls is not known here, so a phase that waits for long is taken for one
  that does not; the number is of a phase that runs often, not of its first events;
* a request with more than :data:`CALLS` calls is not played again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from ..errors import PDKError
from ..events.callbacks import callback
from ..events.event import Event, Runners
from ..events.habits import DOUBT, Habits
from ..events.handler import Handler
from ..spec.multimap import same
from ..spec.protocols import PROTOBUF
from ..testing import Exchange, Headers, Run
from ..testing.record.exchange import Callback

CALLS: Final = 1000
"""Calls of a request that are played again at the most."""

SETTLED: Final = DOUBT + 3
"""So many events give a phase its habits."""


def spared(exchange: Exchange, plain: Collection[str] = ()) -> int | None:
    """The round trips of a request that a server behind Kong need not make.

    :param exchange: its record.
    :param plain: the plugins whose calls all travel.
    :returns: the number; None when the request has too many calls to find out.
    """
    runs = list(exchange.runs)
    if sum(len(run.callbacks) for run in runs) > CALLS:
        return None
    headers = exchange.request.headers
    return sum(_spared_in(run, headers) for run in runs if run.plugin not in plain)


def _spared_in(run: Run, headers: Headers) -> int:
    calls = [call for call in list(run.callbacks) if call.outcome in ("answer", "step error")]
    if len(calls) < 2:
        return 0
    habits = Habits()
    if run.protocol == PROTOBUF:
        habits = habits.one_by_one
    answers = _Answers(calls, headers)
    travelled = [_play(run, calls, habits, answers) for _ in range(SETTLED)]
    return max(len(calls) - travelled[-1], 0)


def _play(run: Run, calls: Sequence[Callback], habits: Habits, answers: _Answers) -> int:
    """Play a phase's calls again: how many of them travelled."""

    def handler(_kong: Any) -> None:
        for call in calls:
            try:
                callback(call.method, *call.args)
            except PDKError:
                continue

    event = Event(1, Handler(run.plugin, 1, run.phase, handler, _nobody, habits=habits))
    runners = Runners()
    travelled = 0
    out = event.understand(runners.start(event))
    while isinstance(out, tuple):
        travelled += 1
        answer = answers.get(out[1], out[2])
        out = event.throw(answer) if isinstance(answer, PDKError) else event.resume(answer)
    event.report()
    event.end()
    runners.close()
    return travelled


def _nobody(_event: Event, _error: BaseException) -> None:
    """There is nobody to be told what a call that is played again raises."""


class _Answers:
    """The recorded answers of a phase, by call.

    :param calls: its calls.
    :param headers: the request's headers, for a phase that is played with all of them asked for at once.
    """

    def __init__(self, calls: Sequence[Callback], headers: Headers) -> None:
        self._known = {repr((call.method, call.args)): call for call in calls}
        self._headers: dict[str, list[Any]] = {}
        for name, value in headers.pairs():
            self._headers.setdefault(same(name), []).append(value)
        self._query: dict[str, list[Any]] = {}
        for call in calls:
            if call.method == "kong.request.get_query_arg" and isinstance(call.answer, str):
                self._query[str(call.args[0])] = [call.answer]

    def get(self, method: str, args: tuple[Any, ...]) -> Any:
        """What Kong answers to a call; an error is returned."""
        known = self._known.get(repr((method, args)))
        if known is None:
            return {
                "kong.request.get_headers": self._headers,
                "kong.request.get_query": self._query,
            }.get(method)
        return PDKError(known.error) if known.error else known.answer
