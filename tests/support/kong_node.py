"""Does with plugin servers what a starting Kong does: asks for their dumps, and starts them.

As Kong 3.9, ``process.lua`` and ``plugin.lua`` of ``kong/runloop/plugin_servers`` do it: the query command
has Kong's whole environment, the start command what nginx leaves of it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .client import Client
from .commands import TIMEOUT
from .kong_conf import Read
from .plugins import eventually, listens


def asked(read: Read, kong: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """The plugins that Kong knows after its queries, by their names."""
    known: dict[str, Any] = {}
    for server in read.servers:
        done = subprocess.run(
            server.query,
            env=environment,
            cwd="/",
            capture_output=True,
            timeout=TIMEOUT,
            check=True,
        )
        dump = json.loads(done.stdout)
        entries = dump["Plugins"] if isinstance(dump, dict) else dump
        several = tuple(map(int, kong.split("."))) < (3, 9)
        for entry in entries if several else entries[:1]:
            assert entry["Name"] not in known, "two names describe one plugin"
            known[entry["Name"]] = {**entry, "socket": server.socket}
    return known


@contextmanager
def started(
    read: Read, environment: Mapping[str, str]
) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Start the servers that Kong starts, and wait until they listen; they are ended with the block."""
    left = {name: environment[name] for name in [*read.environment, "TZ"] if name in environment}
    running = {
        server.name: subprocess.Popen(
            server.start,
            env=left,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for server in read.servers
        if server.start is not None
    }
    try:
        for server in read.servers:
            _wait_for(Path(server.socket), running)
        yield running
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.communicate(timeout=TIMEOUT)


def _wait_for(socket: Path, running: Mapping[str, subprocess.Popen[str]]) -> None:
    def listening() -> bool:
        ended = [process for process in running.values() if process.poll() is not None]
        assert not ended, ended[0].communicate()[1]
        return listens(socket)

    eventually(listening)


def described(socket: str, name: str) -> tuple[int, Any]:
    """The process that answers at a socket, and what it says of a plugin."""
    with Client(socket) as client:
        said = client.call("plugin.GetPluginInfo", name)
        ((_, _, process),) = client.notifications
        return process, said
