"""Draws results: events/s and CPU per RPC over the requests in flight, for each workload of the floor's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from .results import Results, Row, Spread
from .servers import BARE

MISSING: Final = "there is no plot without matplotlib: pip install 'kong-python-server[bench]'"

MEASURES: Final = (
    ("events/s", lambda row: row.events_s),
    ("CPU, µs per RPC", lambda row: row.cpu),
)

LINES: Final = {"MsgPack:1": "-", "ProtoBuf:1": "--"}


def draw(results: Results, path: Path) -> bool:
    """Write an SVG; whether it could be drawn.

    :param path: the file.
    """
    names = [name for name in BARE if any(row.workload == name for row in results.rows)]
    try:
        import matplotlib
    except ImportError:
        return False
    if not names:
        return False
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "pluginserver"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        len(names), len(MEASURES), figsize=(10, 3.4 * len(names)), squeeze=False
    )
    for line, name in zip(axes, names, strict=True):
        rows = [row for row in results.rows if row.workload == name and not row.failure]
        for (title, measure), place in zip(MEASURES, line, strict=True):
            _draw(place, rows, measure)
            place.set_title(f"{name}: {title}")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, fontsize="small")
    figure.tight_layout(rect=(0, 0.3 / len(names), 1, 1))
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return True


def _draw(place: Any, rows: list[Row], measure: Any) -> None:
    """One line for each server and protocol, with the spread as bars."""
    series = list(dict.fromkeys((row.label, row.protocol) for row in rows))
    colours = {label: f"C{i}" for i, label in enumerate(dict.fromkeys(one for one, _ in series))}
    for label, protocol in series:
        levels: dict[int, list[float | None]] = {}
        for row in rows:
            if (row.label, row.protocol) == (label, protocol):
                levels.setdefault(row.inflight, []).append(measure(row))
        there = {level: Spread.of(values) for level, values in sorted(levels.items())}
        points = [(level, spread) for level, spread in there.items() if spread is not None]
        place.errorbar(
            [level for level, _ in points],
            [spread.median for _, spread in points],
            yerr=[
                [spread.median - spread.low for _, spread in points],
                [spread.high - spread.median for _, spread in points],
            ],
            label=f"{label}, {protocol}",
            color=colours[label],
            linestyle=LINES[protocol],
            marker="o",
            markersize=3,
            capsize=2,
        )
    place.set_xscale("log", base=2)
    place.set_yscale("log")
    place.set_xlabel("requests in flight")
    ticks = sorted({row.inflight for row in rows})
    place.set_xticks(ticks, [str(level) for level in ticks])
    place.grid(True, alpha=0.3)
