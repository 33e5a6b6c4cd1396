"""Plugins for the tests of the runtime, and what such a test waits with."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pluginserver import Kong
from pluginserver.events.callbacks import callback

from .client import TIMEOUT, Client


def plugin(
    access: Callable[[Any, Kong], object],
    *,
    name: str = "p",
    threads: str | None = None,
    request_timeout: float | None = None,
    **phases: Callable[[Any, Kong], object],
) -> type:
    """A plugin class with the given handlers.

    :param threads: where its events run, when that is not to be judged.
    :param request_timeout: seconds for its events alone; a slow machine takes longer to start an instance.
    """
    parts = {"name": name, "version": "1.0.0", "priority": 1, "threads": threads}
    parts["request_timeout"] = request_timeout
    return type("Plugin", (), {**parts, "access": access, **phases})


def asks(count: int) -> Callable[[Any, Kong], None]:
    """A handler that makes callbacks, and says in each what the one before was answered."""

    def access(_self: object, _kong: Kong) -> None:
        answer = None
        for number in range(count):
            answer = callback("kong.test", number, answer)

    return access


def gated() -> tuple[threading.Event, threading.Event, Callable[[Any, Kong], None]]:
    """A handler that blocks while a gate is closed; the gate, which is open, is the first thing.

    The second is set when the handler blocks.
    """
    gate, blocked = threading.Event(), threading.Event()
    gate.set()

    def access(_self: object, _kong: Kong) -> None:
        if not gate.is_set():
            blocked.set()
            assert gate.wait(TIMEOUT)

    return gate, blocked, access


class Flag:
    """An event that is set without a lock, for handlers that are interrupted.

    An interrupt may come at any place; on CPython 3.14 also between the taking of a lock and the block that
    releases it, which leaves ``threading.Event`` of no use to anybody.
    """

    def __init__(self) -> None:
        self._times: list[None] = []

    def set(self) -> None:
        self._times.append(None)

    def clear(self) -> None:
        self._times.clear()

    def is_set(self, times: int = 1) -> bool:
        return len(self._times) >= times

    def wait(self, times: int = 1) -> None:
        """Wait until it was set so many times."""
        eventually(lambda: self.is_set(times))


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.001)


def listens(path: Path) -> bool:
    """Whether somebody accepts clients at the path; its file is there a moment before."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def make_inline(client: Client, instance: int) -> None:
    """Run events until the phase is known not to block, so that it runs on the leader."""
    for _ in range(200):
        client.play(instance)
