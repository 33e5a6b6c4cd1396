"""Runs chaos, reports, and ends with 1 when something is not explained."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final

from support.client import Client, Failed

from . import faults, limits
from .load import Load, Pressure, built, copied
from .process import CALLBACK_TIMEOUT, Measure, Server

CALM: Final = 0.3
"""The share of the time, at its end, in which the process is not ended any more: its memory is watched."""

SETTLE: Final = 45.0
"""Seconds that the server gets to come to rest; idle threads end after 30."""

GROWTH: Final = 32 * 1024
"""KiB that its memory may grow in the calm time: as much as 400 connections at once leave in the heap.  What
leaks with each event is measured by a million of them (``bench/run.py million``)."""

OWN_FAULTS: Final = re.compile(
    r"the leader failed|a worker failed|the clock failed|the server failed|a request failed"
    r"|could not be served|looking after the socket|Fatal Python error|_async_exc|Assertion"
)
"""What the server's log says when the fault is its own."""

INJECTED: Final = "plugins/constructor.py"
"""What is in such a line when a plugin of ours has raised on purpose."""

CLIENTS: Final = {**faults.CLIENTS, **limits.CLIENTS}
PROCESS: Final = {**faults.PROCESS, **limits.PROCESS}

PRESSED: Final = "hello"
"""The plugin of the load generator, which closes no instance, as Kong at its end."""


class Chaos:
    """One run.

    :param directory: for the socket, the log and the plugins.
    """

    def __init__(self, directory: Path, seed: int, threads: int) -> None:
        plugins = copied(directory / "plugins")
        self.server = Server(directory, plugins)
        self.load = Load(self.server, threads, seed)
        self.target = faults.Target(self.server, plugins)
        self.done: Counter[str] = Counter()
        self._seed = seed
        self._stopping = threading.Event()
        self._calm = threading.Event()
        self.early: Measure | None = None
        self._at_rest = False
        """Whether it has come to hold no more threads and descriptors than at its beginning."""
        program = built(directory)
        if program is None:
            print("no C compiler: the load is only the simulated Kong's")
        self.pressure = None if program is None else Pressure(program, self.server.socket)

    def run(self, seconds: float) -> None:
        """Mistreat it for that long, and let it come to rest."""
        workers = [
            threading.Thread(target=self._misbehave, args=("clients", CLIENTS, 0.03)),
            threading.Thread(target=self._misbehave, args=("process", PROCESS, 1.0)),
        ]
        self.load.start()
        for worker in workers:
            worker.start()
        time.sleep(seconds * (1 - CALM))
        self._calm.set()
        time.sleep(seconds * CALM / 3)
        self.server.await_windows()
        self.early = self.server.measure()
        time.sleep(seconds * CALM * 2 / 3)
        self._stopping.set()
        for worker in workers:
            worker.join()
        if self.pressure is not None:
            self.pressure.stop()
        self.load.stop()
        self.load.close()
        self._settle()

    def _misbehave(self, name: str, table: dict[faults.Fault, float], pace: float) -> None:
        random = Random(f"{self._seed}/{name}")
        while not self._stopping.wait(random.uniform(0, 2 * pace)):
            (fault,) = random.choices(list(table), list(table.values()))
            if fault in faults.ENDS and self._calm.is_set():
                continue
            self.done[faults.do(fault, self.target, random)] += 1

    def _settle(self) -> None:
        """Wait until it is back where it was, or the time is over; say what is not."""
        server = self.server
        deadline = monotonic() + SETTLE
        time.sleep(CALLBACK_TIMEOUT + 0.5)
        while (left := self._left()) and monotonic() < deadline:
            time.sleep(0.5)
        if left:
            server.process.send_signal(signal.SIGUSR1)  # the stacks are in the log that is kept
        server.findings += left
        if self.early is not None:
            grown = server.measure().rss - self.early.rss
            if grown > GROWTH:
                server.findings.append(f"its memory grew by {grown} KiB in the calm time")
        lines = server.log.read_text(errors="replace").splitlines()
        own = [line for line in lines if OWN_FAULTS.search(line) and INJECTED not in line]
        server.findings += [f"its log ({len(own)} lines): {line[:2000]}" for line in own[:5]]

    def _left(self) -> list[str]:
        """What it still holds that it did not at its beginning.

        Questions take a thread of the server's, so the threads are counted before the first one only.
        """
        now, first = self.server.measure(), self.server.baseline
        if not self._at_rest and now.threads > first.threads:
            return [f"{now.threads} threads, {first.threads} at the beginning"]
        if not self._at_rest and now.descriptors > first.descriptors:
            held = ", ".join(sorted(self.server.descriptors()))
            return [f"{now.descriptors} descriptors, {first.descriptors} at the beginning: {held}"]
        self._at_rest = True
        left = []
        with Client(self.server.socket) as client:
            for name, plugin in client.call("plugin.GetStatus")["Plugins"].items():
                if plugin["Instances"] and name != PRESSED:
                    left.append(f"{len(plugin['Instances'])} instances of {name}")
            for _, event in self.target.abandoned:
                try:
                    client.step(event)
                except Failed as error:
                    if str(error) == f"No running event {event}":
                        continue
                left.append(f"event {event}, which was abandoned, could be stepped")
        return left

    def report(self) -> int:
        """Print what happened; gives the exit code."""
        load, server = self.load, self.server
        now = server.measure() if server.process.poll() is None else None
        print("faults:   ", ", ".join(f"{name} {n}" for name, n in sorted(self.done.items())))
        print("requests: ", ", ".join(f"{name} {n}" for name, n in sorted(load.counts.items())))
        print("explained:", ", ".join(f"{why} {n}" for why, n in load.explained.items()) or "none")
        if self.pressure is not None:
            print(f"beside:    {self.pressure.events} events of {PRESSED}")
        print(f"slowest steady request outside of a window: {load.slowest:.2f} s")
        print(f"at its beginning: {server.baseline}, calm: {self.early}, at the end: {now}")
        for text in (*load.unexplained, *server.findings):
            print("FINDING:", text)
        unexplained = load.counts["unexplained"]
        print(f"{unexplained} unexplained losses, {len(server.findings)} findings")
        return int(bool(unexplained or load.unexplained or server.findings))


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("-t", "--seconds", type=float, default=60.0, help="default: 60")
    parser.add_argument("-s", "--seed", type=int, help="default: one by chance")
    parser.add_argument(
        "-k", "--threads", type=int, default=12, help="requests at once; default: 12"
    )
    parser.add_argument("--keep-log", type=Path, help="where the server's log is copied to")
    arguments = parser.parse_args()
    seed = time.time_ns() % 1_000_000 if arguments.seed is None else arguments.seed
    print(f"chaos for {arguments.seconds:g} s, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        chaos = Chaos(Path(name), seed, arguments.threads)
        try:
            chaos.run(arguments.seconds)
            code = chaos.report()
        finally:
            chaos.server.close()
            if arguments.keep_log is not None:
                arguments.keep_log.write_bytes(chaos.server.log.read_bytes())
    return code


if __name__ == "__main__":
    sys.exit(main())
