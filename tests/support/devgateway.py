"""Runs the development gateway for a test, in a thread of its own, and talks to it over sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from pluginserver.dev.gateway import DevGateway, Options, running
from pluginserver.dev.terminal import Terminal

TIMEOUT = 60.0
"""Seconds after which a test gives up; nothing is measured with it."""

HELLO = """
import attrs

version = "1.0.0"
priority = 100

@attrs.define
class Plugin:
    message: str = "hello"

    def access(self, kong):
        kong.response.set_header("x-hello", self.message)
"""


class Screen(io.StringIO):
    """A terminal that remembers, and can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._more = threading.Condition()

    def write(self, text: str) -> int:
        with self._more:
            written = super().write(text)
            self._more.notify_all()
        return written

    def wait_for(self, text: str, times: int = 1) -> str:
        """Everything written so far, once it holds ``text`` that many times."""
        with self._more:
            if not self._more.wait_for(lambda: self.getvalue().count(text) >= times, TIMEOUT):
                raise AssertionError(f"{text!r} was never written: {self.getvalue()}")
        return self.getvalue()


@attrs.define
class Answer:
    """A response: its headers as they came, name by name."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def text(self) -> str:
        return self.body.decode()


@attrs.define
class Dev:
    """A running gateway, and what it wrote."""

    gateway: DevGateway
    screen: Screen

    @property
    def port(self) -> int:
        return int(self.gateway.url.rpartition(":")[2])

    def request(
        self, method: str, target: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        """Send a request, and wait for its response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        with contextlib.closing(connection):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, body, named)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())

    def get(self, target: str = "/", **headers: str) -> Answer:
        return self.request("GET", target, **headers)

    def page(self, path: str = "", **headers: str) -> Answer:
        """Look at the page."""
        return self.get(f"/__pluginserver{path}", **headers)

    def raw(self, data: bytes) -> bytes:
        """Send bytes; give all that comes back until the gateway closes."""
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))


@contextlib.contextmanager
def dev(*sources: Path, **options: Any) -> Iterator[Dev]:
    """A gateway with the plugins in some files and directories; at the end nothing is left of it."""
    screen = Screen()
    started: list[DevGateway | BaseException] = []
    ready = threading.Event()
    stops: list[Any] = []

    async def serve() -> None:
        stop = asyncio.Event()
        stops.append((asyncio.get_running_loop(), stop))
        given = Options(sources, **{"port": 0, **options})
        async with running(given, Terminal(screen)) as gateway:
            started.append(gateway)
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            started.append(error)
        ready.set()

    before = set(threading.enumerate())
    thread = threading.Thread(target=run, name="the gateway of a test")
    thread.start()
    assert ready.wait(TIMEOUT)
    found = started[0]
    if isinstance(found, BaseException):
        thread.join()
        raise found
    try:
        yield Dev(found, screen)
    finally:
        loop, stop = stops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(TIMEOUT)
        assert not thread.is_alive()
        for left in set(threading.enumerate()) - before:
            if left.name.startswith("pluginserver"):
                left.join(TIMEOUT)
                assert not left.is_alive(), left.name
    assert len(started) == 1, started[1]


def wait_at(plugins: Path, gate: Path, message: str = "through", phase: str = "log") -> None:
    """Write a plugin whose phase waits until the file ``gate`` is there, and then logs."""
    (plugins / "late.py").write_text(
        f"""
import time
from pathlib import Path
version = "1.0.0"
priority = 1
class Plugin:
    def {phase}(self, kong):
        while not Path({str(gate)!r}).exists():
            time.sleep(0.01)
        kong.log.notice({message!r})
"""
    )
