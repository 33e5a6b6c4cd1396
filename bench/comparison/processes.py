"""Servers as processes: to start and to end them, and what the operating system says about them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket as sockets
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

START_TIME: Final = 30.0
"""Seconds that a server has to listen."""

END_TIME: Final = 10.0
"""Seconds that a server has to end before it is killed."""


class ServerError(Exception):
    """A server did not start, or did not answer."""


@contextlib.contextmanager
def serving(
    command: Sequence[str],
    socket: Path,
    *,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a server in a process group of its own until the end of the block; gives its process id.

    :param log: where its output goes; default: to this process's.
    :param environment: what is added to this process's environment.
    :raises ServerError: when it does not listen in time.
    """
    with contextlib.ExitStack() as stack:
        output = None if log is None else stack.enter_context(log.open("wb"))
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        try:
            _wait_for(process, socket, log)
            yield process.pid
        finally:
            _end(process)
            socket.unlink(missing_ok=True)


def _wait_for(process: subprocess.Popen[bytes], socket: Path, log: Path | None) -> None:
    deadline = time.monotonic() + START_TIME
    while not listens(socket):
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace").strip() if log else ""
            raise ServerError(
                f"{process.args!r} did not listen on {socket}: {said[-500:] or 'it said nothing'}"
            )
        time.sleep(0.005)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_TIME)


def listens(socket: Path) -> bool:
    """Whether a client can connect."""
    with sockets.socket(sockets.AF_UNIX) as client:
        try:
            client.connect(os.fspath(socket))
        except OSError:
            return False
    return True


def family(pid: int) -> list[int]:
    """A process and its descendants that live."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rpartition(")")[2].split()[1]
                )
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def cpu_time(pids: Sequence[int]) -> float:
    """Seconds of CPU that processes have used, user and system, threads that have ended too.

    It is the clock that Linux keeps for each process, which ``clock_getcpuclockid(3)`` names.
    """
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in pids)


def wake_ups(pid: int) -> int:
    """How often the threads of a process that there are now have waited and gone on."""
    found = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(FileNotFoundError):  # the thread has just ended
            found += int(status.read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return found


def rss(pid: int) -> int:
    """A process's resident memory in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmRSS"))


def threads(pid: int) -> int:
    """How many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
