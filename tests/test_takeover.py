"""One server takes over from another: what Kong notices of it, which is nothing."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import LifoQueue
from typing import Any

import pytest
from support.client import TIMEOUT, Client, Closed, Failed, pack
from support.commands import MODULE, Running, environment, run, running

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
        self._free: LifoQueue[Client] = LifoQueue()
        self.greetings: set[int] = set()

    @contextmanager
    def connection(self) -> Iterator[Client]:
        try:
            client = self._free.get_nowait()
        except Exception:
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
        self.played = itertools.count()
        self.processes: set[int] = set()
        self._executor = ThreadPoolExecutor(threads)
        self._running = [self._executor.submit(self._run, number) for number in range(threads)]

    def _run(self, thread: int) -> None:
        message = f"thread {thread}"
        instance = self._pool.start(message)
        while not self._stop.is_set():
            self.processes.add(self._pool.play(instance, message))
            next(self.played)

    def stop(self) -> int:
        """Stop; gives how many events were played, all of them right."""
        self._stop.set()
        for one in self._running:
            one.result(TIMEOUT)
        self._executor.shutdown()
        return next(self.played)


@pytest.fixture
def pool(prefix: Path) -> Iterator[Pool]:
    pool = Pool(prefix / "s")
    yield pool
    pool.close()


@pytest.fixture
def arguments(prefix: Path) -> tuple[Any, ...]:
    (prefix / "plugins").mkdir()
    (prefix / "plugins" / "hops.py").write_text(PLUGIN)
    return (*MODULE, "-socket", prefix / "s", "-plugins-directory", prefix / "plugins")


SOON = "import pluginserver.rpc.succession as s; s.SETTLED = 0; import sys; "
"""Lets takeovers follow each other."""


def soon(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    code = SOON + "from pluginserver.cli.main import main; main(sys.argv[1:])"
    return ("-c", code, *arguments[len(MODULE) :])


def test_takeovers_under_load_lose_nothing(arguments: tuple[Any, ...], pool: Pool) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(running(*soon(arguments)))
        first = server.process.pid
        load = Load(pool, 8)
        for number in range(int(os.environ.get("TAKEOVERS", "4"))):
            time.sleep(0.2)
            if number % 2:
                server.signal(signal.SIGTERM)
            successor = stack.enter_context(running(*soon(arguments)))
            assert server.end() == 0, server.lines
            server = successor
        time.sleep(0.2)
        assert load.stop() > 100
        assert pool.greetings == {first}
        assert server.process.pid in load.processes
        server.signal(signal.SIGTERM)
        pool.close()
        assert server.end() == 0
    assert not os.path.exists(arguments[3])
