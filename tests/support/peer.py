"""A client that is a process of its own, as an nginx worker is.

Run as a program it does what standard input tells it, a JSON array a line, and answers with a line each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from support.client import Client, Closed, Failed
from support.hops import Load, Pool


class Peer:
    """The process, as a test sees it."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def tell(self, *command: Any) -> None:
        """Have it do something, without waiting."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """What came of it."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, *command: Any) -> Any:
        """Have it do something; gives what came of it."""
        self.tell(*command)
        return self.answer()

    def connect(self, number: int = 1) -> None:
        """Open more connections."""
        assert self.ask("connect", number) is None

    def play(self, plugin: str = "tells") -> list[list[int]]:
        """Play a whole event on each connection.

        :returns: for each the process that ran it, and the ``serverPid`` it was greeted with.
        """
        result: list[list[int]] = self.ask("play", plugin)
        return result


class _Program:
    """What the process does."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._clients: list[Client] = []

    def connect(self, number: int) -> None:
        self._clients += [Client(self._path) for _ in range(number)]

    def drop(self) -> None:
        while self._clients:
            self._clients.pop().close()

    def play(self, plugin: str) -> list[list[int]]:
        instance = self._clients[0].start(plugin)
        found = []
        for client in self._clients:
            ((_method, process),) = client.play(instance)
            ((_, _, server_pid),) = client.notifications
            found.append([process[0], server_pid])
        return found

    def begin(self, plugin: str) -> Any:
        """Begin an event on the last connection, and wait for its first callback."""
        client = self._clients[-1]
        out = client.begin(client.start(plugin))
        return [out["EventId"], out["Data"]["Args"]]

    def step(self, event: int) -> Any:
        return self._clients[-1].step(event)["Data"]

    def load(self, threads: int) -> None:
        """Play events from now on, on as many threads."""
        self._pool = Pool(Path(self._path))
        self._load = Load(self._pool, threads)

    def more(self, events: int) -> None:
        """Wait until so many more were played."""
        self._load.more(events)

    def unload(self) -> Any:
        """Play no more; gives how many events there were, by which processes, and all greetings."""
        count = self._load.stop()
        self._pool.close()
        return [count, sorted(self._load.processes), sorted(self._pool.greetings)]

    def call(self, method: str, argument: Any) -> Any:
        return self._clients[-1].call(method, argument)


def _main() -> None:
    program = _Program(sys.argv[1])
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        method: Callable[..., Any] = getattr(program, name)
        try:
            answer = method(*arguments)
        except (Closed, Failed, OSError) as error:
            answer = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _main()
