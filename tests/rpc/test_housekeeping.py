"""Instances that Kong forgot are closed, others are not: over the real socket, with processes that die."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest
from support.client import TIMEOUT, Client, Failed
from support.commands import environment
from support.plugins import eventually

from pluginserver import Kong, PluginServer
from pluginserver.plugins import Plugins
from pluginserver.rpc import clients, housekeeping
from pluginserver.rpc.clients import Clients
from pluginserver.rpc.housekeeping import Housekeeping
from pluginserver.rpc.instances import Instances

Serve = Callable[..., PluginServer]

CLOSED: list[tuple[str, str]] = []
"""What was closed: the configuration's text, and the thread."""


class Closes:
    """Says when it is closed."""

    name, version, priority = "closes", "1.0.0", 1

    def __init__(self, config: dict[str, Any]) -> None:
        self.text = config.get("text", "")
        self.raises = config.get("raises")

    def access(self, kong: Kong) -> None:
        kong.call("kong.test", self.text)

    def close(self) -> None:
        CLOSED.append((self.text, threading.current_thread().name))
        if self.raises:
            raise {"exit": SystemExit, "interrupt": KeyboardInterrupt, "error": ValueError}[
                self.raises
            ](self.raises)


class Quiet:
    """Has nothing to close."""

    name, version, priority = "quiet", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        kong.call("kong.test")


@pytest.fixture(autouse=True)
def _nothing_closed() -> None:
    CLOSED.clear()


WORKER = """
import json, socket, sys
import msgpack
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
frames = msgpack.Unpacker()
for line in sys.stdin:
    client.sendall(msgpack.packb([0, 1, *json.loads(line)]))
    while True:
        found = [frame for frame in frames if frame[0] == 1]
        if found:
            break
        frames.feed(client.recv(65536))
    print(json.dumps(found[0][2:]), flush=True)
"""


class Worker:
    """An nginx worker: a process of its own with one connection."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def call(self, method: str, argument: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([method, [argument]]) + "\n")
        self.process.stdin.flush()
        error, result = json.loads(self.process.stdout.readline())
        if error is not None:
            raise Failed(error)
        return result

    def start(self, **config: Any) -> int:
        argument = {"Name": "closes", "Config": json.dumps(config)}
        return int(self.call("plugin.StartInstance", argument)["Id"])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT)


@contextmanager
def worker(server: PluginServer) -> Iterator[Worker]:
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(server.socket_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        found = Worker(process)
        try:
            yield found
        finally:
            found.kill()


def ids(client: Client, plugin: str = "closes") -> set[int]:
    status = client.call("plugin.GetStatus", None)["Plugins"][plugin]
    return {one["Id"] for one in status["Instances"]}


def texts() -> list[str]:
    return [text for text, _thread in CLOSED]


def test_what_a_dead_worker_had_started_is_closed(serve: Serve) -> None:
    server = serve(Closes)
    with Client(server.socket_path) as client, worker(server) as one, worker(server) as other:
        mine = client.start("closes", '{"text": "mine"}')
        theirs = other.start(text="other", __plugin_id="a")
        for text in ("a", "b"):
            one.start(text=text, __plugin_id=text)
        assert len(ids(client)) == 4
        one.kill()
        eventually(lambda: ids(client) == {mine, theirs})
        eventually(lambda: len(CLOSED) == 2)
        assert sorted(texts()) == ["a", "b"]
        assert server._pool.counts["forgotten_instances"] == 2
        client.play(mine)


def test_not_while_an_event_of_its_runs(serve: Serve) -> None:
    server = serve(Closes)
    with Client(server.socket_path) as client, worker(server) as one:
        busy, idle = one.start(text="busy"), one.start(text="idle")
        event = client.begin(busy)["EventId"]
        one.kill()
        eventually(lambda: ids(client) == {busy})
        assert client.step(event)["Data"] == "ret"
        eventually(lambda: ids(client) == set())
        eventually(lambda: len(CLOSED) == 2)
        assert texts() == ["idle", "busy"]
        with pytest.raises(Failed, match=f"^No plugin instance {idle}$"):
            client.begin(idle)


def test_a_worker_that_lives_keeps_the_newest_of_each_configuration(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "REPLACED", 0.05)
    server = serve(Closes)
    with Client(server.socket_path) as client, worker(server) as one:

        def start(text: str, plugin_id: str) -> int:
            return client.start("closes", json.dumps({"text": text, "__plugin_id": plugin_id}))

        other = one.start(text="other", __plugin_id="a")
        old, first, new = start("old", "a"), start("first", "b"), start("new", "a")
        nameless = [client.start("closes", '{"text": "nameless"}') for _ in range(2)]
        eventually(lambda: ids(client) == {other, first, new, *nameless})
        eventually(lambda: texts() == ["old"])
        with pytest.raises(Failed, match=f"^No plugin instance {old}$"):
            client.begin(old)


def test_one_that_the_system_does_not_show_is_closed_when_it_is_unused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "open_process", lambda _pid: None)
    server = serve(Closes, instance_timeout=0.5)
    with Client(server.socket_path) as client:
        used, unused = (client.start("closes", f'{{"text": "{text}"}}') for text in "ab")
        while unused in ids(client):
            client.play(used)
        assert used in ids(client)
        eventually(lambda: ids(client) == set())
        eventually(lambda: texts() == ["b", "a"])


def test_close_instance_calls_close_on_a_thread_for_that(serve: Serve) -> None:
    server = serve(Closes, Quiet)
    with Client(server.socket_path) as client:
        instance, quiet = client.start("closes", '{"text": "a"}'), client.start("quiet")
        client.call("plugin.CloseInstance", quiet)
        client.call("plugin.CloseInstance", instance)
        eventually(lambda: bool(CLOSED))
        leader = server._pool.leader
        assert leader is not None
        assert CLOSED[0][1].startswith("pluginserver-")
        assert CLOSED[0][1] != leader.name
    assert texts() == ["a"]


def test_close_is_called_when_the_last_event_is_over(serve: Serve) -> None:
    server = serve(Closes)
    with Client(server.socket_path) as client:
        instance = client.start("closes", '{"text": "a"}')
        first, second = client.begin(instance)["EventId"], client.begin(instance)["EventId"]
        client.call("plugin.CloseInstance", instance)
        assert client.step(first)["Data"] == "ret"
        assert CLOSED == []
        assert client.step(second)["Data"] == "ret"
        eventually(lambda: texts() == ["a"])


@pytest.mark.parametrize("raises", ["error", "exit", "interrupt"])
def test_a_close_that_raises_costs_a_line(
    serve: Serve, raises: str, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(Closes)
    with Client(server.socket_path) as client:
        for text in "abc":
            instance = client.start("closes", json.dumps({"text": text, "raises": raises}))
            client.call("plugin.CloseInstance", instance)
        eventually(lambda: len(CLOSED) == 3)
        client.play(client.start("closes", '{"text": "d"}'))
    server.stop()
    lines = capfd.readouterr().err.splitlines()
    assert len([line for line in lines if "close() of a plugin failed" in line]) == 3


class Hangs:
    """Its close waits."""

    name, version, priority = "hangs", "1.0.0", 1
    go_on = threading.Event()

    def access(self, kong: Kong) -> None:
        kong.call("kong.test")

    def close(self) -> None:
        self.go_on.wait(TIMEOUT)


def test_a_close_that_hangs_keeps_nobody_waiting(serve: Serve) -> None:
    Hangs.go_on.clear()
    server = serve(Hangs)
    try:
        with Client(server.socket_path) as client:
            for _ in range(5):
                client.call("plugin.CloseInstance", client.start("hangs"))
            client.play(client.start("hangs"))
            assert server._background.busy
    finally:
        Hangs.go_on.set()


def test_the_end_of_the_server_closes_all_but_what_still_runs(serve: Serve) -> None:
    server = serve(Closes)
    with Client(server.socket_path) as client:
        for number in range(20):
            client.start("closes", json.dumps({"text": str(number)}))
        client.begin(client.start("closes", '{"text": "busy"}'))
        server.stop()
    assert sorted(texts(), key=int) == [str(number) for number in range(20)]


def test_a_close_that_hangs_does_not_keep_the_server_from_ending(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pluginserver.server.CLOSE_TIME", 0.1)
    Hangs.go_on.clear()
    server = serve(Hangs)
    with Client(server.socket_path) as client:
        client.start("hangs")
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    eventually(lambda: server._pool.stopping.is_set())
    Hangs.go_on.set()
    stopping.join(TIMEOUT)
    assert not stopping.is_alive()


def test_close_is_called_of_many_while_one_hangs_for_longer_than_a_request_may(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    Hangs.go_on.clear()
    server = serve(Hangs, Closes)
    try:
        with Client(server.socket_path) as client:
            ids = [client.start("hangs")]
            ids += [client.start("closes", json.dumps({"text": text})) for text in "abc"]
            for instance in ids:
                client.call("plugin.CloseInstance", instance)
            # Not before: on a slow machine the calls above would be refused.
            server._pool.options = attrs.evolve(server.options, request_timeout=0.3)
            eventually(lambda: texts() == ["a", "b", "c"])
            eventually(lambda: not server._background.busy)
    finally:
        Hangs.go_on.set()
    assert "close() of the plugin hangs has not come to its end" in capfd.readouterr().err


# -- without a server, with a clock of our own


class Kept:
    """Instances, their housekeeping, and a clock that a test moves."""

    def __init__(self, timeout: float = 86_400.0) -> None:
        self.plugins = Plugins([Closes], entry_points=False)
        self.watched: dict[int, Callable[[], None]] = {}
        self.instances = Instances(lambda _event, _error: None, lambda _what, function: function())
        self.clients = Clients(self.watched.__setitem__)
        self.counts: Counter[str] = Counter()
        self.keeping = Housekeeping(self.instances, self.clients, timeout, self.counts)

    def start(self, client: int, text: str, plugin_id: str | None = None) -> int:
        config = {"text": text, **({"__plugin_id": plugin_id} if plugin_id else {})}
        return self.instances.start(
            self.plugins.get("closes"), json.dumps(config), self.clients.get(client)
        ).id


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    descriptors = iter(range(10_000, 20_000))
    monkeypatch.setattr(clients, "open_process", lambda pid: next(descriptors) if pid else None)
    return Kept()


def test_an_unseen_worker_keeps_its_instances_for_a_day(kept: Kept) -> None:
    kept.start(0, "a", "x")
    kept.start(0, "b", "x")
    now = 1000.0
    while CLOSED == []:
        delay = kept.keeping.look(now)
        assert CLOSED or (delay is not None and delay >= 3600)
        now += delay or 0
    assert texts() == ["a", "b"]
    assert 86_400 <= now - 1000.0 <= 1.25 * 86_400
    assert kept.keeping.look(now) is None


def test_nobody_is_woken_for_a_worker_that_lives(kept: Kept) -> None:
    kept.start(7, "a", "x")
    kept.start(7, "b", "y")
    kept.start(8, "c", "x")
    assert kept.keeping.look(1000.0) is None
    assert kept.keeping.look(1e9) is None
    assert len(kept.watched) == 2
    assert CLOSED == []


def test_a_number_that_is_used_again_is_another_process(kept: Kept) -> None:
    kept.start(7, "old", "x")
    kept.keeping.look(1000.0)
    (ended,) = kept.watched.values()
    ended()
    kept.start(7, "new", "x")
    kept.keeping.look(1001.0)
    assert texts() == ["old"]
    assert len(kept.watched) == 2
    assert kept.counts["forgotten_instances"] == 1


def test_a_replaced_instance_that_is_used_stays(kept: Kept) -> None:
    old = kept.start(7, "old", "x")
    kept.start(7, "new", "x")
    now = 1000.0
    for _ in range(20):
        assert kept.keeping.look(now) is not None
        kept.instances.handler(old, "access").used = True
        now += 50
    assert CLOSED == []
    while CLOSED == []:
        now += kept.keeping.look(now) or 0
    assert texts() == ["old"]
    assert kept.keeping.look(now) is None


def test_a_worker_that_cannot_be_watched_is_one_that_is_not_seen(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    monkeypatch.setattr(clients.os, "close", closed.append)

    def refuse(_descriptor: int, _ready: Callable[[], None]) -> None:
        raise ValueError("I/O operation on closed epoll object")

    kept.clients = Clients(refuse)
    kept.start(7, "a", "x")
    assert closed == [10_000]
    now = 1000.0
    while CLOSED == []:
        now += kept.keeping.look(now) or 0
    assert now > 86_400
