"""What a person wants to know of a server's figures: rates, percentiles, round trips for each event.

Rules kept here:

* a percentile is estimated as Prometheus' ``histogram_quantile`` does: evenly spread inside of its bucket;
* an event is an error when it came to no good end of its own: its handler raised, or it was refused or
  given up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

GOOD: Final = frozenset({"returned", "exited"})
"""How an event ends that is no error."""


def quantile(bounds: Sequence[float], cells: Sequence[float], share: float) -> float | None:
    """The duration, in seconds, that so large a share of all does not exceed.

    :param bounds: the upper bounds of the buckets.
    :param cells: a number for each bucket, one for what is longer, and the sum.
    :param share: 0.99 for the 99th percentile.
    :returns: None when there was none; the last bound for what is longer.
    """
    numbers = cells[:-1]
    wanted = share * sum(numbers)
    if not wanted:
        return None
    before, below = 0.0, 0.0
    for bound, number in zip(bounds, numbers, strict=False):
        if number and before + number >= wanted:
            return below + (bound - below) * (wanted - before) / number
        before += number
        below = bound
    return below


def summary(
    figures: Mapping[str, Any], before: Mapping[str, Any] | None, seconds: float
) -> dict[str, Any]:
    """A summary of figures.

    :param figures: as :func:`~pluginserver.rpc.report.figures` makes them.
    :param before: the same, asked for earlier; None for the start of the server.
    :param seconds: the time between the two.
    :returns: what JSON carries: the figures that are one number, ``events`` and ``callbacks``, a list of
        records each. Durations are in seconds, rates in events a second.
    """
    bounds = figures.get("bounds", [])
    earlier = {} if before is None else before.get("events", {})
    events = [
        _phase(plugin, phase, one, earlier.get(plugin, {}).get(phase, {}), seconds, bounds)
        for plugin, phases in sorted(figures.get("events", {}).items())
        for phase, one in sorted(phases.items())
    ]
    callbacks = [
        {"function": name, "count": sum(cells[:-1]), **_percentiles("", bounds, cells)}
        for name, cells in sorted(figures.get("callbacks", {}).items())
    ]
    rest = {key: value for key, value in figures.items() if key != "bounds"}
    return {**rest, "events": events, "callbacks": callbacks}


def _phase(
    plugin: str,
    phase: str,
    one: Mapping[str, Any],
    before: Mapping[str, Any],
    seconds: float,
    bounds: Sequence[float],
) -> dict[str, Any]:
    outcomes = one["outcomes"]
    count = sum(outcomes.values())
    new = count - sum(before.get("outcomes", {}).values())
    begun = sum(one["spent"][:-1])
    return {
        "plugin": plugin,
        "phase": phase,
        "count": count,
        "errors": sum(number for how, number in outcomes.items() if how not in GOOD),
        "outcomes": outcomes,
        "rate": new / seconds if seconds > 0 else 0.0,
        **_percentiles("handler_", bounds, one["spent"]),
        **_percentiles("waiting_", bounds, one["waited"]),
        "round_trips": one["asks"] / begun if begun else 0.0,
    }


def _percentiles(
    prefix: str, bounds: Sequence[float], cells: Sequence[float]
) -> dict[str, float | None]:
    return {
        f"{prefix}p50": quantile(bounds, cells, 0.5),
        f"{prefix}p99": quantile(bounds, cells, 0.99),
    }
