"""The socket file is removed, or replaced, while the server runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import descriptors
from support.client import TIMEOUT, Client

from pluginserver import Kong, PluginServer
from pluginserver.runtime import directory_watch

Serve = Callable[..., PluginServer]


class Waits:
    """Asks once."""

    name, version, priority = "waits", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        kong.call("kong.test")


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def reconnect(path: Path) -> Client:
    wait_for(path.exists)
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return Client(path)
        except (ConnectionRefusedError, FileNotFoundError):
            assert time.monotonic() < deadline


@contextlib.contextmanager
def stranger(path: Path) -> Iterator[socket.socket]:
    """Somebody else listens at the path."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{path}.new")
        other.listen()
        os.replace(f"{path}.new", path)
        yield other


def test_a_removed_socket_file_comes_back_and_nobody_is_lost(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(Waits, socket_mode=0o640)
    path = server.socket_path
    with Client(path) as before:
        instance = before.start("waits")
        event = before.begin(instance)["EventId"]
        for _ in range(3):
            path.unlink()
            with reconnect(path) as client:
                assert client.play(instance) == [("kong.test", None)]
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
        assert before.step(event)["Data"] == "ret"
        assert before.play(instance) == [("kong.test", None)]
    said = capfd.readouterr().err
    assert said.count("the socket file was removed by somebody: listening again") == 1


def test_it_comes_back_within_two_seconds_without_inotify_too(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert directory_watch.INTERVAL <= 2.0
    monkeypatch.setattr(directory_watch, "inotify", lambda _directory: None)
    monkeypatch.setattr(directory_watch, "INTERVAL", 0.02)
    server = serve(Waits)
    server.socket_path.unlink()
    with reconnect(server.socket_path) as client:
        client.play(client.start("waits"))


def test_a_change_is_noticed_without_looking_from_time_to_time(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_watch, "INTERVAL", TIMEOUT)
    server = serve(Waits)
    os.rename(server.socket_path, f"{server.socket_path}.old")
    with reconnect(server.socket_path) as client:
        client.play(client.start("waits"))
    os.unlink(f"{server.socket_path}.old")


def test_somebody_elses_socket_stays_and_the_server_goes_on(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(Waits)
    path = server.socket_path
    said: list[str] = []

    def told() -> bool:
        said.append(capfd.readouterr().err)
        return "is not this server's any more" in "".join(said)

    with Client(path) as before:
        instance = before.start("waits")
        with stranger(path) as other:
            wait_for(told)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                other.accept()[0].close()
            assert before.play(instance) == [("kong.test", None)]
        assert path.exists()
        path.unlink()
        with reconnect(path) as client:
            assert client.play(instance) == [("kong.test", None)]
    assert "".join(said).count("is not this server's any more") == 1


def test_somebody_elses_socket_stays_when_the_server_stops(prefix: Path) -> None:
    path = prefix / "s.sock"
    with PluginServer(path, [Waits]):
        path.unlink()
        reconnect(path).close()
        with stranger(path):
            pass
    assert path.exists()


def moved(directory: Path) -> None:
    directory.rename(directory.with_name("old"))
    directory.mkdir()
    shutil.rmtree(directory.with_name("old"))


def removed(directory: Path) -> None:
    holder = os.open(directory, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)  # nobody binds a socket there meanwhile
    shutil.rmtree(directory)
    directory.mkdir()
    os.close(holder)


@pytest.mark.parametrize("lose", [moved, removed])
def test_a_directory_that_is_made_anew_is_found(
    prefix: Path, monkeypatch: pytest.MonkeyPatch, lose: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(directory_watch, "INTERVAL", 0.02)
    directory = prefix / "kong"
    directory.mkdir()
    before = descriptors()
    with PluginServer(directory / "s", [Waits]) as server:
        for _ in range(3):
            lose(directory)
            reconnect(server.socket_path).close()
        server.socket_path.unlink()
        reconnect(server.socket_path).close()
    assert descriptors() == before
    directory.rmdir()


def test_a_lock_that_somebody_holds_is_tried_again_and_does_not_hold_up_the_end(
    prefix: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(directory_watch, "INTERVAL", 0.02)
    path = prefix / "s"
    holder = os.open(prefix, os.O_RDONLY)
    said: list[str] = []

    def told() -> bool:
        said.append(capfd.readouterr().err)
        return "the socket file was removed, and cannot listen on" in "".join(said)

    with PluginServer(path, [Waits]):
        fcntl.flock(holder, fcntl.LOCK_EX)
        path.unlink()
        wait_for(told)
        assert not path.exists()
        fcntl.flock(holder, fcntl.LOCK_UN)
        reconnect(path).close()
        fcntl.flock(holder, fcntl.LOCK_EX)
        path.unlink()
    os.close(holder)
    assert not path.exists()


def test_a_look_that_fails_is_told_and_tried_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(directory_watch, "INTERVAL", 0.02)
    looks: list[None] = []

    def look() -> bool:
        looks.append(None)
        raise ValueError("broken")

    server = serve(Waits)
    watch = directory_watch.DirectoryWatch(server.socket_path.parent, look, "pluginserver-look")
    wait_for(lambda: len(looks) > 2)
    watch.stop()
    assert "looking after the socket file failed" in capfd.readouterr().err
