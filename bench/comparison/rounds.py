"""Runs the workloads: in each round every case on a fresh process, the cases in turn at each level.

Rules kept here:

* the processes of a workload's cases live side by side, so that two measurements that are compared are made
  seconds apart; the ones that are not measured wait;
* the order of the cases is drawn anew for each level: none is always the first after another one's load;
* a case that fails costs itself, and its reason is kept.
"""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .load import Found, Load, put
from .processes import ServerError, family, serving
from .results import Results, Row
from .workloads import Case, Workload


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    :param seconds: for how long each measurement counts.
    :param warm: seconds of load before each.
    :param first: seconds of load after a server's start, before its first measurement.
    :param seed: of the order.
    """

    rounds: int
    seconds: float
    warm: float
    first: float
    seed: int


Key = tuple[str, str]
"""A case within a workload: its label and its protocol."""


class Rounds:
    """The measurements of workloads.

    :param program: the load generator.
    :param directory: for sockets and logs.
    :param results: where what is found goes.
    """

    def __init__(self, program: Path, directory: Path, plan: Plan, results: Results) -> None:
        self._program = program
        self._directory = directory
        self._plan = plan
        self._results = results
        self._random = random.Random(plan.seed)
        self._sockets = 0

    def run(self, workloads: Sequence[Workload]) -> None:
        """Measure all of them, round by round."""
        for workload in workloads:
            self._results.titles[workload.name] = (workload.title, workload.about)
        for number in range(1, self._plan.rounds + 1):
            for workload in workloads:
                print(f"round {number}: {workload.name}", file=sys.stderr, flush=True)
                self._results.rows += self._measure(workload, number)

    def _measure(self, workload: Workload, number: int) -> list[Row]:
        with contextlib.ExitStack() as stack:
            ready, failed = self._start(stack, workload.cases)
            rows = []
            for inflight in workload.levels:
                rows += self._level(workload, number, inflight, ready, failed)
        return rows

    def _start(
        self, stack: contextlib.ExitStack, cases: Sequence[Case]
    ) -> tuple[dict[Key, tuple[Path, list[int]]], dict[Key, str]]:
        """Start a server for each case, and warm it up; where they listen, their processes, and failures."""
        ready: dict[Key, tuple[Path, list[int]]] = {}
        failed: dict[Key, str] = {}
        for case in cases:
            self._sockets += 1
            home = self._directory / str(self._sockets)
            home.mkdir()
            socket = home / "server.sock"
            command = case.server.command(socket, case.protocol, case.plugin)
            key = case.label, case.protocol
            try:
                pid = stack.enter_context(serving(command, socket, log=home / "log"))
                self._put(case, socket, [pid], Load(case.plugin, 16, 0.1, self._plan.first))
                ready[key] = socket, family(pid)
            except ServerError as error:
                failed[key] = str(error)
        return ready, failed

    def _level(
        self,
        workload: Workload,
        number: int,
        inflight: int,
        ready: dict[Key, tuple[Path, list[int]]],
        failed: dict[Key, str],
    ) -> list[Row]:
        rows: dict[Key, Row] = {}
        cases = list(workload.cases)
        self._random.shuffle(cases)
        for case in cases:
            key = case.label, case.protocol
            row = Row(workload.name, case.label, case.protocol, inflight, number)
            try:
                if key in failed:
                    raise ServerError(failed[key])
                load = Load(case.plugin, inflight, self._plan.seconds, self._plan.warm)
                rows[key] = _filled(row, case, self._put(case, *ready[key], load))
            except ServerError as error:
                rows[key] = replace(row, failure=str(error))
        return [
            _compared(rows[case.label, case.protocol], case, rows, workload.possible(inflight))
            for case in workload.cases
        ]

    def _put(self, case: Case, socket: Path, pids: Sequence[int], load: Load) -> list[Found]:
        loads = [replace(load, protocol=case.protocol)] * case.clients
        if case.beside is not None:
            plugin, inflight = case.beside
            loads.append(replace(loads[0], plugin=plugin, inflight=inflight))
        return put(self._program, socket, pids, loads, socket.with_name("client.log"))


def _filled(row: Row, case: Case, found: Sequence[Found]) -> Row:
    """A row with what a case's clients, and its neighbour, found."""
    own = found[: case.clients]
    errors = [one for one in found if one.errors]
    return replace(
        row,
        events_s=sum(one.events_s for one in own),
        cpu=own[0].cpu if case.beside is None else None,
        p50=max(one.p50 for one in own),
        p99=max(one.p99 for one in own),
        rpcs_event=sum(one.rpcs for one in own) / max(1, sum(one.events for one in own)),
        errors=sum(one.errors for one in found),
        neighbour=found[-1].events_s if case.beside else None,
        failure=f"{errors[0].errors} errors: {errors[0].first_error}" if errors else "",
    )


def _compared(row: Row, case: Case, rows: dict[Key, Row], possible: float | None) -> Row:
    """A row with its ratios."""
    if row.failure:
        return row
    if possible is not None:
        return replace(row, ratio=row.events_s / possible)
    if case.against is None:
        return row
    other = rows.get((case.against, case.against_protocol or case.protocol))
    if other is None or other.failure or not other.events_s:
        return row
    cpu_ratio = row.cpu / other.cpu if row.cpu and other.cpu else None
    return replace(row, ratio=row.events_s / other.events_s, cpu_ratio=cpu_ratio)
