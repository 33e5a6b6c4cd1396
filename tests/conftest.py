"""What every test of the server needs: one that is started, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.client import TIMEOUT
from support.protocols import PROTOCOLS, protocol_of

from pluginserver import PluginServer, logs
from pluginserver.logs import logger

SWITCH_INTERVAL = "PLUGINSERVER_SWITCH_INTERVAL"
"""The variable that says after how many seconds threads take turns, for tests that look for races."""


def pytest_configure() -> None:
    interval = os.environ.get(SWITCH_INTERVAL)
    if interval:
        sys.setswitchinterval(float(interval))


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    """The protocol in which Kong speaks: a test with it runs in both."""
    return protocol_of(request)


@pytest.fixture
def prefix() -> Iterator[Path]:
    """A directory with a short path: pytest's own are too long for a socket."""
    directory = Path(tempfile.mkdtemp(prefix="ps-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def capfd(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> pytest.CaptureFixture[str]:
    """pytest's own, which waits for what was logged: that is written on a thread of its own."""
    read = capfd.readouterr

    def readouterr() -> Any:
        logs.flush(TIMEOUT)
        return read()

    monkeypatch.setattr(capfd, "readouterr", readouterr)
    return capfd


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def all_stopped() -> Iterator[None]:
    """A server that a test leaves running writes the log of every test after it, and a command that was run
    in this process has said how; that is put back."""
    before, configured, limit = logs.WRITER.threaded, logger._configured, logs.WRITER.limit
    yield
    logger._configured, logs.WRITER.limit = configured, limit
    assert logs.WRITER.threaded == before, "the test has started a server, and not stopped it"


@pytest.fixture
def serve(prefix: Path) -> Iterator[Callable[..., PluginServer]]:
    """Starts servers; at the end of the test they are stopped, and must have left nothing behind."""
    servers: list[PluginServer] = []
    before = set(threading.enumerate())

    def start(*plugins: Any, **options: Any) -> PluginServer:
        path = prefix / f"{len(servers)}.sock"
        server = PluginServer(path, plugins, **{"grace": 0, **options})
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()
    left = set(threading.enumerate()) - before
    assert not [thread.name for thread in left if thread.name.startswith("pluginserver")]
    assert not list(prefix.glob("*.sock"))
