"""Ends a process whose interpreter is frozen: C code that computes and never gives the GIL back.

A regular expression of a plugin, fed by a request, can compute for hours.  No thread of ours runs then:
no time-out, no signal, no end.  So a process beside this one watches.

Theory of operation.  The *watcher* is forked before there is any thread.  It reads the CPU time that the
server has used, once in a while; only when there was some it *asks*, with a byte, and a thread of the
server's answers, which takes the GIL.  Time counts as silence when an answer is due **and** the server
computes: a stopped process, a suspended machine, a server that waits for its log's reader do not compute.
After so much silence the watcher has the stacks written (:mod:`faulthandler`, by a signal, without the GIL),
keeps them in a file, kills the server, and ends.

Rules kept here:

* an idle server is not asked, so it wakes for nothing;
* the watcher has no descriptor of the server's but its own three, ignores the signals that are meant for the
  server, is nobody's child (``os.wait`` of a plugin never sees it), and ends with the server;
* never in a program that embeds the server: it is not ours to kill.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import select
import signal
import socket as sockets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from .. import logs
from .forks import close_all, close_in_children
from .processes import cpu_time

INTERVAL: Final = 1.0
"""Seconds between two looks at the CPU time, at the most."""

BUSY: Final = 0.01
"""The share of a core from which on a process computes; an answer costs a hundredth of that."""

DUMP_TIME: Final = 5.0
"""Seconds that writing the stacks may take, on a machine that has little time for it."""

DUMP_LOOK: Final = 0.1
"""Seconds between two looks whether they are written."""

DUMP_SIGNAL: Final = signal.SIGRTMAX - 2
"""Has the stacks written; a signal that nothing else uses."""

NEW: Final = ".new"
"""The end of the name of a report that no later start has told of."""

KEPT: Final = 10
"""How many reports of one server are kept."""

_IGNORED: Final = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGPIPE")

_THREAD: Final = re.compile(rb"^(?:Current thread|Thread) (0x[0-9a-f]+)", re.MULTILINE)
"""The first line of a thread's stack."""

_log: Final = logs.get_logger()


class Watcher:
    """The watching process, as the server sees it; to be made before there is any thread.

    :param timeout: seconds of silence after which the server is ended.
    :param directory: where reports are written.
    :param name: what the names of reports begin with: one for each server.
    :raises OSError: when the system gives no process or descriptor.
    """

    def __init__(self, timeout: float, directory: Path, name: str) -> None:
        self._stacks = os.memfd_create("pluginserver-stacks", os.MFD_CLOEXEC)
        self._socket, theirs = sockets.socketpair()
        server = os.getpid()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                if os.fork() == 0:
                    watching = _Watching(theirs, self._stacks, server, timeout)
                    watching.run(directory, name)
            os._exit(0)
        theirs.close()
        os.waitpid(child, 0)
        faulthandler.register(DUMP_SIGNAL, file=self._stacks, all_threads=True)
        self._closing = False
        self._thread = threading.Thread(
            target=self._answer, name="pluginserver-sign-of-life", daemon=True
        )
        close_in_children(self)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Let the watcher end."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(sockets.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join()
        faulthandler.unregister(DUMP_SIGNAL)
        self._socket.close()
        close_all(self._stacks)
        self._stacks = -1

    def forked(self) -> None:
        """Close what belongs to the parent; this is a child."""
        faulthandler.unregister(DUMP_SIGNAL)
        self._socket.close()
        close_all(self._stacks)
        self._stacks = -1

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while self._socket.recv(1):
                self._socket.send(b"!")
        if not self._closing:
            _log.warning(
                "nobody watches any more whether this server is frozen: the watcher has ended"
            )


class _Watching:
    """The watching process itself.

    :param socket: leads to the server.
    :param stacks: the file into which the server's stacks are written.
    :param server: the server's process id.
    :param timeout: seconds of silence after which the server is ended.
    """

    def __init__(self, socket: sockets.socket, stacks: int, server: int, timeout: float) -> None:
        self._process = os.pidfd_open(server)
        self._server = server
        self._timeout = timeout
        self._interval = min(INTERVAL, timeout / 5)
        self._socket = socket
        self._stacks = stacks
        self._stderr = os.dup(2)
        for name in _IGNORED:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        keep = {0, 1, 2, socket.fileno(), stacks, self._process, self._stderr}
        for number in map(int, os.listdir("/proc/self/fd")):
            if number not in keep:
                with contextlib.suppress(OSError):
                    os.close(number)

    def run(self, directory: Path, name: str) -> NoReturn:
        """Watch until the server has ended, or is to be ended."""
        asked = False
        silence = 0.0
        before, spent = time.monotonic(), self._cpu_time()
        while True:
            if self._answered(self._interval):
                asked, silence = False, 0.0
                continue
            now, used = time.monotonic(), self._cpu_time()
            passed = min(now - before, 2 * self._interval)
            computes = used - spent > BUSY * passed
            before, spent = now, used
            if asked and computes:
                silence += passed
                if silence >= self._timeout:
                    self._end(directory, name)
            elif computes:
                self._socket.send(b"?")
                asked = True

    def _answered(self, seconds: float) -> bool:
        """Wait so long for the server's answer; its end is this process's."""
        if not select.select([self._socket], [], [], seconds)[0]:
            return False
        if not self._socket.recv(16):
            os._exit(0)
        return True

    def _cpu_time(self) -> float:
        """Seconds of CPU time that the server has used."""
        try:
            return cpu_time(self._server)
        except OSError:
            os._exit(0)

    def _end(self, directory: Path, name: str) -> None:
        stacks = dumped(self._stacks, lambda: signal.pidfd_send_signal(self._process, DUMP_SIGNAL))
        if self._answered(0):
            return
        text = f"pluginserver: C code has not let anything else run for {self._timeout:g} s"
        try:
            where = f"; the stacks are in {_write(directory, name, self._server, text, stacks)}"
        except OSError as error:
            where = f"; the stacks could not be written to {directory}: {error.strerror}"
        signal.pidfd_send_signal(self._process, signal.SIGKILL)
        if select.select([], [self._stderr], [], 0)[1]:
            os.write(self._stderr, f"{text}: it was killed{where}\n".encode("utf-8", "replace"))
        os._exit(0)


def dumped(stacks: int, ask: Callable[[], None]) -> bytes:
    """The stacks of every thread, when they are written.

    Nothing says where they end, and who writes them may be kept from it at any place. But they are written
    by one thread at a time: when one is told for the second time, all were told once.

    :param stacks: the file that they are written to.
    :param ask: has them written, unless they are being written; called again when nothing more comes.
    :returns: what there is after :data:`DUMP_TIME` when they are not told twice by then.
    """
    deadline = time.monotonic() + DUMP_TIME
    before = b""
    ask()
    while True:
        time.sleep(DUMP_LOOK)
        text = os.pread(stacks, os.fstat(stacks).st_size, 0)
        told: set[bytes] = set()
        for thread in _THREAD.finditer(text):
            if thread[1] in told:
                return text[: thread.start()]
            told.add(thread[1])
        if time.monotonic() > deadline:
            return text
        if text == before:
            ask()
        before = text


def _write(directory: Path, name: str, server: int, text: str, stacks: bytes) -> Path:
    """Write a report.

    :raises OSError: when it cannot be written.
    """
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = directory / f"{name}-frozen-{at}-{server}{NEW}"
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(f"{text} (process {server}, {at})\n\n".encode() + stacks)
    return path


def tell_reports(directory: Path, name: str) -> None:
    """Log the reports that no start has told of, and keep only the newest ones.

    :param directory: where they are.
    :param name: what their names begin with.
    """
    with contextlib.suppress(OSError):
        for path in sorted(directory.glob(f"{name}-frozen-*{NEW}")):
            told = path.with_suffix(".txt")
            path.rename(told)
            _log.error(
                "the last server at this socket was killed because C code did not let anything else"
                f" run: see {told} for the stacks, and for the plugin that was in them"
            )
        for old in sorted(directory.glob(f"{name}-frozen-*.txt"))[:-KEPT]:
            old.unlink()
