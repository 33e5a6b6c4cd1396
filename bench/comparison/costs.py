"""What a start, a dump, an idle connection and a suspended event cost."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from .kong import CLIENTS, Kong
from .processes import ServerError, family, rss, serving
from .results import Cost, Results
from .servers import PLUGINS, Server

BARE_IMPORTS: Final = (
    "import argparse, ast, attrs, ctypes, difflib, greenlet, grp, importlib.util, inspect, json, locale,"
    " pathlib, platform, queue, selectors, shutil, socket, tokenize, traceback, typing"
)
"""What the dump of ``hello`` loaded that is not the server's own when the ratio was first taken: the
libraries, and of the standard library what brings the rest.  It stays, so that the ratio can be followed."""

MANY: Final = 50
"""How many plugins the larger dump has."""

SETTLED: Final = 0.3
"""Seconds in which a server's memory settles."""


def measure(servers: Sequence[Server], directory: Path, rounds: int, results: Results) -> None:
    """Measure all of it, round by round, in an order drawn anew for each."""
    many = _plugins(directory)
    for number in range(1, rounds + 1):
        print(f"round {number}: starts, dumps and memory", file=sys.stderr, flush=True)
        turns: list[Callable[[], list[Cost]]] = [partial(_dumps, many, number)]
        turns += [
            partial(_server, server, protocol, directory, number)
            for server in servers
            for protocol in server.protocols
            if protocol in CLIENTS
        ]
        random.Random(number).shuffle(turns)
        for turn in turns:
            try:
                results.costs += turn()
            except ServerError as error:
                print(f"  failed: {error}", file=sys.stderr, flush=True)
    results.costs.sort(key=lambda cost: (cost.kind, cost.round))


def _plugins(directory: Path) -> Path:
    many = directory / "many"
    many.mkdir()
    text = (PLUGINS / "hello.py").read_text()
    for number in range(MANY):
        (many / f"hello-{number}.py").write_text(text)
    return many


def _dumps(many: Path, number: int) -> list[Cost]:
    """Dumps of one plugin and of many, against an interpreter that only imports what they need."""
    dump = [sys.executable, "-m", "pluginserver", "-plugins-directory"]
    commands = {
        "the bare imports": [sys.executable, "-c", BARE_IMPORTS],
        "pluginserver, 1 plugin": [*dump, str(PLUGINS), "-dump", "hello"],
        f"pluginserver, {MANY} plugins": [*dump, str(many), "-dump-all-plugins"],
    }
    used = {label: _used(command) for label, command in commands.items()}
    bare = used["the bare imports"]
    return [
        Cost("dump", label, "", number, 1000 * value, "ms of CPU", value / bare)
        for label, value in used.items()
    ]


def _used(command: Sequence[str]) -> float:
    """The CPU that a program uses from its start to its end, in seconds; the least of three."""

    def once() -> float:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise ServerError(f"{command} ended with {process.returncode}")
        return usage.ru_utime + usage.ru_stime

    return min(once() for _ in range(3))


def _server(server: Server, protocol: str, directory: Path, number: int) -> list[Cost]:
    label = server.name
    found = [Cost("start", label, protocol, number, _start(server, protocol, directory), "ms")]
    idle = Cost("idle connection", label, protocol, number, 0, "KiB")
    with _asked(server, protocol, "empty", directory) as (pid, kong, instance):
        found.append(replace(idle, value=growth(pid, 1000, partial(kong.idle, instance))))
    if label.startswith("pluginserver"):
        found += _placed(server, protocol, directory, replace(idle, kind="suspended event"))
    elif "hello" in server.plugins:
        with _asked(server, protocol, "hello", directory) as (pid, kong, instance):
            value = growth(pid, 150, partial(kong.suspend, instance))
        found.append(replace(idle, kind="suspended event", value=value))
    return found


def _placed(server: Server, protocol: str, directory: Path, cost: Cost) -> list[Cost]:
    """A suspended event on the leader's thread, and on a thread of its own."""
    found = []
    for plugin, name, count in (("shared", "inline", 500), ("own", "own thread", 150)):
        with _asked(server, protocol, plugin, directory) as (pid, kong, instance):
            value = growth(pid, count, partial(kong.suspend, instance))
        found.append(replace(cost, label=f"{cost.label}, {name}", value=value))
    return found


def _start(server: Server, protocol: str, directory: Path) -> float:
    """Milliseconds from the start of a process until it has started an instance of ``hello``."""
    begin = time.perf_counter()
    with _asked(server, protocol, "hello", directory):
        return 1000 * (time.perf_counter() - begin)


@contextlib.contextmanager
def _asked(
    server: Server, protocol: str, plugin: str, directory: Path
) -> Iterator[tuple[int, Kong, int]]:
    """A server that runs, a client of it, and an instance of a plugin."""
    socket = directory / "cost.sock"
    command = server.command(socket, protocol, plugin)
    with serving(command, socket, log=directory / "cost.log") as pid:
        kong = CLIENTS[protocol](socket)
        try:
            yield pid, kong, kong.start(plugin)
        finally:
            kong.close()


def growth(pid: int, count: int, more: Callable[[int], None]) -> float:
    """By how many KiB a server grows for one more of something, once it has had a few.

    :param more: makes as many of them as it is told.
    """
    more(10)
    time.sleep(SETTLED)
    before = sum(rss(one) for one in family(pid))
    more(count)
    time.sleep(SETTLED)
    return (sum(rss(one) for one in family(pid)) - before) / count
