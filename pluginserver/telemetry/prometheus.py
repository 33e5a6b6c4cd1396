"""A server's figures as metrics of Prometheus, by its official client.

Rules kept here:

* nothing is counted here: a scrape asks for the figures, and makes metrics of them;
* a metric that alerts are made of is there from the beginning, with 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

PREFIX: Final = "kong_pluginserver_"

TIMEOUTS: Final = {
    "refused": "request",
    "queue_full": "queue",
    "stuck": "stuck",
    "cpu": "cpu",
    "io_timeouts": "io",
    "abandoned": "callback",
}
"""The counts that are time-outs, by the names of their kinds: ``request`` is any request that was answered
without its handler; ``queue``, ``stuck`` and ``cpu`` say why some of them were."""

FAILURES: Final = (
    *("connections_refused", "events_refused", "turned_away", "protocol_errors"),
    *("leader_failures", "wakeups_renewed"),
)
"""The counts that are always shown among ``failures``."""


class Figures(Collector):
    """Makes metrics of what a server has counted.

    :param ask: gives the figures of all processes, as :func:`~pluginserver.rpc.report.figures` makes them.
    """

    def __init__(self, ask: Callable[[], Mapping[str, Any]]) -> None:
        self._ask = ask

    def describe(self) -> Iterable[Metric]:
        """Nothing: what is there is known when somebody asks."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics of now."""
        figures = self._ask()
        yield from _events(figures)
        yield from _state(figures)
        counts = figures.get("counts", {})
        yield _counter(
            "timeouts",
            "Time-outs, by what was too late",
            "kind",
            {kind: counts.get(name, 0) for name, kind in TIMEOUTS.items()},
        )
        others = {name: count for name, count in counts.items() if name not in TIMEOUTS}
        yield _counter(
            "failures",
            "What limits and failures there were",
            "kind",
            {**dict.fromkeys(FAILURES, 0), **others},
        )


def _events(figures: Mapping[str, Any]) -> Iterator[Metric]:
    """What is counted of events and callbacks."""
    labels = ("plugin", "phase")
    bounds = figures.get("bounds", [])
    total = CounterMetricFamily(
        f"{PREFIX}events", "Events that are over, by how they ended", labels=(*labels, "outcome")
    )
    duration = HistogramMetricFamily(
        f"{PREFIX}event_duration_seconds",
        "Seconds of an event in its handler (part=handler) and waiting for Kong (part=kong)",
        labels=(*labels, "part"),
    )
    asks = CounterMetricFamily(
        f"{PREFIX}callbacks", "Callbacks that Kong has answered: round trips", labels=labels
    )
    for plugin, phases in figures.get("events", {}).items():
        for phase, one in phases.items():
            for outcome, count in one["outcomes"].items():
                total.add_metric((plugin, phase, outcome), count)
            for part, cells in (("handler", one["spent"]), ("kong", one["waited"])):
                duration.add_metric((plugin, phase, part), *_histogram(bounds, cells))
            asks.add_metric((plugin, phase), one["asks"])
    callback = HistogramMetricFamily(
        f"{PREFIX}callback_duration_seconds",
        "Seconds from a callback to Kong's answer, by the function that was asked for",
        labels=("method",),
    )
    for method, cells in figures.get("callbacks", {}).items():
        callback.add_metric((method,), *_histogram(bounds, cells))
    yield from (total, duration, asks, callback)


def _state(figures: Mapping[str, Any]) -> Iterator[Metric]:
    """What is there now."""
    yield _gauge("connections", "Connections of Kong's", figures.get("connections", 0))
    running = {state: figures.get(state, 0) for state in ("running", "suspended")}
    yield _gauges("events_running", "Events that run, or wait for Kong", "state", running)
    plugins = figures.get("plugins", {})
    instances = {name: one["instances"] for name, one in plugins.items()}
    yield _gauges("instances", "Instances of plugins", "plugin", instances)
    threads = figures.get("threads", {})
    yield _gauges("threads", "Threads, by what they are for", "group", threads)
    yield _gauge(
        "threads_blocked",
        "Threads that have been in one slice of a handler for a second or longer",
        figures.get("blocked", 0),
    )
    processes = figures.get("processes", {})
    yield _gauge("processes", "Processes that serve", len(processes))
    start = GaugeMetricFamily(
        f"{PREFIX}start_time_seconds", "When a process was started", labels=("process", "version")
    )
    for pid, one in processes.items():
        start.add_metric((pid, one["version"]), one["started"])
    yield start


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _histogram(
    bounds: Sequence[float], cells: Sequence[float]
) -> tuple[list[tuple[str, float]], float]:
    """Cells as the client wants them: buckets that add up, and the sum."""
    buckets, count = [], 0.0
    for bound, number in zip((*map(str, bounds), "+Inf"), cells, strict=False):
        count += number
        buckets.append((bound, count))
    return buckets, cells[-1]
