"""What a run found, as it is saved: every measurement of every round, and where it was made."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measurement: one case of a workload, at one level, in one round.

    :param ratio: its events/s to those of what it is compared with, in the same round; None without.
    :param cpu: microseconds of CPU for each RPC; None where others than the measured events used it.
    :param cpu_ratio: the same ratio, of the CPU.
    :param p50: the median time of an event in microseconds.
    :param neighbour: the neighbours' events/s; None without neighbours.
    :param failure: why there is no measurement; empty when there is one.
    """

    workload: str
    label: str
    protocol: str
    inflight: int
    round: int
    events_s: float = 0.0
    ratio: float | None = None
    cpu: float | None = None
    cpu_ratio: float | None = None
    p50: float = 0.0
    p99: float = 0.0
    rpcs_event: float = 0.0
    errors: int = 0
    neighbour: float | None = None
    failure: str = ""


@dataclass(frozen=True)
class Cost:
    """What one thing costs: a start, a dump, an idle connection.

    :param value: in ``unit``.
    :param ratio: to what it is compared with in the same round; None without.
    """

    kind: str
    label: str
    protocol: str
    round: int
    value: float
    unit: str
    ratio: float | None = None


@dataclass
class Results:
    """All of a run.

    :param machine: names and values, in the order in which they are shown.
    :param missing: servers that were not there, and why.
    :param titles: for each workload its title and what it is.
    """

    machine: dict[str, str]
    missing: dict[str, str] = field(default_factory=dict)
    titles: dict[str, tuple[str, str]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write them as JSON, one measurement a line."""
        head = {"machine": self.machine, "missing": self.missing, "titles": self.titles}
        lines = [json.dumps(head)]
        lines += [json.dumps({"row": asdict(row)}) for row in self.rows]
        lines += [json.dumps({"cost": asdict(cost)}) for cost in self.costs]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what :meth:`save` wrote."""
        head, *lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
        titles = {name: (title, about) for name, (title, about) in head["titles"].items()}
        results = cls(head["machine"], head["missing"], titles)
        for line in lines:
            _add(results, line)
        return results


def _add(results: Results, line: dict[str, dict[str, Any]]) -> None:
    if "row" in line:
        results.rows.append(Row(**line["row"]))
    else:
        results.costs.append(Cost(**line["cost"]))


@dataclass(frozen=True)
class Spread:
    """The median of some values, the least and the greatest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """The spread of the values that there are; None when there are none."""
        there = [value for value in values if value is not None]
        return cls(statistics.median(there), min(there), max(there)) if there else None

    def text(self, digits: int) -> str:
        """The median, and the rest in brackets unless it is the same."""
        shown = [f"{value:,.{digits}f}" for value in (self.median, self.low, self.high)]
        return shown[0] if shown[1] == shown[2] else f"{shown[0]} ({shown[1]} to {shown[2]})"


def failures(rows: Sequence[Row]) -> str:
    """The first reason why one of some measurements failed; empty when none did."""
    return next((row.failure for row in rows if row.failure), "")
