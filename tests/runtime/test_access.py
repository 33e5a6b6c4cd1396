"""Who may connect, whose code is run, and what is said about others who may write."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from support.client import TIMEOUT, Client, Failed, pack
from support.commands import MODULE, running
from support.users import STRANGER, as_user, only_root

from pluginserver import Kong, PluginServer
from pluginserver.runtime.access import others_may_write

Serve = Callable[..., PluginServer]


class Waits:
    """Asks once."""

    name, version, priority = "waits", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        kong.call("kong.test")


def greeted(server: PluginServer) -> str:
    """Connect, ask for something, and say whether the server says anything before it closes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT)
        client.connect(str(server.socket_path))
        try:
            client.sendall(pack([0, 1, "plugin.GetStatus", []]))
            return "greeted" if client.recv(1) else "closed"
        except (BrokenPipeError, ConnectionResetError):
            return "closed"


@only_root
def test_only_the_users_that_are_named_may_connect(
    serve: Serve, prefix: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prefix.chmod(0o711)
    server = serve(Waits, socket_mode=0o666, allow_user=["nobody", str(STRANGER)])
    assert as_user(lambda: greeted(server)) == "greeted"
    for _ in range(3):
        assert as_user(lambda: greeted(server), user=STRANGER + 1) == "closed"
    with Client(server.socket_path) as client:
        client.play(client.start("waits"))
    lines = [line for line in capfd.readouterr().err.splitlines() if "was closed" in line]
    assert len(lines) == 1
    assert f"of the user {STRANGER + 1} was closed" in lines[0]
    assert server._pool.counts["refused_users"] == 3


@only_root
def test_without_names_the_mode_alone_decides(serve: Serve, prefix: Path) -> None:
    prefix.chmod(0o711)
    open_to_all, closed = serve(Waits, socket_mode=0o666), serve(Waits)
    assert as_user(lambda: greeted(open_to_all)) == "greeted"
    assert as_user(lambda: greeted(closed)).startswith("PermissionError")


@only_root
def test_the_socket_is_given_to_a_group(serve: Serve, prefix: Path) -> None:
    prefix.chmod(0o711)
    server = serve(Waits, socket_mode=0o660, socket_group=str(STRANGER))
    status = os.stat(server.socket_path)
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, STRANGER)
    assert as_user(lambda: greeted(server)) == "greeted"
    other = as_user(lambda: greeted(server), user=STRANGER + 1, group=STRANGER + 1)
    assert other.startswith("PermissionError")


@only_root
def test_a_group_that_cannot_be_given_is_an_error_and_leaves_nothing(prefix: Path) -> None:
    os.chown(prefix, STRANGER, STRANGER)

    def start() -> None:
        PluginServer(prefix / "s", [Waits], socket_group="root").start()

    said = as_user(start)
    assert said.startswith("ListenError: the socket cannot be given to the group root")
    assert list(prefix.iterdir()) == []


# -- whose code is run


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"fixed_plugins_directory": True}, "started with -fixed-plugins-directory"),
        ({"socket_mode": 0o660}, "with the mode 0660 the socket is open to other users"),
        ({"socket_mode": 0o602}, "with the mode 0602 the socket is open to other users"),
        ({"socket_mode": 0o644}, None),
        ({}, None),
    ],
)
def test_the_plugins_directory_is_not_for_everybody_to_choose(
    serve: Serve, tmp_path: Path, options: dict[str, object], why: str | None
) -> None:
    (tmp_path / "theirs.py").write_text(
        "version, priority = '1', 1\nclass Plugin:\n    def access(self, kong): pass\n"
    )
    server = serve(Waits, **options)
    with Client(server.socket_path) as client:
        if why is None:
            assert client.call("plugin.SetPluginDir", str(tmp_path)) == "ok"
            client.start("theirs")
            return
        with pytest.raises(Failed, match=f"SetPluginDir is refused: .*{why}"):
            client.call("plugin.SetPluginDir", str(tmp_path))
        with pytest.raises(Failed, match="there is not a plugin theirs"):
            client.start("theirs")
        client.start("waits")


@only_root
def test_another_user_cannot_have_its_code_run(prefix: Path, tmp_path: Path) -> None:
    prefix.chmod(0o711)
    path = prefix / "s"
    flags = ("-socket", path, "-plugins-directory", tmp_path, "-socket-mode", "0666")

    def ask() -> None:
        with Client(path) as client:
            client.call("plugin.SetPluginDir", "/")

    with running(*MODULE, *flags):
        assert as_user(ask).startswith("Failed: SetPluginDir is refused")
    with running(*MODULE, *flags, "-allow-user", "nobody", "-allow-user", "root"):
        assert as_user(ask).startswith(("Closed", "BrokenPipeError"))
        with Client(path) as client:
            client.call("plugin.GetStatus")


# -- who else may write


def test_a_directory_that_only_we_can_change_is_right(prefix: Path) -> None:
    assert others_may_write(prefix) is None
    assert others_may_write(prefix / "missing") is None


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_directory_that_everybody_can_change_is_named(prefix: Path, mode: int) -> None:
    prefix.chmod(mode)
    assert others_may_write(prefix) == f"{prefix} may be written by every user"


def test_a_sticky_directory_above_does_no_harm_and_another_does(prefix: Path) -> None:
    inner = prefix / "inner"
    inner.mkdir(0o700)
    prefix.chmod(0o1777)
    assert others_may_write(inner) is None
    prefix.chmod(0o777)
    assert others_may_write(inner) == f"{prefix} may be written by every user"


@only_root
def test_another_owner_and_another_group_are_named(prefix: Path) -> None:
    os.chown(prefix, 0, STRANGER)
    assert others_may_write(prefix) is None
    prefix.chmod(0o770)
    assert others_may_write(prefix) == f"{prefix} may be written by the group {STRANGER}"
    os.chown(prefix, 0, 0)
    assert others_may_write(prefix) is None
    os.chown(prefix, STRANGER, 0)
    assert others_may_write(prefix) == f"{prefix} belongs to the user {STRANGER}"


def test_the_server_warns_when_it_starts(
    serve: Serve, prefix: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    serve(Waits, plugins_directory=tmp_path)
    assert "others can" not in capfd.readouterr().err
    prefix.chmod(0o777)
    tmp_path.chmod(0o777)
    serve(Waits, plugins_directory=tmp_path)
    said = capfd.readouterr().err
    assert f"in place of the server's: {prefix} may be written by every user" in said
    assert f"the plugins that this server runs: {tmp_path} may be written by every user" in said
