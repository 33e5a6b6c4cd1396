"""A process that a handler forks: it has nothing of the server's, and does not serve."""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.client import TIMEOUT, Client
from support.commands import MODULE, running

from pluginserver import Kong, PluginServer
from pluginserver.runtime import directory_lock, served

Serve = Callable[..., PluginServer]

FORKS = """
import multiprocessing, os, time

version, priority = "1.0.0", 1

def held():
    names = []
    for number in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            pass
    return [name for name in names if name.startswith(("socket:", "anon_inode:"))]

def tell(pipe):
    pipe.send(held())

class Plugin:
    def access(self, kong):
        near, far = multiprocessing.get_context("fork").Pipe(duplex=False)
        child = multiprocessing.get_context("fork").Process(target=tell, args=(far,))
        child.start()
        kong.call("kong.test", near.recv())
        child.join()

    def rewrite(self, kong):
        child = os.fork()
        if child:
            kong.call("kong.test", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def log(self, kong):
        child = os.fork()
        if child == 0:
            time.sleep(1000)
        kong.call("kong.test", child)
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    (tmp_path / "forks.py").write_text(FORKS)
    return tmp_path


def test_a_child_has_no_socket_and_no_descriptor_of_the_servers(
    plugins: Path, prefix: Path
) -> None:
    flags = ("-socket", prefix / "s", "-plugins-directory", plugins)
    with running(*MODULE, *flags), Client(prefix / "s") as client, Client(prefix / "s"):
        assert client.play(client.start("forks")) == [("kong.test", [[]])]


def test_a_child_that_comes_back_from_the_handler_ends(plugins: Path, prefix: Path) -> None:
    flags = ("-socket", prefix / "s", "-plugins-directory", plugins)
    with running(*MODULE, *flags) as server, Client(prefix / "s") as client:
        instance = client.start("forks")
        for _ in range(3):
            assert client.play(instance, "rewrite") == [("kong.test", [1])]
        server.wait_for("forked in a handler of forks, came back from it and ends")


def test_a_child_that_is_left_behind_does_not_keep_the_socket(plugins: Path, prefix: Path) -> None:
    flags = ("-socket", prefix / "s", "-plugins-directory", plugins)
    with running(*MODULE, *flags) as server, Client(prefix / "s") as client:
        ((_, (child,)),) = client.play(client.start("forks"), "log")
        try:
            server.process.kill()
            server.process.wait(TIMEOUT)
            with PluginServer(prefix / "s"), Client(prefix / "s"):
                pass
        finally:
            os.kill(child, 9)


def test_a_listener_that_nobody_serves_is_told_from_a_server(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "ANSWER_TIME", 0.2)
    with socket.socket(socket.AF_UNIX) as orphan:
        orphan.bind(str(prefix / "s"))
        orphan.listen()
        with PluginServer(prefix / "s"), Client(prefix / "s") as client:
            client.call("plugin.GetStatus", None)
            assert client.notifications[0][1] == "serverPid"


def test_who_closes_a_connection_is_a_server(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pluginserver import ListenError

    monkeypatch.setattr(served, "ANSWER_TIME", 0.5)
    with socket.socket(socket.AF_UNIX) as crowded:
        crowded.bind(str(prefix / "s"))
        crowded.listen()

        def refuse() -> None:
            try:
                while True:
                    crowded.accept()[0].close()
            except OSError:
                pass

        thread = threading.Thread(target=refuse)
        thread.start()
        try:
            with pytest.raises(ListenError, match="another server is listening"):
                PluginServer(prefix / "s").start()
        finally:
            crowded.shutdown(socket.SHUT_RDWR)
            thread.join()


class Waits:
    """Asks once."""

    name, version, priority = "waits", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        kong.call("kong.test")


def test_a_child_of_an_embedding_program_stops_nothing(serve: Serve) -> None:
    server = serve(Waits)
    context = multiprocessing.get_context("fork")
    with Client(server.socket_path) as client:
        instance = client.start("waits")
        child = context.Process(target=server.stop)
        child.start()
        child.join(TIMEOUT)
        assert child.exitcode == 0
        assert server.socket_path.exists()
        assert client.play(instance) == [("kong.test", None)]


def test_stopping_leaves_no_thread(prefix: Path) -> None:
    before = set(threading.enumerate())
    for number in range(20):
        server = PluginServer(prefix / "s", [Waits])
        server.start()
        clients = [Client(prefix / "s") for _ in range(4)]
        instance = clients[0].start("waits")
        for client in clients:
            argument = {"InstanceId": instance, "EventName": "access"}
            for _ in range(number):
                client.request("plugin.HandleEvent", argument)
        server.stop(grace=0)
        assert server.left == []
        left = set(threading.enumerate()) - before
        assert not [thread.name for thread in left]
        for client in clients:
            client.close()


def test_a_lock_that_somebody_else_keeps_is_told(
    prefix: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import fcntl

    monkeypatch.setattr(directory_lock, "LOCK_PATIENCE", 0.05)
    directory = os.open(prefix, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    server = PluginServer(prefix / "s")
    thread = threading.Thread(target=server.start)
    thread.start()
    told = ""
    deadline = time.monotonic() + TIMEOUT
    while "waiting for the lock" not in told:
        assert time.monotonic() < deadline
        told += capfd.readouterr().err
        time.sleep(0.01)
    assert f"{prefix}, which process {os.getpid()} holds" in told
    os.close(directory)
    thread.join(TIMEOUT)
    with Client(prefix / "s"):
        server.stop()
