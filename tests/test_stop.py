"""The end of a server under load: who is still served, who is refused, and how long it takes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.client import TIMEOUT, Client, Closed, Failed
from support.commands import running
from support.plugins import eventually, listens

from pluginserver import Kong, PluginServer
from pluginserver.runtime import pool as pools

Serve = Callable[..., PluginServer]

REFUSED = {"Method": "kong.response.error", "Args": [500]}


class Asks:
    """Asks once, in phases in which Kong can be told to refuse and in one in which it cannot."""

    name, version, priority = "asks", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        kong.call("kong.test")

    def log(self, kong: Kong) -> None:
        kong.call("kong.test")


class Waits:
    """Waits for its gate."""

    name, version, priority = "waits", "1.0.0", 1
    entered, gate = threading.Event(), threading.Event()

    def access(self, kong: Kong) -> None:
        self.entered.set()
        assert self.gate.wait(TIMEOUT)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """The gate of :class:`Waits`, closed."""
    Waits.entered.clear()
    Waits.gate.clear()
    yield Waits.gate
    Waits.gate.set()


@contextmanager
def stopping(server: PluginServer) -> Iterator[Callable[[], None]]:
    """Stop the server on another thread; the block begins when it refuses new events.

    Gives what waits for the end.
    """
    with ThreadPoolExecutor(1) as pool:
        stop = pool.submit(server.stop)
        eventually(lambda: server._methods.turn_away is not None)
        yield lambda: stop.result(TIMEOUT)


def test_who_is_told_to_stop_refuses_what_is_new_and_serves_what_runs(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(Asks, grace=TIMEOUT)
    with Client(server.socket_path) as client:
        instance = client.start("asks")
        event = client.begin(instance)["EventId"]
        with stopping(server) as wait:
            assert server.socket_path.exists()
            for _ in range(2):
                assert client.begin(instance)["Data"] == REFUSED
            with pytest.raises(Failed, match="the plugin server stops"):
                client.begin(instance, "log")
            assert client.call("plugin.GetPluginInfo", "asks")["Name"] == "asks"
            with Client(server.socket_path) as late:
                assert late.begin(late.start("asks"))["Data"] == REFUSED
                assert late.step(event)["Data"] == "ret"
            wait()
    assert not server.socket_path.exists()
    assert server._pool.counts["turned_away"] == 4
    assert capfd.readouterr().err.count("an event was refused, because the server stops") == 1


def test_an_abandoned_event_does_not_hold_up_the_end(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(Asks, grace=TIMEOUT)
    with Client(server.socket_path) as client:
        client.begin(client.start("asks"))
        with stopping(server) as wait:
            monkeypatch.setattr(pools, "FORGOTTEN", 0.0)
            wait()


def test_what_runs_when_the_grace_is_over_is_refused_closed(
    serve: Serve, gate: threading.Event
) -> None:
    server = serve(Waits, grace=0.05)
    with Client(server.socket_path) as client, ThreadPoolExecutor(1) as pool:
        argument = {"InstanceId": client.start("waits"), "EventName": "access"}
        client.request("plugin.HandleEvent", argument)
        assert Waits.entered.wait(TIMEOUT)
        stop = pool.submit(server.stop)
        assert client.response()[3]["Data"] == REFUSED
        gate.set()
        stop.result(TIMEOUT)


def test_it_lingers_while_clients_are_connected(prefix: Path) -> None:
    server = PluginServer(prefix / "s", [Asks], linger=TIMEOUT, grace=0)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(server.run)
        eventually(lambda: listens(prefix / "s"))
        with Client(prefix / "s") as client:
            instance = client.start("asks")
            server.request_stop()
            for _ in range(20):
                assert client.play(instance) == [("kong.test", None)]
            assert not run.done()
        run.result(TIMEOUT)


def test_it_lingers_so_long_and_no_longer(prefix: Path) -> None:
    server = PluginServer(prefix / "s", [Asks], linger=0.2, grace=TIMEOUT)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(server.run)
        eventually(lambda: listens(prefix / "s"))
        with Client(prefix / "s") as client:
            instance = client.start("asks")
            event = client.begin(instance)["EventId"]
            asked = time.monotonic()
            server.request_stop()
            eventually(lambda: server._methods.turn_away is not None)
            assert time.monotonic() - asked >= 0.2
            assert client.begin(instance)["Data"] == REFUSED
            assert client.step(event)["Data"] == "ret"
            run.result(TIMEOUT)


def test_sigterm_under_load_cuts_no_event_off(prefix: Path) -> None:
    (prefix / "asks.py").write_text(
        "version = '1.0.0'\npriority = 1\nclass Plugin:\n"
        "    def access(self, kong):\n        for n in range(5):\n            kong.call('kong.test', n)\n"
    )
    calls = [("kong.test", [number]) for number in range(5)]
    turned_away: list[int] = []
    busy: set[int] = set()
    code = (
        "import sys; from pluginserver.runtime import pool; pool.FORGOTTEN = 60;"
        "from pluginserver.cli.main import main; main(sys.argv[1:])"
    )
    times = ("-linger=0.1", f"-grace={TIMEOUT}")
    arguments = ("-c", code, "-socket", prefix / "s", "-plugins-directory", prefix, *times)

    def load(number: int) -> int:
        """Play events until the server closes the connection; gives how many were played whole."""
        with Client(prefix / "s") as client:
            instance = client.start("asks")
            played = 0
            while True:
                try:
                    out = client.begin(instance)
                except Closed:
                    return played
                if out["Data"] == REFUSED:
                    turned_away.append(number)
                    continue
                for _ in calls:
                    out = client.step(out["EventId"])
                assert out["Data"] == "ret"
                played += 1
                busy.add(number)

    with running(*arguments) as server, ThreadPoolExecutor(16) as pool:
        loads = [pool.submit(load, number) for number in range(16)]
        eventually(lambda: len(busy) == len(loads))
        server.signal(signal.SIGTERM)
        assert server.end() == 0
        assert all(one.result(TIMEOUT) for one in loads)
    assert not (prefix / "s").exists()
