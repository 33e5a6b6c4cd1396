"""The server's life: start and stop, several in one process, nothing left behind."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import descriptors
from support.client import TIMEOUT, Client, Closed
from support.plugins import eventually, listens

from pluginserver import Kong, PluginServer, logs
from pluginserver.events.event import Event
from pluginserver.plugins import Plugins
from pluginserver.runtime.options import HELP

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


def test_stop_may_be_called_at_any_time(prefix: Path) -> None:
    server = PluginServer(prefix / "s.sock", [Waits])
    server.stop()
    server = PluginServer(prefix / "s.sock", [Waits])
    server.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: server.stop(), range(4)))
    server.stop()
    assert list(prefix.iterdir()) == []


def test_a_server_that_is_started_is_not_started_again(prefix: Path) -> None:
    server = PluginServer(prefix / "s", [Waits], replace=True)
    with server:
        with pytest.raises(RuntimeError, match="is started: stop it first"):
            server.start()
        with Client(prefix / "s") as client:
            client.play(client.start("waits"))


def test_run_serves_until_it_is_asked_to_stop(prefix: Path) -> None:
    server = PluginServer(prefix / "s.sock", [Waits])
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.run)
        eventually(lambda: listens(server.socket_path))
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
        clock = next(i for i, name in names.items() if name.endswith("-clock"))
        assert clock is not None
        deadline = time.monotonic() + TIMEOUT
        while not server._pool.dozing:
            assert time.monotonic() < deadline
            time.sleep(0.01)

        def spent() -> list[float]:
            clocks = [time.pthread_getcpuclockid(ident) for ident in mine if ident is not None]
            return [time.clock_gettime(clock) for clock in clocks]

        before = spent()
        time.sleep(1.0)
        assert all(b - a < 0.01 for a, b in zip(before, spent(), strict=True))


class Raises:
    """Raises in its handler."""

    name, version, priority = "raises", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        raise LookupError("boom")


def test_on_error_is_called_with_what_a_handler_raises(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    raised: list[tuple[Event, BaseException]] = []
    server = serve(Raises, on_error=lambda event, error: raised.append((event, error)))
    with Client(server.socket_path) as client:
        instance = client.start("raises")
        for _ in range(2):
            client.play(instance)
    assert [str(error) for _event, error in raised] == ["boom", "boom"]
    handler = raised[0][0].handler
    assert (handler.plugin, handler.phase, handler.instance_id) == ("raises", "access", instance)
    assert logs.flush(TIMEOUT)
    assert "the handler failed" not in capfd.readouterr().err


def test_without_on_error_the_log_is_told(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    server = serve(Raises)
    with Client(server.socket_path) as client:
        client.play(client.start("raises"))
    assert logs.flush(TIMEOUT)
    (line,) = capfd.readouterr().err.splitlines()
    for part in ("the handler failed: LookupError: boom", "plugin=raises", "phase=access"):
        assert part in line


def test_an_on_error_that_fails_costs_a_line_and_not_the_event(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(_event: Event, _error: BaseException) -> None:
        raise RuntimeError("in on_error")

    one, other = serve(Raises), serve(Raises, on_error=fail)
    with Client(one.socket_path) as first, Client(other.socket_path) as second:
        assert second.play(second.start("raises")) == first.play(first.start("raises"))
    assert logs.flush(TIMEOUT)
    assert "on_error failed" in capfd.readouterr().err


def test_a_registry_is_served_as_it_is(prefix: Path) -> None:
    registry = Plugins([Waits], entry_points=False)
    with PluginServer(prefix / "s", registry) as server, Client(prefix / "s") as client:
        assert server.plugins is registry
        client.play(client.start("waits"))
    for more in ({"plugins_directory": "."}, {"entry_points": True}):
        with pytest.raises(ValueError, match="knows its own sources"):
            PluginServer(prefix / "s", registry, **more)  # type: ignore[arg-type]


def test_an_option_that_cannot_work_is_refused(prefix: Path) -> None:
    with pytest.raises(ValueError, match="max_threads: 0 is not a whole number from 1 up"):
        PluginServer(prefix / "s", max_threads=0)
    with pytest.raises(TypeError, match="max_thread"):
        PluginServer(prefix / "s", max_thread=1)  # type: ignore[call-arg]


def test_the_server_describes_every_option() -> None:
    for name in HELP:
        assert f":param {name}: " in (PluginServer.__doc__ or "")
