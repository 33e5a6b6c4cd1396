"""The server under test: a process that is started as Kong does it, measured, and mistreated.

Rules kept here:

* what is done to the process opens a *window*: a request that was on its way in it may be lost, no other;
* an end that nobody asked for is a finding.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

import attrs
from support.client import Client
from support.commands import environment

REQUEST_TIMEOUT: Final = 4.0
CALLBACK_TIMEOUT: Final = 6.0
GRACE: Final = 5.0
"""Longer than any request takes: what still runs then when a successor has taken over is refused."""

MAX_CONNECTIONS: Final = 600
MAX_EVENTS: Final = 500
"""More than the load and every fault but those of the limits reach together."""
STARTING: Final = 30.0
"""Seconds until a started server must listen."""

CLIENT: Final = 1
"""The descriptors of a process that is a client for as long as it lives: what tells its end."""

SECOND_LISTENER: Final = 3
"""The descriptors of one: its socket, what it polls with, and what wakes it."""

AFTER: Final = 0.5
"""Seconds after a restart in which requests may still meet what it left: connections that are gone."""


@attrs.define
class Window:
    """A time in which requests may be lost, and why."""

    why: str
    start: float
    end: float = float("inf")


@attrs.frozen
class Measure:
    """What a process holds."""

    threads: int
    descriptors: int
    rss: int
    """KiB."""


class Server:
    """The process.

    :param directory: where its socket and its log are.
    :param plugins: its plugins directory.
    """

    def __init__(self, directory: Path, plugins: Path) -> None:
        self.socket = directory / "s.sock"
        self.log = directory / "server.log"
        self.windows: list[Window] = []
        self.findings: list[str] = []
        self._lock = threading.Lock()
        self._command = [
            *(sys.executable, "-m", "pluginserver", "-socket", str(self.socket)),
            # At this level the first line is written before anything is measured: a thread does that.
            *("-plugins-directory", str(plugins), "-log-level", "info"),
            *("-grace", str(GRACE)),
            *("-request-timeout", str(REQUEST_TIMEOUT)),
            *("-callback-timeout", str(CALLBACK_TIMEOUT)),
            *("-max-connections", str(MAX_CONNECTIONS), "-max-events", str(MAX_EVENTS)),
        ]
        self.process: subprocess.Popen[bytes]
        self._second_listener = False
        self._start()
        time.sleep(0.2)  # the connection that asked is closed
        self._first = self.measure()

    # -- its life

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start a process; it may be a second one."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment(),
            )

    def _start(self) -> None:
        self.process = self.spawn()
        self.adopt(self.process)

    def adopt(self, process: subprocess.Popen[bytes]) -> None:
        """Take a process that starts for the server from now on, and wait until it listens."""
        self.process = process
        deadline = monotonic() + STARTING
        while True:
            try:
                with Client(self.socket) as client:
                    client.call("plugin.GetStatus", None)
                break
            except Exception:
                if process.poll() is not None or monotonic() > deadline:
                    raise RuntimeError(f"the server did not start: {self.tail()}") from None
                time.sleep(0.01)
        self._second_listener = False

    def restart(self, number: int) -> None:
        """End the process by a signal, and start it again as Kong would."""
        with self.window(signal.Signals(number).name):
            code = self.process.poll()
            if code is not None:
                self.findings.append(f"the server had ended by itself with status {code}")
            self.process.send_signal(number)
            try:
                code = self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.findings.append(f"the server did not end within 30 s of signal {number}")
                self.process.kill()
                self.process.wait()
            if number == signal.SIGTERM and code != 0:
                self.findings.append(f"SIGTERM ended the server with status {code}")
            self._start()

    def pause(self, seconds: float) -> None:
        """Stop the process for a while: a pause that is shorter than every limit loses nothing."""
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def listens_again(self) -> None:
        """Note that it has a second listener from now on."""
        self._second_listener = True

    @property
    def baseline(self) -> Measure:
        """What it held before anybody connected, and what a client's process and a second listener hold."""
        first = attrs.evolve(self._first, descriptors=self._first.descriptors + CLIENT)
        if not self._second_listener:
            return first
        return attrs.evolve(
            first,
            threads=first.threads + 1,
            descriptors=first.descriptors + SECOND_LISTENER,
        )

    def close(self) -> None:
        """End it."""
        code = self.process.poll()
        if code is not None:
            self.findings.append(f"the server had ended by itself with status {code}")
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.findings.append("the server did not end within 30 s of SIGTERM")
            self.process.kill()
            self.process.wait()

    # -- what is known of it

    @contextmanager
    def window(self, why: str) -> Iterator[None]:
        """Requests that are on their way now may be lost."""
        window = Window(why, monotonic())
        with self._lock:
            self.windows.append(window)
        try:
            yield
        finally:
            window.end = monotonic() + AFTER

    def await_windows(self) -> None:
        """Wait until nothing is being done to it."""
        while any(window.end > monotonic() for window in self.windows):
            time.sleep(0.05)

    def explains(self, start: float, end: float) -> str | None:
        """Why a request that took that time may have been lost; None when nothing explains it."""
        with self._lock:
            for window in self.windows:
                if window.start <= end and start <= window.end:
                    return window.why
        return None

    def measure(self) -> Measure:
        """What it holds now."""
        process = Path(f"/proc/{self.process.pid}")
        return Measure(
            len(os.listdir(process / "task")),
            len(os.listdir(process / "fd")),
            self.memory(self.process.pid),
        )

    def memory(self, pid: int, what: str = "VmRSS") -> int:
        """What one of its processes holds, in KiB; 0 when a successor has taken its place."""
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith(what)), 0)

    def descriptors(self) -> list[str]:
        """What its descriptors are."""
        return [os.readlink(path) for path in Path(f"/proc/{self.process.pid}/fd").iterdir()]

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-2000:]
