"""The socket file: whose it is, its mode, its path; and what accept meets."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import descriptors
from support.client import TIMEOUT, Client

from pluginserver import Kong, ListenError, PluginServer
from pluginserver.runtime.listener import Listener

Serve = Callable[..., PluginServer]


class Waits:
    """Asks once."""

    name, version, priority = "waits", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        kong.call("kong.test")


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o777])
@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_the_socket_has_the_mode_that_was_asked_for(serve: Serve, mode: int, mask: int) -> None:
    before = os.umask(mask)
    try:
        server = serve(Waits, socket_mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(server.socket_path).st_mode) == mode


def test_a_stale_socket_file_is_replaced(prefix: Path) -> None:
    path = prefix / "s.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    assert path.exists()
    with PluginServer(path, [Waits]), Client(path) as client:
        client.start("waits")


def test_a_live_socket_is_refused_and_stays(serve: Serve) -> None:
    server = serve(Waits)
    with pytest.raises(ListenError, match=f"another server is listening on {server.socket_path}"):
        PluginServer(server.socket_path, [Waits]).start()
    with Client(server.socket_path) as client:
        client.start("waits")


def test_of_many_that_start_at_once_one_gets_the_socket(prefix: Path) -> None:
    path = prefix / "s.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    barrier = threading.Barrier(8)
    servers = [PluginServer(path, [Waits]) for _ in range(8)]

    def start(server: PluginServer) -> bool:
        barrier.wait(TIMEOUT)
        try:
            server.start()
        except ListenError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(start, servers)) == 1
    with Client(path) as client:
        client.start("waits")
    for server in servers:
        server.stop()
    assert not path.exists()


def test_what_is_no_socket_is_left_alone(prefix: Path) -> None:
    path = prefix / "file"
    path.write_text("precious")
    with pytest.raises(ListenError, match=f"{path} exists and is not a socket"):
        PluginServer(path).start()
    assert path.read_text() == "precious"


def test_a_path_that_cannot_be_had(prefix: Path) -> None:
    with pytest.raises(ListenError, match=f"{prefix}/missing for the socket does not exist"):
        PluginServer(prefix / "missing" / "s.sock").start()
    long = prefix / ("x" * 120)
    with pytest.raises(ListenError, match=r"bytes long, and 107 is the most"):
        PluginServer(long).start()
    (prefix / "file").write_text("")
    with pytest.raises(ListenError, match="cannot listen on"):
        PluginServer(prefix / "file" / "s.sock").start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written(prefix: Path) -> None:
    prefix.chmod(0o500)
    with pytest.raises(ListenError, match=r"cannot listen on .*Permission denied"):
        PluginServer(prefix / "s.sock").start()
    prefix.chmod(0o700)


def test_the_longest_path_works(prefix: Path) -> None:
    path = prefix / ("x" * (107 - len(str(prefix)) - 1))
    assert len(str(path)) == 107
    with PluginServer(path, [Waits]), Client(path) as client:
        client.start("waits")


def test_a_socket_file_that_became_somebody_elses_stays(prefix: Path) -> None:
    path = prefix / "s.sock"
    with PluginServer(path, [Waits]):
        (prefix / "new").write_text("precious")
        os.replace(prefix / "new", path)
    assert path.read_text() == "precious"


def test_thousands_of_clients_may_wait_to_be_accepted(prefix: Path) -> None:
    """4,096 where the system allows it (``net.core.somaxconn``), and one that is accepted next."""
    import resource

    allowed = min(4096, int(Path("/proc/sys/net/core/somaxconn").read_text()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = descriptors() + allowed + 100
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"{wanted} descriptors are needed, {hard} can be had")
    listener = Listener(prefix / "s.sock", 0o600)
    waiting: list[socket.socket] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        listener.listen()
        code = 0
        while code == 0 and len(waiting) < allowed + 50:
            waiting.append(socket.socket(socket.AF_UNIX))
            waiting[-1].setblocking(False)
            code = waiting[-1].connect_ex(str(prefix / "s.sock"))
        assert code == errno.EAGAIN
        assert allowed <= len(waiting) - 1 <= allowed + 1
    finally:
        for one in waiting:
            one.close()
        listener.stop_accepting()
        listener.server_close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_more_descriptors_is_survived(serve: Serve) -> None:
    import resource

    server = serve(Waits)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Client(server.socket_path) as client:
        instance = client.start("waits")
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 1, hard))
        try:
            crowd = [socket.socket(socket.AF_UNIX)]
            crowd[0].connect(str(server.socket_path))
            assert client.play(instance) == [("kong.test", None)]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in crowd:
            one.close()
        with Client(server.socket_path) as late:
            assert late.play(instance) == [("kong.test", None)]
