"""Renders results: as Markdown to read at once, and as reStructuredText for the page of the docs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from .results import Cost, Results, Row, Spread, failures

HEADER: Final = (
    *("server", "protocol", "in flight", "events/s", "ratio", "CPU, µs/RPC", "CPU ratio"),
    *("RPCs/event", "p50, ms", "p99, ms", "neighbours/s"),
)

COSTS: Final = {
    "start": "From the start of the process until it has started an instance of ``hello``.",
    "dump": "``-dump``, against a Python that only imports the libraries that it uses; CPU of the process.",
    "idle connection": "What a server grows by for each connection that had one event and waits.",
    "suspended event": "What a server grows by for each event that waits in a callback.",
}
"""What is measured apart from load, in the order of the tables."""

NOTE: Final = (
    "Each figure is the median of {rounds} rounds, with the least and the greatest in brackets. A ratio is "
    "taken within a round."
)


@dataclass(frozen=True)
class Table:
    """A table with what stands above it.

    :param about: a sentence; double backquotes mark code.
    """

    title: str
    about: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def markdown(self) -> str:
        """The table in Markdown."""
        lines = [f"## {self.title}", "", self.about, ""]
        lines += [_line(self.header), _line(["---"] * len(self.header))]
        lines += [_line(row) for row in self.rows]
        return "\n".join(lines).replace("``", "`") + "\n"

    def rst(self) -> str:
        """The table in reStructuredText."""
        out = io.StringIO()
        csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(self.rows)
        header = ", ".join(f'"{name}"' for name in self.header)
        body = "".join(f"    {line}\n" for line in out.getvalue().splitlines())
        return (
            f"{self.title}\n{'-' * len(self.title)}\n\n{self.about}\n\n"
            f".. csv-table::\n    :header: {header}\n\n{body}"
        )


def markdown(results: Results) -> str:
    """All of the results in Markdown."""
    parts = ["# Plugin servers compared\n", *_preface(results, "- {}: {}")]
    parts += [table.markdown() for table in tables(results)]
    return "\n".join(parts)


def rst(results: Results) -> str:
    """All of the results in reStructuredText, to be included in a page."""
    parts = [".. Made by bench/run.py compare: do not edit.\n", *_preface(results, "- {}: {}")]
    parts += [table.rst() for table in tables(results)]
    return "\n".join(parts)


def _preface(results: Results, item: str) -> Iterable[str]:
    yield "\n".join(item.format(*pair) for pair in results.machine.items()) + "\n"
    if results.missing:
        yield "Not measured, because it was not there:\n"
        yield "\n".join(item.format(*pair) for pair in results.missing.items()) + "\n"
    rounds = {row.round for row in results.rows} | {cost.round for cost in results.costs}
    yield NOTE.format(rounds=len(rounds)) + "\n"


def tables(results: Results) -> list[Table]:
    """The tables: one for each workload, and one for each kind of cost."""
    found = [
        _workload(title, about, [row for row in results.rows if row.workload == name])
        for name, (title, about) in results.titles.items()
    ]
    for kind, about in COSTS.items():
        costs = [cost for cost in results.costs if cost.kind == kind]
        if costs:
            found.append(_costs(kind, about, costs))
    return found


def _workload(title: str, about: str, rows: Sequence[Row]) -> Table:
    shown = [_row(list(group)) for group in _grouped(rows)]
    empty = [column for column in range(len(HEADER)) if not any(row[column] for row in shown)]
    kept = [column for column in range(len(HEADER)) if column not in empty]
    return Table(
        title,
        about,
        tuple(HEADER[column] for column in kept),
        [tuple(row[column] for column in kept) for row in shown],
    )


def _grouped(rows: Sequence[Row]) -> Iterable[Iterable[Row]]:
    """The rounds of each case, level by level, in the order of the first round."""
    order: dict[tuple[int, str, str], int] = {}
    for row in rows:
        order.setdefault(_key(row), len(order))
    for _, group in groupby(sorted(rows, key=lambda row: (order[_key(row)], row.round)), key=_key):
        yield group


def _key(row: Row) -> tuple[int, str, str]:
    return row.inflight, row.label, row.protocol


def _row(rounds: Sequence[Row]) -> tuple[str, ...]:
    first = rounds[0]
    good = [row for row in rounds if not row.failure]
    if not good:
        return (
            first.label,
            first.protocol,
            str(first.inflight),
            f"failed: {failures(rounds)}",
            *[""] * 7,
        )
    lost = len(rounds) - len(good)
    label = f"{first.label} ({lost} of {len(rounds)} rounds failed)" if lost else first.label
    return (
        label,
        first.protocol,
        str(first.inflight),
        _spread((row.events_s for row in good), 0),
        _spread((row.ratio for row in good), 2),
        _spread((row.cpu for row in good), 1),
        _spread((row.cpu_ratio for row in good), 2),
        _median((row.rpcs_event for row in good), 1),
        _median((row.p50 / 1000 for row in good), 2),
        _median((row.p99 / 1000 for row in good), 2),
        _median((row.neighbour for row in good), 0),
    )


def _costs(kind: str, about: str, costs: Sequence[Cost]) -> Table:
    groups: dict[tuple[str, str], list[Cost]] = {}
    for cost in costs:
        groups.setdefault((cost.label, cost.protocol), []).append(cost)
    unit = costs[0].unit
    rows = []
    for (label, protocol), group in sorted(groups.items()):
        value = _spread((one.value for one in group), 1)
        rows.append((label, protocol, value, _spread((one.ratio for one in group), 2)))
    columns = 4 if any(row[3] for row in rows) else 3
    header = ("what", "protocol", unit, "ratio")
    title = kind.capitalize()
    return Table(title, about, header[:columns], [row[:columns] for row in rows])


def _spread(values: Iterable[float | None], digits: int) -> str:
    spread = Spread.of(values)
    return "" if spread is None else spread.text(digits)


def _median(values: Iterable[float | None], digits: int) -> str:
    spread = Spread.of(values)
    return "" if spread is None else f"{spread.median:,.{digits}f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
