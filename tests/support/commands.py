"""Runs ``python -m pluginserver``, and plugin files, as Kong does: as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pluginserver

TIMEOUT = 60.0
"""Seconds after which a test gives up; nothing is measured with it."""

MODULE = ("-m", "pluginserver")


def environment() -> dict[str, str]:
    """What a child needs to find the package that is being tested; it buffers as it does at a user's."""
    package = Path(pluginserver.__file__).parent
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**inherited, "PYTHONPATH": str(package.parent)}


def catches(process: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{process}/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask.split()[1], 16) >> (number - 1) & 1)


def stop(process: int) -> None:
    """Stop a process by SIGSTOP, and wait until none of its threads runs."""
    os.kill(process, signal.SIGSTOP)
    states: set[str] = set()
    while states != {"T"}:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        states = {(one / "stat").read_text().rpartition(")")[2].split()[0] for one in tasks}


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run Python with ``arguments`` to its end."""
    command = [sys.executable, *map(str, arguments)]
    options.setdefault("env", environment())
    return subprocess.run(command, capture_output=True, timeout=TIMEOUT, **options)


class Running:
    """A server in a process of its own, which listens.

    ``lines`` is what it has written to stderr so far.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def wait_for(self, text: str) -> None:
        """Read what the server logs up to a line that holds ``text``."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if text in line:
                return
        raise AssertionError(f"the server never said {text!r}: {self.lines}")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the end; gives the exit code."""
        _, rest = self.process.communicate(timeout=TIMEOUT)
        self.lines += rest.splitlines()
        return self.process.returncode


@contextmanager
def running(*arguments: str | Path, ready: str = "listening", **options: Any) -> Iterator[Running]:
    """Start a server, and wait until it says that it is ready; it is killed if it is left running."""
    command = [sys.executable, *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **{"stdout": subprocess.DEVNULL, "env": environment(), **options},
    )
    try:
        server = Running(process)
        server.wait_for(ready)
        yield server
    finally:
        process.kill()
        process.communicate()
