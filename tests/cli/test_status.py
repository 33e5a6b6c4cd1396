"""``pluginserver status``."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
from support.client import Client
from support.commands import MODULE, environment

from pluginserver import Kong, PluginServer
from pluginserver.cli.status import main

Serve = Callable[..., PluginServer]


class Asks:
    """Asks once; in ``log`` it does not end well."""

    name, version, priority = "a-plugin-whose-name-is-longer-than-most-that-there-are", "1.0.0", 7

    def access(self, kong: Kong) -> None:
        kong.request.get_method()


@pytest.fixture
def path(serve: Serve) -> Path:
    server = serve(Asks)
    with Client(server.socket_path) as client:
        instance = client.start(Asks.name)
        for _ in range(3):
            client.play(instance, answers=["GET"])
    return server.socket_path


def test_a_table_has_a_row_for_each_phase(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(path), "-interval", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line == f"plugin {Asks.name} 1.0.0, priority 7: 1 instances" for line in lines)
    cells = lines[-1].split()
    assert cells[:4] == [Asks.name, "access", "3", "0"]
    assert cells[-1] == "1.0"


def test_json_has_all_numbers(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--format=json", str(path), "--interval", "0.05"]) == 0
    found = json.loads(capsys.readouterr().out)
    (one,) = found["events"]
    assert one["outcomes"] == {"returned": 3}
    assert one["rate"] == 0.0
    assert found["callbacks"][0]["function"] == "kong.request.get_method"


def test_watch_goes_on_and_writes_a_line_of_json_each_time(path: Path) -> None:
    arguments = ("status", str(path), "--watch", "--format", "json", "--interval", "0.01")
    with subprocess.Popen(
        [sys.executable, *MODULE, *arguments], env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(3):
            assert json.loads(process.stdout.readline())["connections"] >= 1
        process.terminate()


def test_json_needs_no_rich(path: Path) -> None:
    code = (
        "import sys; from pluginserver.cli.status import main;"
        f" main([{str(path)!r}, '--format', 'json', '--interval', '0']); sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env=environment()).returncode == 0


def test_where_nobody_listens_is_told(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(prefix / "none.sock")]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "none.sock" in told
    assert "give the socket that it listens on" in told


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (msgpack.packb([1, 1, "rpc: can't find service server.Status", None]), "older version"),
        (b"", "closed the connection"),
        (b"\xc1", "no server can be asked"),
    ],
)
def test_another_server_is_told(
    reply: bytes, said: str, prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer() -> None:
        with listener.accept()[0] as sock:
            sock.recv(1000)
            sock.sendall(reply)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(prefix / "other.sock"))
        listener.listen()
        thread = threading.Thread(target=answer)
        thread.start()
        assert main([str(prefix / "other.sock")]) == 1
        thread.join()
    assert said in capsys.readouterr().err
