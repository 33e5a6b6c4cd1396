"""The command line: what to measure, how long, and where the results go."""

from __future__ import annotations

import argparse
import resource
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from . import costs, machine, plot, tables
from .load import build, protocols
from .processes import ServerError
from .results import Results
from .rounds import Plan, Rounds
from .servers import BENCH, Server, Settings, servers
from .workloads import LEVELS, Workload, workloads

COSTS: Final = "costs"
"""What stands for starts, dumps and memory among the names of workloads."""

FILES: Final = ("results.jsonl", "tables.md", "figures.inc", "figures.svg")
"""What is written: every measurement, the tables to read, the same for the docs, and the plot."""


def main(arguments: Sequence[str]) -> int:
    """Measure, or render again what was measured; the exit code.

    :param arguments: the command line without the program's name and ``compare``.
    """
    options = _parser().parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    saved = options.output / FILES[0]
    if not options.render:
        try:
            _measured(options, arguments).save(saved)
        except ServerError as error:
            print(error, file=sys.stderr)
            return 1
    render(Results.load(saved), options.output)
    print(tables.markdown(Results.load(saved)))
    print(f"written to {options.output}: {', '.join(FILES)}", file=sys.stderr)
    return 0


def render(results: Results, output: Path) -> None:
    """Write the tables and the plot into a folder."""
    (output / FILES[1]).write_text(tables.markdown(results), encoding="utf-8")
    (output / FILES[2]).write_text(tables.rst(results), encoding="utf-8")
    if not plot.draw(results, output / FILES[3]):
        print(plot.MISSING, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py compare",
        description="Compare plugin servers; about an hour with all peers, two minutes with --quick.",
    )
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help="two short rounds at 16 and 64, without the costs of memory",
    )
    add("--rounds", type=int, help="default: 5; 2 with --quick")
    add("--seconds", type=float, help="that a measurement counts (default: 2; 0.5 with --quick)")
    add("--levels", type=_numbers, help="requests in flight (default: 1,16,64,256)")
    add(
        "--workloads", type=_names, default=[], help=f"which; {COSTS} for starts, dumps and memory"
    )
    add("--servers", type=_names, default=[], help="which, by their names in the tables")
    add(
        "--javascript",
        type=Path,
        default=BENCH / "peers",
        help="where npm install kong-pdk was run",
    )
    add("--go", type=Path, help="the program go-pluginserver")
    add("--go-plugins", type=Path, help="the folder of its plugins: hello.so, bench.so ...")
    add("--output", type=Path, default=BENCH / "results", help="the folder for the results")
    add("--render", action="store_true", help="only render the results that lie there")
    add("--seed", type=int, default=1, help="of the order of the servers")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


QUICK: Final = ("hello", "bench", "own", "beside", "trips", "protocols", "processes")


def _measured(options: argparse.Namespace, arguments: Sequence[str]) -> Results:
    """Run what was asked for."""
    warning = machine.busy()
    if warning:
        print(warning, file=sys.stderr)
    _allow_descriptors()
    results = Results(machine.described(shlex.join(["bench/run.py", "compare", *arguments])))
    there = _there(options, results)
    names = options.workloads or list(QUICK if options.quick else ())
    levels = options.levels or ([16, 64] if options.quick else LEVELS)
    chosen = [one for one in workloads(there, levels) if not names or one.name in names]
    _refuse_unknown(names, workloads(there, levels))
    rounds = options.rounds or (2 if options.quick else 5)
    seconds = options.seconds or (0.5 if options.quick else 2.0)
    plan = Plan(rounds, seconds, 0.3, 1.0, options.seed)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        Rounds(build(directory), directory, plan, results).run(chosen)
        if COSTS in names or not names:
            costs.measure(there, directory, rounds, results)
    return results


def _there(options: argparse.Namespace, results: Results) -> list[Server]:
    """The servers that can be run, with the protocols that the load generator speaks too."""
    settings = Settings(options.javascript, options.go, options.go_plugins)
    known = servers(settings)
    unknown = set(options.servers) - {server.name for server in known}
    if unknown:
        names = ", ".join(server.name for server in known)
        raise ServerError(f"{sorted(unknown)[0]!r} is not a server: {names}")
    spoken = protocols()
    for protocol in {one for server in known for one in server.protocols} - set(spoken):
        results.missing[protocol] = "the load generator does not speak it"
    found = []
    for server in known:
        if options.servers and server.name not in options.servers:
            continue
        reason = server.missing()
        if reason is None:
            found.append(server.speaking(spoken))
        else:
            results.missing[server.name] = reason
    return found


def _refuse_unknown(names: Sequence[str], known: Sequence[Workload]) -> None:
    every = {*(one.name for one in known), COSTS, *QUICK}
    for name in names:
        if name not in every:
            raise ServerError(f"{name!r} is not a workload: {', '.join(sorted(every))}")


def _allow_descriptors() -> None:
    """As many open files as the system lets this process and the servers have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
