"""The server's life: the socket file, start and stop, several in one process, nothing left behind."""

from __future__ import annotations

import gc
import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import descriptors
from support.client import TIMEOUT, Client, Closed

from pluginserver import Kong, ListenError, PluginServer
from pluginserver.plugins import Plugins

Serve = Callable[..., PluginServer]


class Waits:
    """Asks once."""

    name, version, priority = "waits", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        kong.call("kong.test")


def test_it_listens_inside_the_block_and_leaves_nothing(prefix: Path) -> None:
    path = prefix / "s.sock"
    with PluginServer(path, [Waits]) as server, Client(path) as client:
        assert server.socket_path == path
        client.play(client.start("waits"))
    assert list(prefix.iterdir()) == []

    threads, open_before = threading.active_count(), descriptors()
    for _ in range(5):
        with PluginServer(path, [Waits]) as server, Client(path) as client:
            instance = client.start("waits")
            client.begin(instance)
            client.play(instance)
            server.stop(grace=0)
    gc.collect()
    assert threading.active_count() == threads
    assert descriptors() == open_before
    assert list(prefix.iterdir()) == []


def test_a_registry_that_is_handed_in_outlives_the_server(prefix: Path) -> None:
    registry = Plugins([Waits], entry_points=False)
    for _ in range(2):
        server = PluginServer(prefix / "s.sock", registry)
        with server, Client(server.socket_path) as client:
            assert server.plugins is registry
            client.play(client.start("waits"))
    assert registry.names() == ["waits"]
    registry.close()


def test_several_in_one_process(prefix: Path) -> None:
    with (
        PluginServer(prefix / "a", [Waits]) as one,
        PluginServer(prefix / "b", [Waits]) as other,
        Client(one.socket_path) as first,
        Client(other.socket_path) as second,
    ):
        a, b = first.start("waits"), second.start("waits")
        event = first.begin(a)["EventId"]
        assert second.play(b) == [("kong.test", None)]
        one.stop(grace=0)
        with pytest.raises(Closed):
            first.step(event)
        assert second.play(b) == [("kong.test", None)]


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
    with pytest.raises(ListenError, match=f"{path} exists and is no socket"):
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


def test_stop_may_be_called_at_any_time(prefix: Path) -> None:
    server = PluginServer(prefix / "s.sock", [Waits])
    server.stop()
    server = PluginServer(prefix / "s.sock", [Waits])
    server.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: server.stop(), range(4)))
    server.stop()
    assert list(prefix.iterdir()) == []


def test_a_socket_file_that_became_somebody_elses_stays(prefix: Path) -> None:
    path = prefix / "s.sock"
    with PluginServer(path, [Waits]):
        path.unlink()
        path.write_text("precious")
    assert path.read_text() == "precious"


def test_run_serves_until_it_is_asked_to_stop(prefix: Path) -> None:
    server = PluginServer(prefix / "s.sock", [Waits])
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.run)
        while not server.socket_path.exists():
            assert not running.done()
            time.sleep(0.001)
        with Client(server.socket_path) as client:
            client.start("waits")
        server.request_stop()
        running.result(TIMEOUT)
    assert list(prefix.iterdir()) == []


def test_an_idle_server_uses_no_cpu(serve: Serve) -> None:
    server = serve(Waits)
    with Client(server.socket_path) as client:
        client.play(client.start("waits"))
        names = {t.ident: t.name for t in threading.enumerate()}
        mine = [i for i, name in names.items() if name.startswith("pluginserver")]
        assert len(mine) >= 3
        watchdog = next(i for i, name in names.items() if name.endswith("-watchdog"))
        assert watchdog is not None
        deadline = time.monotonic() + TIMEOUT
        while not server._crew.dozing:
            assert time.monotonic() < deadline
            time.sleep(0.01)

        def spent() -> list[float]:
            clocks = [time.pthread_getcpuclockid(ident) for ident in mine if ident is not None]
            return [time.clock_gettime(clock) for clock in clocks]

        before = spent()
        time.sleep(1.0)
        assert all(b - a < 0.01 for a, b in zip(before, spent(), strict=True))


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
