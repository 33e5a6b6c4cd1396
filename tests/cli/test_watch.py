"""``-watch``: plugins are loaded again while a server of the command line runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.client import TIMEOUT, Client, Failed
from support.commands import MODULE, environment, running

from pluginserver.cli.watch import WatchingServer

PLUGIN = """
version, priority = "{version}.0.0", 1

class Plugin:
    def access(self, kong):
        kong.response.set_header("x-version", "{version}")
"""


def write(path: Path, version: int) -> None:
    """Replace a file as editors do it."""
    fresh = path.with_suffix(".tmp")
    fresh.write_text(PLUGIN.format(version=version))
    fresh.replace(path)


def test_a_changed_file_is_loaded_again(prefix: Path) -> None:
    plugins = prefix / "plugins"
    plugins.mkdir()
    write(plugins / "one.py", 1)
    socket = prefix / "s.sock"
    flags = ("-socket", socket, "-plugins-directory", plugins, "-watch")
    with running(*MODULE, *flags) as server:
        with Client(socket) as client:
            old = client.start("one")
            assert client.play(old)[0][1] == ["x-version", "1"]
            write(plugins / "one.py", 2)
            server.wait_for("reloaded from")
            with pytest.raises(Failed, match=f"^No plugin instance {old}$"):
                client.begin(old)
            assert client.play(client.start("one"))[0][1] == ["x-version", "2"]
            write(plugins / "two.py", 5)
            server.wait_for("loaded from")
            assert client.play(client.start("two"))[0][1] == ["x-version", "5"]
        server.signal(signal.SIGTERM)
        assert server.end() == 0


def test_what_changed_before_the_watch_began_is_seen(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pluginserver.cli.watch.TIMEOUT", 0.05)
    path = prefix / "one.py"
    write(path, 1)

    class Late(WatchingServer):
        """Its file changes when the plugins are loaded, and nobody watches yet."""

        def start_accepting(self, name: str) -> None:
            write(path, 2)
            os.utime(path, (1, 1))
            super().start_accepting(name)

    with Late(prefix / "s.sock", plugins_directory=prefix, grace=0) as server:
        deadline = time.monotonic() + TIMEOUT
        while server.plugins.get("one").version != "2.0.0":
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_server_without_a_directory_has_nothing_to_watch(prefix: Path) -> None:
    write(prefix / "one.py", 1)
    WatchingServer(prefix / "never.sock", [prefix / "one.py"]).stop()
    with (
        WatchingServer(prefix / "s.sock", [prefix / "one.py"]),
        Client(prefix / "s.sock") as client,
    ):
        client.play(client.start("one"))


def test_a_watch_that_fails_costs_a_line(
    prefix: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_paths: object, **_options: object) -> None:
        raise OSError("no watches left")

    monkeypatch.setattr("pluginserver.cli.watch.watch", refuse)
    write(prefix / "one.py", 1)
    said = ""
    with (
        WatchingServer(prefix / "s.sock", plugins_directory=prefix, grace=0),
        Client(prefix / "s.sock") as client,
    ):
        deadline = time.monotonic() + TIMEOUT
        while "the plugins are not watched any more: no watches left" not in said:
            assert time.monotonic() < deadline
            said += capfd.readouterr().err
            time.sleep(0.01)
        client.play(client.start("one"))


def test_without_the_extra_it_says_what_to_install(prefix: Path) -> None:
    (prefix / "watchfiles.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'watchfiles'\", name='watchfiles')\n"
    )
    path = os.pathsep.join([str(prefix), environment()["PYTHONPATH"]])
    ended = subprocess.run(
        [sys.executable, *MODULE, "-watch", "-socket", str(prefix / "s.sock")],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        cwd=prefix,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        "pluginserver: -watch needs watchfiles, which is not installed: "
        "run pip install 'kong-python-server[dev]'\n"
    )
    assert not (prefix / "s.sock").exists()
