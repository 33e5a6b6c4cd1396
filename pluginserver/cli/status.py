"""``pluginserver status``: what a running server does, as a table or in JSON.

Rules kept here:

* ``rich`` is imported for the table alone;
* a rate is that of the last seconds: the server is asked twice.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from ..telemetry.asking import ask
from ..telemetry.summary import summary
from .main import KONG_PREFIX, SOCKET
from .subcommand import SubCommand, run

DEFAULT: Final = Path(KONG_PREFIX, SOCKET)
"""Where a server listens that nobody has told another place."""

WIDTH: Final = 500
"""Columns for the table, so that no name and no number is cut off; a narrow terminal breaks the lines."""

COLUMNS: Final = (
    *("plugin", "phase", "events", "errors", "per s", "handler p50", "p99"),
    *("Kong p50", "p99", "trips"),
)


@click.command(
    "status",
    cls=SubCommand,
    example=["status", "status /run/kong-python/python.sock --format json", "status --watch"],
    exits={0: "when the server has answered", 1: "when it has not"},
)
@click.argument("socket", type=click.Path(path_type=Path), default=DEFAULT)
@click.option(
    "--format",
    "form",
    type=click.Choice(("table", "json")),
    default="table",
    help="How it is written; default: table.",
)
@click.option(
    "--watch", is_flag=True, help="Go on, until interrupted; JSON is one line each time."
)
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    default=1.0,
    help="The time that rates are taken over; 0: since the start, at once. Default: 1.",
)
def command(socket: Path, form: str, watch: bool, interval: float) -> None:
    """Tell what a running server does: its plugins, and for each phase the number of events and
    errors, the rate, the time that handlers took and that they waited for Kong, and the round
    trips for each event. SOCKET is where it listens for Kong."""
    for found in _summaries(socket, watch, interval):
        if form == "json":
            click.echo(json.dumps(found, indent=None if watch else 2))
        else:
            _show(found, clear=watch and sys.stdout.isatty())


def main(arguments: Sequence[str]) -> int:
    """Run it.

    :param arguments: the command line after its name.
    :returns: the exit code.
    """
    return run(command, arguments)


def _summaries(path: Path, watch: bool, interval: float) -> Iterator[dict[str, Any]]:
    """The summaries to be shown, each when it is due."""
    before = None
    asked = _started(figures := ask(path))
    if interval:
        before, asked = figures, time.time()
        time.sleep(interval)
        figures = ask(path)
    while True:
        now = time.time()
        yield summary(figures, before, now - asked)
        if not watch:
            return
        before, asked = figures, now
        time.sleep(interval or 1.0)
        figures = ask(path)


def _started(figures: dict[str, Any]) -> float:
    """When the first of the processes was started."""
    return min(float(one["started"]) for one in figures["processes"].values())


def _show(found: dict[str, Any], clear: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True, width=WIDTH)
    if clear:
        console.clear()
    for line in _head(found):
        console.print(line, markup=False)
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number < 2 else "right", no_wrap=True)
    for one in found["events"]:
        table.add_row(*_row(one))
    if found["events"]:
        console.print()
        console.print(table)


def _head(found: dict[str, Any]) -> Iterator[str]:
    """The lines above the table."""
    now = time.time()
    for pid, one in found["processes"].items():
        yield (
            f"process {pid}: version {one['version']}, Python {one['python']},"
            f" up {_long(now - one['started'])}"
        )
    for name, one in found["plugins"].items():
        yield (
            f"plugin {name} {one['version']}, priority {one['priority']}: {one['instances']} instances"
        )
    threads = ", ".join(f"{name} {count}" for name, count in found["threads"].items())
    yield (
        f"{found['connections']} connections, {found['running']} events running,"
        f" {found['suspended']} waiting for Kong, {found['blocked']} blocked; threads: {threads}"
    )
    counts = ", ".join(f"{name} {count}" for name, count in sorted(found["counts"].items()))
    if counts:
        yield f"limits and failures: {counts}"


def _row(one: dict[str, Any]) -> list[str]:
    return [
        one["plugin"],
        one["phase"],
        str(one["count"]),
        str(one["errors"]),
        f"{one['rate']:.1f}",
        *(
            _short(one[key])
            for key in ("handler_p50", "handler_p99", "waiting_p50", "waiting_p99")
        ),
        f"{one['round_trips']:.1f}",
    ]


def _short(seconds: float | None) -> str:
    """A duration of an event."""
    if seconds is None:
        return "-"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _long(seconds: float) -> str:
    """For how long a process has run."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
