"""What is done to the server: by its clients, to its files, to its process.

Each fault is a function of a :class:`Target` and a source of chance, and is over when it returns.  It is
counted by its name; what the server did wrong goes to the findings.  Rules kept here:

* a fault that may cost requests opens a window, any other must cost none;
* what a fault opened at the server (instances, connections) it closes, so that the end can be compared with
  the beginning; the events that it abandons are the server's to find.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final

from support.client import Client, Closed, Failed, pack
from support.commands import catches

from .process import CALLBACK_TIMEOUT, Server

TRIES: Final = 20
"""How often a client tries to close its instance, while the server is ended and started again."""

ABANDONED: Final = 40
"""Events that may be abandoned and not yet found at one time."""

BROKEN: Final = (
    "class Plugin(\n",
    "raise RuntimeError('while it is loaded')\nclass Plugin: pass\n",
    "import sys\nsys.exit(1)\nclass Plugin: pass\n",
    "version = 1\npriority = 'high'\nclass Plugin:\n    def access(self, kong): pass\n",
)
GOOD: Final = "version, priority = '1.0.0', 1\nclass Plugin:\n    def access(self, kong): pass\n"


class Target:
    """What faults are done to.

    :param server: the server.
    :param plugins: its plugins directory.
    """

    def __init__(self, server: Server, plugins: Path) -> None:
        self.server = server
        self.plugins = plugins
        self.abandoned: list[tuple[float, int]] = []
        """When an event was abandoned, and its id."""
        self.files = 0

    def client(self) -> Client:
        """A new connection, on which something was answered."""
        client = Client(self.server.socket)
        client.call("plugin.GetStatus", None)
        return client

    @contextmanager
    def instance(self, plugin: str, config: str = "{}") -> Iterator[int]:
        """An instance, which is closed at the end, also when what was done with it was cut off."""
        with self.client() as client:
            number = client.start(plugin, config)
        try:
            yield number
        finally:
            self._close(number)

    def _close(self, number: int) -> None:
        """Close an instance, which may have gone with its process, or be the next one's by now."""
        for _ in range(TRIES):
            try:
                with self.client() as client:
                    client.call("plugin.CloseInstance", number)
                return
            except Failed:
                return
            except (OSError, Closed):
                self.server.await_windows()

    def find(self, text: str) -> None:
        """Report something that the server did wrong."""
        self.server.findings.append(text)


Fault = Callable[[Target, Random], None]


# -- clients


def bad_frame(target: Target, random: Random) -> None:
    """Bytes that are not MessagePack, or not a request."""
    data = random.choice(
        (
            b"\xc1",
            bytes(random.randrange(256) for _ in range(random.randrange(1, 200))),
            pack([7, 1, "plugin.GetStatus", []]),
            pack({"a": 1}),
            pack([0, -1, "x", []]),
            b"\x91" * 5000,
            b"\xdd\xff\xff\xff\xff",
        )
    )
    with suppress(Closed), target.client() as client:
        client.send(data)
        client.socket.shutdown(1)
        with suppress(Closed):
            while True:
                client.frame()


def half_frame(target: Target, random: Random) -> None:
    """A client that goes away in the middle of a request."""
    data = pack([0, 1, "plugin.StartInstance", [{"Name": "steady", "Config": "x" * 5000}]])
    with target.client() as client:
        client.send(data[: random.randrange(1, len(data))])
        time.sleep(random.random() / 50)


def odd_request(target: Target, random: Random) -> None:
    """Requests that name what is not there: each is answered with an error, on a connection that lives."""
    with target.client() as client:
        for _ in range(20):
            method = random.choice(
                ("plugin.Step", "plugin.HandleEvent", "plugin.No", "Step", None)
            )
            argument = random.choice(
                ({"EventId": 1}, {"InstanceId": 7, "EventName": "x"}, 3, [], "a")
            )
            client.request(method, argument)
            if client.response()[2] is None:
                target.find(f"{method} {argument} was answered without an error")


def flood(target: Target, random: Random) -> None:
    """Many requests at once from a client that reads no answer, and goes away."""
    with target.instance("steady") as instance, target.client() as client:
        data = pack([0, 1, "plugin.InstanceStatus", [instance]])
        client.socket.setblocking(False)
        with suppress(BlockingIOError):
            for _ in range(200):
                client.socket.send(data * 100)
        time.sleep(random.random() / 20)


def abandon(target: Target, random: Random) -> None:
    """Events whose step never comes: some on connections that close, some on one that stays for a while."""
    now = monotonic()
    recent = [one for one in target.abandoned if now - one[0] < 2 * CALLBACK_TIMEOUT]
    if len(recent) >= ABANDONED:
        return
    plugin = random.choice(("steady", "wild"))
    with target.instance(plugin) as instance, target.client() as client:
        for _ in range(random.randrange(1, 6)):
            event = client.begin(instance)["EventId"]
            target.abandoned.append((monotonic(), event))


def disconnect(target: Target, random: Random) -> None:
    """A client that goes away while its request is being worked on."""
    with target.instance("steady") as instance, target.client() as client:
        event = client.begin(instance)["EventId"]
        client.request("plugin.Step", {"EventId": event, "Data": "t"})
    target.abandoned.append((monotonic(), event))


def crowd(target: Target, random: Random) -> None:
    """Hundreds of connections that say nothing, and go."""
    clients = []
    try:
        for _ in range(random.randrange(100, 400)):
            clients.append(target.client())
        time.sleep(0.1)
    finally:
        for client in clients:
            client.close()


def constructor_raises(target: Target, _random: Random) -> None:
    """A plugin that raises when it is configured: an error, and nobody else is hurt."""
    with target.client() as client:
        try:
            client.start("constructor", '{"raises": true}')
        except Failed:
            return
        target.find("a constructor that raises was answered without an error")


def constructor_hangs(target: Target, random: Random) -> None:
    """A plugin that takes long to configure."""
    with target.instance("constructor", f'{{"seconds": {random.uniform(0.1, 1.0):.2f}}}'):
        pass


# -- files


def plugin_broken(target: Target, random: Random) -> None:
    """A plugin file that cannot be loaded, and is repaired."""
    target.files += 1
    path = target.plugins / f"file_{target.files}.py"
    path.write_text(random.choice(BROKEN))
    try:
        with target.client() as client:
            with suppress(Failed):
                client.call("plugin.GetPluginInfo", path.stem)
                target.find(f"a broken plugin was described: {path.read_text()}")
            path.write_text(GOOD + "#" * target.files)
            try:
                client.call("plugin.CloseInstance", client.start(path.stem))
            except Failed as error:
                target.find(f"a repaired plugin was not loaded: {error}")
    finally:
        path.unlink()


def socket_removed(target: Target, _random: Random) -> None:
    """The socket file goes, as when Kong's entrypoint tidies up; it must be back within 2 seconds."""
    path = target.server.socket
    with target.server.window("socket file removed"):
        removed = monotonic()
        path.unlink()
        while not path.exists():
            if monotonic() - removed > 2.0:
                target.find("the removed socket file was not back within 2 s")
                return
            time.sleep(0.005)
    target.server.listens_again()


# -- the process


def pause(target: Target, random: Random) -> None:
    """The process stands still for a moment."""
    target.server.pause(random.uniform(0.05, 0.5))


def terminate(target: Target, _random: Random) -> None:
    """SIGTERM, and a start."""
    target.server.restart(signal.SIGTERM)


def kill(target: Target, _random: Random) -> None:
    """SIGKILL, and a start."""
    target.server.restart(signal.SIGKILL)


def signals(target: Target, random: Random) -> None:
    """A signal for which the server has a handler: it reloads, or says something, and loses nothing."""
    number = random.choice((signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2))
    if catches(target.server.process.pid, number):
        target.server.process.send_signal(number)
        time.sleep(0.5)


def successor(target: Target, _random: Random) -> None:
    """A second server at the same socket: it takes over without a loss, or is refused without one."""
    old = target.server.process
    new = target.server.spawn()
    deadline = monotonic() + 30
    while old.poll() is None and new.poll() is None:
        if monotonic() > deadline:
            target.find("a second server neither took over nor ended within 30 s")
            new.kill()
            new.wait()
            return
        time.sleep(0.02)
    if new.poll() is None:
        target.server.adopt(new)


CLIENTS: Final[dict[Fault, float]] = {
    bad_frame: 5,
    half_frame: 5,
    odd_request: 3,
    flood: 1,
    abandon: 2,
    disconnect: 3,
    crowd: 1,
    constructor_raises: 2,
    constructor_hangs: 1,
    plugin_broken: 2,
}
"""What is done all the time, and how often."""

PROCESS: Final[dict[Fault, float]] = {
    socket_removed: 3,
    pause: 3,
    signals: 2,
    terminate: 1,
    kill: 1,
    successor: 1,
}
"""What is done now and then."""

ENDS: Final = frozenset({terminate, kill, successor})
"""What ends a process."""


def do(fault: Fault, target: Target, random: Random) -> str:
    """Do it; what it says to count it by.

    A client that finds no server says so only when nothing explains that.
    """
    start = monotonic()
    try:
        fault(target, random)
    except (OSError, Closed, Failed, subprocess.SubprocessError) as error:
        why = target.server.explains(start, monotonic())
        if why is None:
            target.find(f"{fault.__name__} failed: {error!r}")
        time.sleep(0.1)
        return f"{fault.__name__} (cut off)"
    return fault.__name__
