"""Tells Kong what a plugin has cost a request, so that each log plugin of Kong's shows it: ``-report-cost``.

Just before its event ends the handler's wrapper sets ``pluginserver.<name>.ms``, the milliseconds from the
handler's beginning to its end or its ``exit``, those in which it waited for Kong among them, and
``pluginserver.<name>.round_trips``, by ``kong.log.set_serialize_value``.

Rules kept here:

* whoever does not want it pays nothing: the handler is called as it is;
* these two calls are not counted, and how they fail changes nothing;
* of several phases of one plugin the last one is told: Kong's function sets, and does not add.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from ..errors import PDKError
from .callbacks import current
from .event import Event
from .outcome import Unwind

PHASES: Final = frozenset({"rewrite", "access", "response"})
"""Where it is told: before the request is logged, and where Kong has the function."""

SET: Final = "kong.log.set_serialize_value"

Call = Callable[[Any], object]


def reporting(plugin: str, phase: str, call: Call) -> Call:
    """A handler that tells what it has cost.

    :param call: the handler; given back as it is for a phase in which nothing is told.
    """
    if phase not in PHASES:
        return call

    def reported(kong: Any) -> None:
        began = monotonic()
        event = current()
        try:
            call(kong)
            event.send()
        except (Unwind, Exception):
            _report(plugin, event, began)
            raise
        _report(plugin, event, began)

    return reported


def _report(plugin: str, event: Event, began: float) -> None:
    asks = event.asks
    cost = {"ms": round((monotonic() - began) * 1000, 3), "round_trips": asks}
    for name, value in cost.items():
        try:
            event.runner.ask(event.runner, SET, (f"pluginserver.{plugin}.{name}", value))
        except (PDKError, TypeError):
            return
