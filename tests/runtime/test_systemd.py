"""What systemd is told, and what it hands over."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from support.client import TIMEOUT, Client
from support.commands import MODULE, running

from pluginserver import ListenError, PluginServer
from pluginserver.runtime.systemd import Systemd

HELLO = """
import os
version, priority = "1.0.0", 1
assert "NOTIFY_SOCKET" not in os.environ and "LISTEN_FDS" not in os.environ
class Plugin:
    def access(self, kong):
        kong.call("kong.test")
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    (tmp_path / "hello.py").write_text(HELLO)
    return tmp_path


@pytest.fixture
def manager(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(prefix / "notify"))
    listening.settimeout(TIMEOUT)
    monkeypatch.setenv("NOTIFY_SOCKET", str(prefix / "notify"))
    return listening


def heard(manager: socket.socket, wanted: str) -> str:
    while True:
        message = manager.recv(4096).decode()
        if message.startswith(wanted):
            return message


@pytest.mark.parametrize("processes", [1, 2])
def test_systemd_is_told_what_happens(
    processes: int,
    plugins: Path,
    prefix: Path,
    manager: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    flags = ("-socket", prefix / "s", "-plugins-directory", plugins, f"-processes={processes}")
    with manager, running(*MODULE, *flags) as server:
        assert manager.recv(4096) == b"READY=1"
        for _ in range(3):
            heard(manager, "WATCHDOG=1")
        server.signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in heard(manager, "RELOADING=1")
        heard(manager, "READY=1")
        server.signal(signal.SIGTERM)
        heard(manager, "STOPPING=1")
        assert server.end() == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_a_socket_is_inherited(processes: int, plugins: Path, prefix: Path) -> None:
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(prefix / "given"))
        given.listen()
        shell = (
            f"import os, sys; os.dup2({given.fileno()}, 3); os.set_inheritable(3, True);"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
            "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
        )
        flags = ("-socket", prefix / "unused", "-plugins-directory", plugins)
        flags = (*flags, f"-processes={processes}")
        options = {"pass_fds": [given.fileno()]}
        for _ in range(2):
            with running("-c", shell, *MODULE, *flags, **options) as server:
                with Client(prefix / "given") as client:
                    client.play(client.start("hello"))
                server.signal(signal.SIGTERM)
                assert server.end() == 0, server.lines
            assert (prefix / "given").is_socket()
    assert not (prefix / "unused").exists()


def test_variables_for_another_process_are_not_ours() -> None:
    environment = {
        "LISTEN_PID": "1",
        "LISTEN_FDS": "1",
        "WATCHDOG_PID": "1",
        "WATCHDOG_USEC": "1",
        "PATH": "/bin",
    }
    assert Systemd(environment).descriptor is None
    assert environment == {"PATH": "/bin"}


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = f"pluginserver-test-{os.getpid()}"
        manager.bind("\0" + name)
        manager.settimeout(TIMEOUT)
        Systemd({"NOTIFY_SOCKET": "@" + name}).ready()
        assert manager.recv(100) == b"READY=1"


def test_a_descriptor_that_does_not_listen_is_refused(prefix: Path) -> None:
    server = PluginServer(prefix / "s")
    with open(os.devnull) as file, pytest.raises(ListenError, match="is not a socket"):
        server.inherit(os.dup(file.fileno()))
    with socket.socket(socket.AF_UNIX) as idle, pytest.raises(ListenError, match="that listens"):
        server.inherit(idle.fileno())
    server.stop()
