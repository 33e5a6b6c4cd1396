"""Faults that a reader's head did not see, each with the interleaving that shows it, forced."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from greenlet import getcurrent
from support.client import TIMEOUT, Client, Failed
from support.plugins import asks, eventually, gated, plugin

from pluginserver import Kong, PluginServer
from pluginserver.runtime import interrupts
from pluginserver.runtime.interrupts import Cancelled
from pluginserver.runtime.worker import Worker

Serve = Callable[..., PluginServer]


def looping(entered: threading.Event, stop: threading.Event) -> Callable[[Any, Kong], None]:
    """A handler that computes until it is stopped."""

    def access(_self: object, _kong: Kong) -> None:
        entered.set()
        while not stop.is_set():
            pass

    return access


def test_nobody_is_interrupted_while_the_pools_lock_is_held(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1: on CPython 3.14 the lock would stay locked for ever."""
    entered, stop = threading.Event(), threading.Event()
    server = serve(plugin(looping(entered, stop), request_timeout=0.2), plugin(asks(1), name="q"))
    held: list[bool] = []
    really = interrupts.raise_in

    def look(thread: int, error: type[BaseException] | None) -> None:
        if error is not None:
            held.append(server._pool.lock._is_owned())  # type: ignore[attr-defined]
        really(thread, error)

    monkeypatch.setattr(interrupts, "raise_in", look)
    with Client(server.socket_path) as client:
        instance, other = client.start("p"), client.start("q")
        assert client.begin(instance)["Data"]["Method"] == "kong.response.error"
        eventually(lambda: bool(held))
        assert len(client.play(other)) == 1
    assert not any(held)


def test_an_interrupt_that_comes_after_the_handler_has_ended_leaves_nothing_undone(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1b: it strikes between the end of the slice and its settling; the event is settled all the same."""
    gate, struck = threading.Event(), threading.Event()
    threads: list[int] = []
    settle = Worker.settle

    def access(_self: object, _kong: Kong) -> None:
        threads.append(threading.get_ident())
        gate.wait(TIMEOUT)

    def settle_when_struck(worker: Worker[Any]) -> None:
        if threads and worker.ident == threads[0] and not struck.is_set():
            try:
                while True:
                    pass
            except Cancelled:
                struck.set()
                raise
        settle(worker)

    server = serve(plugin(access, request_timeout=0.2), max_threads=1)
    with Client(server.socket_path) as client:
        instance = client.start("p")
        monkeypatch.setattr(Worker, "settle", settle_when_struck)
        client.request("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
        eventually(lambda: bool(threads))
        gate.set()
        assert client.response()[3]["Data"]["Method"] == "kong.response.error"
        assert struck.wait(TIMEOUT)
        assert client.begin(instance)["Data"] == "ret"
        worker = next(one for one in server._pool.threads() if one.ident == threads[0])
        eventually(lambda: worker.live == 0)
        eventually(lambda: not server._pool.in_flight)


def test_a_clock_that_goes_to_sleep_gives_the_switch_interval_back(
    serve: Serve, request: pytest.FixtureRequest
) -> None:
    """R2: a handler computes on while nobody calls, and ends while the clock sleeps."""
    chosen = sys.getswitchinterval()
    request.addfinalizer(lambda: sys.setswitchinterval(chosen))
    sys.setswitchinterval(0.0050005)
    before = sys.getswitchinterval()
    entered, stop = threading.Event(), threading.Event()
    server = serve(plugin(looping(entered, stop)))
    with Client(server.socket_path) as client:
        instance = client.start("p")
        client.request("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
        assert entered.wait(TIMEOUT)
        eventually(lambda: sys.getswitchinterval() < before / 2)
        eventually(lambda: server._pool.dozing)
        stop.set()
        assert client.response()[3]["Data"] == "ret"
        eventually(lambda: sys.getswitchinterval() == before)


class FailsOnce(dict[int, Any]):
    """The table of connections of a leader that is out of memory for a moment."""

    failed = False

    def get(self, key: int, default: Any = None) -> Any:
        if not self.failed:
            self.failed = True
            raise MemoryError
        return super().get(key, default)


def test_a_failure_of_the_leaders_own_costs_nobody_the_leader(serve: Serve) -> None:
    """R3: the server would listen and answer nobody."""
    server = serve(plugin(asks(1)))
    with Client(server.socket_path) as client:
        instance = client.start("p")
        table = FailsOnce(server._pool.connections)
        server._pool.connections = table
        assert len(client.play(instance)) == 1
        assert table.failed
        assert len(client.play(instance)) == 1


@pytest.mark.parametrize("threads", ["own", "shared"])
def test_a_handler_that_switches_away_is_refused_and_its_runner_never_used_again(
    serve: Serve, threads: str
) -> None:
    """R5: the next event would run the rest of another handler."""
    ran: list[str] = []

    def leaves(_self: object, _kong: Kong) -> None:
        parent = getcurrent().parent
        assert parent is not None
        parent.switch()
        ran.append("the rest of another handler")

    def stays(_self: object, kong: Kong) -> None:
        kong.call("kong.test")
        ran.append("its own")

    server = serve(
        plugin(leaves, name="leaves", threads=threads),
        plugin(stays, name="stays", threads=threads),
        max_threads=1,
    )
    with Client(server.socket_path) as client:
        bad, good = client.start("leaves"), client.start("stays")
        for number in range(6):
            answer = client.begin(bad)["Data"]
            assert answer == {"Method": "kong.response.error", "Args": [500]}
            assert client.play(good) == [("kong.test", None)]
            assert ran == ["its own"] * (number + 1)


def test_what_comes_out_of_another_events_greenlet_is_given_to_nobody(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R5: Bob's request would get Alice's callback."""
    # Both on one thread, however slow the machine is: no other one is to lead between them.
    monkeypatch.setattr("pluginserver.runtime.clock.STUCK", TIMEOUT)
    runners: list[Any] = []

    def alice(_self: object, kong: Kong) -> None:
        runners.append(getcurrent())
        kong.call("kong.alice.first")
        kong.call("kong.alice.second")

    def bob(_self: object, _kong: Kong) -> None:
        runners[0].switch("not her answer")

    server = serve(
        plugin(alice, name="alice", threads="shared"), plugin(bob, name="bob", threads="shared")
    )
    refused = {"Method": "kong.response.error", "Args": [500]}
    with Client(server.socket_path) as client:
        instances = [client.start("alice"), client.start("bob")]
        event = client.begin(instances[0])["EventId"]
        assert client.begin(instances[1])["Data"] == refused
        assert client.step(event, "her answer")["Data"] == refused
        with pytest.raises(Failed, match="No running event"):
            client.step(event)


def test_a_thread_with_live_events_takes_nothing_from_the_backlog(serve: Serve) -> None:
    """R6: the events of a leader that was replaced would wait behind a handler that blocks."""
    gate, blocked, block = gated()
    gate.clear()
    held, holding = threading.Event(), threading.Event()

    def access(_self: object, kong: Kong) -> None:
        if kong.call("kong.hold?"):
            holding.set()
            assert held.wait(TIMEOUT)
        kong.call("kong.end")

    server = serve(
        plugin(access, threads="shared"),
        plugin(block, name="q", threads="own"),
        max_threads=2,
        queue_timeout=TIMEOUT,
    )
    with (
        Client(server.socket_path) as client,
        Client(server.socket_path) as stuck,
        Client(server.socket_path) as first,
        Client(server.socket_path) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        instance, other = client.start("p"), client.start("q")
        events = [client.begin(instance)["EventId"] for _ in range(64)]
        stuck.request("plugin.Step", {"EventId": events[0], "Data": True})
        assert holding.wait(TIMEOUT)
        for one in (first, second):
            one.request("plugin.HandleEvent", {"InstanceId": other, "EventName": "access"})
        assert blocked.wait(TIMEOUT)
        eventually(server._pool.crowded)
        held.set()
        assert stuck.response()[3]["Data"]["Method"] == "kong.end"
        for event in events[1:]:
            answer = pool.submit(client.step, event, False).result(TIMEOUT)
            assert answer["Data"]["Method"] == "kong.end"
        assert server._pool.crowded()
        gate.set()
        for one in (first, second):
            assert one.response()[3]["Data"] == "ret"
