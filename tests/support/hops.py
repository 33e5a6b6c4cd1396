"""Load on a server that must lose nothing: events of several steps, over Kong's pool of connections."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .client import TIMEOUT, Client
from .commands import MODULE
from .plugins import eventually

PLUGIN = """
import os, time
import attrs
version = "1.0.0"
priority = 1

@attrs.define
class Plugin:
    message: str = "none"

    def access(self, kong):
        for number in range(5):
            assert kong.call("kong.test", self.message, number) == number
        kong.call("kong.process", os.getpid())

    def rewrite(self, kong):
        kong.call("kong.before")
        time.sleep(kong.call("kong.seconds"))
        kong.call("kong.after")
"""


class Pool:
    """Kong's pool of connections, last in first out: each call takes one, and puts it back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: queue.LifoQueue[Client] = queue.LifoQueue()
        self.greetings: set[int] = set()

    @contextmanager
    def connection(self) -> Iterator[Client]:
        try:
            client = self._free.get_nowait()
        except queue.Empty:
            client = Client(self._path)
        yield client
        self.greetings.update(number for _, _, number in client.notifications)
        self._free.put(client)

    def call(self, method: str, argument: Any) -> Any:
        with self.connection() as client:
            return client.call(method, argument)

    def start(self, message: str) -> int:
        config = f'{{"message": "{message}"}}'
        return int(self.call("plugin.StartInstance", {"Name": "hops", "Config": config})["Id"])

    def play(self, instance: int, message: str) -> int:
        """Play a whole event, each step on whatever connection is free; gives the process it ran in."""
        out = self.call("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
        for number in range(5):
            assert out["Data"] == {"Method": "kong.test", "Args": [message, number]}
            out = self.call("plugin.Step", {"EventId": out["EventId"], "Data": number})
        assert out["Data"]["Method"] == "kong.process"
        process = out["Data"]["Args"][0]
        out = self.call("plugin.Step", {"EventId": out["EventId"], "Data": None})
        assert out["Data"] == "ret"
        return int(process)

    def close(self) -> None:
        while not self._free.empty():
            self._free.get().close()


class Load:
    """Threads that play events until they are told to stop."""

    def __init__(self, pool: Pool, threads: int) -> None:
        self._pool = pool
        self._stop = threading.Event()
        self._played: list[int] = []
        self.processes: set[int] = set()
        self._executor = ThreadPoolExecutor(threads)
        self._running = [self._executor.submit(self._run, number) for number in range(threads)]

    def _run(self, thread: int) -> None:
        message = f"thread {thread}"
        instance = self._pool.start(message)
        while not self._stop.is_set():
            self.processes.add(self._pool.play(instance, message))
            self._played.append(thread)

    @property
    def count(self) -> int:
        """How many events were played so far."""
        return len(self._played)

    def more(self, events: int) -> None:
        """Wait until so many more events were played."""
        enough = self.count + events
        eventually(lambda: self.count > enough or any(one.done() for one in self._running))

    def stop(self) -> int:
        """Stop; gives how many events were played, all of them right."""
        self._stop.set()
        for one in self._running:
            one.result(TIMEOUT)
        self._executor.shutdown()
        return self.count


SOON = (
    "import pluginserver.rpc.succession as s, pluginserver.supervisor.succession as t;"
    " s.SETTLED = t.SETTLED = 0; import sys; "
)
"""Lets takeovers follow each other, of one server and of several processes."""


def soon(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """A command that does so."""
    code = SOON + "from pluginserver.cli.main import main; main(sys.argv[1:])"
    return ("-c", code, *arguments[len(MODULE) :])
