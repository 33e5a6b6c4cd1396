"""A launcher is all that Kong must find."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import kong_conf
from support.commands import MODULE, TIMEOUT, environment, run
from support.kong_node import asked, described, started

from pluginserver.deploy.launcher import install
from pluginserver.errors import PluginServerError

PLUGIN = """
name = "My-Plugin"
version, priority = "1.0.0", 1
class Plugin:
    def access(self, kong): pass
"""


@pytest.fixture
def plugins(prefix: Path) -> Path:
    directory = prefix / "plugins"
    directory.mkdir()
    (directory / "mine.py").write_text(PLUGIN)
    (directory / "broken.py").write_text(PLUGIN + "1 / 0\n")
    return directory


def test_kong_needs_a_name_alone(plugins: Path, prefix: Path) -> None:
    done = run(
        *MODULE,
        *("install", "My-Plugin", "-plugins-directory", plugins),
        *("-into", prefix, "-kong-prefix", prefix),
    )
    assert done.returncode == 0, done.stderr
    settings = kong_conf.conf(done.stdout.decode())
    bare = {name: settings[name] for name in ("plugins", "pluginserver_names")}
    read = kong_conf.understood(
        bare, "3.9", str(prefix), lambda path: (prefix / Path(path).name).exists()
    )
    (server,) = read.servers
    assert server.start == ["/usr/local/bin/my-plugin"]
    assert server.query == ["/usr/local/bin/my-plugin", "-dump"]
    assert server.socket == str(prefix / "my-plugin.socket")
    (whole,) = kong_conf.understood(settings, "3.9", str(prefix)).servers
    assert whole.start == [str(prefix / "my-plugin")]

    read.servers = [whole]
    known = asked(read, "3.9", environment())
    assert list(known) == read.plugins[1:] == ["My-Plugin"]
    read.environment = ["PYTHONPATH"]
    with started(read, environment()):
        assert described(whole.socket, "My-Plugin")[1]["Version"] == "1.0.0"


def test_a_launcher_takes_the_flags_of_the_server(plugins: Path, prefix: Path) -> None:
    path = install("My-Plugin", plugins, prefix, prefix, sys.executable)
    for arguments in (["--dump", "-protocol", "protobuf"], ["-protocol=protobuf", "-dump"]):
        done = subprocess.run(
            [path, *arguments], env=environment(), capture_output=True, timeout=TIMEOUT, check=True
        )
        assert json.loads(done.stdout)["Protocol"] == "ProtoBuf:1"


@pytest.mark.parametrize(
    "arguments",
    [["-kong-prefix", "{0}"], ["--kong-prefix={0}"], ["-socket", "{0}/my-plugin.socket"]],
)
def test_another_prefix_or_socket_can_be_said(
    plugins: Path, prefix: Path, arguments: list[str]
) -> None:
    path = install("My-Plugin", plugins, Path("/nowhere"), prefix, sys.executable)
    start = [str(path), *(one.format(prefix) for one in arguments)]
    server = kong_conf.Server("my-plugin", str(prefix / "my-plugin.socket"), start, [])
    with started(kong_conf.Read([], [server], ["PYTHONPATH"]), environment()):
        assert described(server.socket, "My-Plugin")[1]["Name"] == "My-Plugin"


def test_a_launcher_is_written_again_and_another_file_stays(plugins: Path, tmp_path: Path) -> None:
    path = install("a", plugins, Path("/one"), tmp_path, sys.executable)
    assert install("a", plugins, Path("/two"), tmp_path, sys.executable) == path
    assert "'/two'" in path.read_text()
    assert os.access(path, os.X_OK)
    path.write_text("#!/bin/sh\n")
    with pytest.raises(PluginServerError, match="is no launcher of ours"):
        install("a", plugins, Path("/two"), tmp_path, sys.executable)


@pytest.mark.parametrize("name", ["a.b", "", "a/b", "ä"])
def test_a_name_that_kong_cannot_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginServerError, match="Kong cannot have a plugin server with the name"):
        install(name, tmp_path, tmp_path, tmp_path, sys.executable)


def test_an_interpreter_that_linux_cannot_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginServerError, match="Linux cannot start a script by"):
        install("a", tmp_path, tmp_path, tmp_path, "/my venv/bin/python")


def test_a_plugin_that_does_not_load_is_not_installed(plugins: Path, tmp_path: Path) -> None:
    done = run(*MODULE, "install", "broken", "-plugins-directory", plugins, "-into", tmp_path)
    assert done.returncode == 1
    assert b"ZeroDivisionError" in done.stderr
    assert not list(tmp_path.iterdir())
