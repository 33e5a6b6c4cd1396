"""The load generator: to compile it, to run it, and what it found.

It is the client for both protocols; :data:`PROTOCOLS` is the only place that knows how it is told which.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .processes import ServerError, cpu_time

SOURCE: Final = Path(__file__).parents[1] / "loadgen.c"

PROTOCOLS: Final[dict[str, tuple[str, ...]]] = {"MsgPack:1": (), "ProtoBuf:1": ("-P",)}
"""The flags that make the load generator speak a protocol, by Kong's name for it."""

HEADERS: Final = 13
"""How many headers a request has that plays a browser's."""

PATIENCE: Final = 30.0
"""Seconds that the load generator may take longer than it was told."""


@dataclass(frozen=True)
class Load:
    """What one client asks of a server.

    :param plugin: which plugin's events.
    :param inflight: how many at a time.
    :param seconds: for how long they are counted.
    :param warm: seconds of load before that.
    :param protocol: as Kong calls it.
    """

    plugin: str
    inflight: int
    seconds: float
    warm: float
    protocol: str = "MsgPack:1"

    def command(self, program: Path, socket: Path) -> list[str]:
        """The command line of the load generator."""
        return [
            *(str(program), "-s", str(socket), "-p", self.plugin, "-k", str(self.inflight)),
            *("-t", str(self.seconds), "-w", str(self.warm), "-H", str(HEADERS)),
            *PROTOCOLS[self.protocol],
        ]


@dataclass(frozen=True)
class Found:
    """What a client found: a rate, times in microseconds, and how often the server was wrong.

    :param cpu: microseconds of the server's CPU for each RPC; of the first client only, and for all.
    """

    events_s: float
    rpcs: int
    events: int
    p50: float
    p99: float
    errors: int
    first_error: str
    cpu: float


def build(directory: Path) -> Path:
    """Compile the load generator.

    :raises ServerError: where there is no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise ServerError("the load generator needs a C compiler: install cc or gcc")
    program = directory / "loadgen"
    subprocess.run([compiler, "-O2", "-o", program, SOURCE], check=True)
    return program


def protocols() -> list[str]:
    """The protocols that the load generator speaks."""
    usage = SOURCE.read_text().partition("*/")[0]
    return [
        name for name, flags in PROTOCOLS.items() if all(f"[{flag}" in usage for flag in flags)
    ]


def put(
    program: Path, socket: Path, pids: Sequence[int], loads: Sequence[Load], log: Path
) -> list[Found]:
    """Run clients at the same time; what each of them found.

    :param pids: the server's processes.
    :param log: where the clients' complaints go.
    :raises ServerError: when a client did not come to its end.
    """
    with contextlib.ExitStack() as stack:
        complaints = stack.enter_context(log.open("w"))
        running = [stack.enter_context(_client(load.command(program, socket))) for load in loads]
        used = _cpu_between(running[0], pids, complaints)
        texts = []
        for process, load in zip(running, loads, strict=True):
            try:
                out, err = process.communicate(timeout=load.warm + load.seconds + PATIENCE)
            except subprocess.TimeoutExpired:
                raise ServerError(f"no end of {load}") from None
            complaints.write(err or "")
            texts.append(out)
    try:
        results = [json.loads(text.replace("\n", " ")) for text in texts]
    except ValueError:
        raise ServerError(log.read_text().strip()[-300:] or "the client said nothing") from None
    rpcs = sum(result["rpcs"] for result in results) or 1
    return [_found(result, 1e6 * used / rpcs) for result in results]


@contextlib.contextmanager
def _client(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _cpu_between(process: subprocess.Popen[str], pids: Sequence[int], log: Any) -> float:
    """The CPU that a server used from the client's "begin" to its "end"."""
    times = {}
    for line in _lines(process.stderr):
        if line in ("begin", "end"):
            times[line] = cpu_time(pids)
        else:
            log.write(f"{line}\n")
        if line == "end":
            break
    return times.get("end", 0.0) - times.get("begin", 0.0)


def _lines(stream: Iterable[str] | None) -> Iterator[str]:
    for line in stream or ():
        yield line.strip()


def _found(result: dict[str, Any], cpu: float) -> Found:
    return Found(
        events_s=result["events_s"],
        rpcs=result["rpcs"],
        events=result["events"],
        p50=result["ev_p50"],
        p99=result["ev_p99"],
        errors=result["errors"],
        first_error=result["first_error"],
        cpu=cpu,
    )
