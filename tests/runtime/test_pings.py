"""A handler that is busy for longer than Kong waits: pings, and all that can end while one is out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.client import TIMEOUT, Client, Failed
from support.plugins import Flag, eventually, plugin

from pluginserver import Kong, PluginServer

Serve = Callable[..., PluginServer]

PING = {"Method": "kong.nginx.get_subsystem", "Args": None}
REFUSED = {"Method": "kong.response.error", "Args": [500]}


class Busy:
    """A plugin whose handler is busy until the gate opens, and then does what it is told."""

    def __init__(self, then: Callable[[Kong], object] = lambda _kong: None) -> None:
        self.gate = threading.Event()
        self.unwound = Flag()

        def access(_self: object, kong: Kong) -> None:
            try:
                while not self.gate.is_set():
                    time.sleep(0.001)
                then(kong)
            finally:
                self.unwound.set()

        self.plugin = plugin(access)


@contextmanager
def pinged(serve: Serve, busy: Busy, **options: Any) -> Iterator[tuple[PluginServer, Client, int]]:
    """A server and an event of the plugin whose ping is out."""
    server = serve(busy.plugin, **{"ping_interval": 0.05, **options})
    with Client(server.socket_path) as client:
        instance = client.start("p")
        out = client.begin(instance)
        assert out["Data"] == PING
        yield server, client, out["EventId"]


def test_a_busy_handler_is_waited_for_as_long_as_it_takes(serve: Serve) -> None:
    busy = Busy(lambda kong: kong.call("kong.test"))
    with pinged(serve, busy) as (server, client, event), Client(server.socket_path) as other:
        for client_of_step in (client, other, client):
            assert client_of_step.step(event, "http")["Data"] == PING
        client.request("plugin.Step", {"EventId": event, "Data": "http"})
        busy.gate.set()
        out = client.response()[3]
        while out["Data"] == PING:
            out = client.step(event, "http")
        assert out["Data"] == {"Method": "kong.test", "Args": None}
        assert client.step(event)["Data"] == "ret"
        assert not server._pool.in_flight
        assert not server._pool.pinged


@pytest.mark.parametrize(
    ("then", "answer"),
    [
        (lambda _kong: None, "ret"),
        (lambda kong: kong.response.exit(403), {"Method": "kong.response.exit", "Args": [403]}),
        (lambda _kong: 1 / 0, None),
    ],
    ids=["returns", "exits", "raises"],
)
def test_a_handler_that_ends_while_the_ping_is_out_answers_the_step(
    serve: Serve, then: Callable[[Kong], object], answer: Any
) -> None:
    busy = Busy(then)
    with pinged(serve, busy) as (server, _client, event):
        busy.gate.set()
        if answer is not None:
            busy.unwound.wait()
        request = next(iter(server._pool.in_flight))
        eventually(lambda: request.ping is not None and request.ping.done)
        with Client(server.socket_path) as other:
            out = other.step(event, "http")["Data"]
            if answer is None:
                assert out["Method"] == "kong.log.err"
                out, answer = other.step(event)["Data"], REFUSED
            assert out == answer
        assert not server._pool.in_flight


def test_a_callback_that_waits_for_the_step_of_the_ping_gets_its_own_answer(serve: Serve) -> None:
    got: list[Any] = []
    busy = Busy(lambda kong: got.append(kong.call("kong.test")))
    with pinged(serve, busy) as (server, client, event):
        busy.gate.set()
        eventually(lambda: bool(server._pool.kept))
        assert client.step(event, "http")["Data"]["Method"] == "kong.test"
        assert client.step(event, "mine")["Data"] == "ret"
        assert got == ["mine"]
        with pytest.raises(Failed, match="No running event"):
            client.step(event)


def test_a_request_that_times_out_while_the_ping_is_out_is_refused_when_the_step_comes(
    serve: Serve,
) -> None:
    busy = Busy()
    with pinged(serve, busy, request_timeout=0.8) as (server, client, event):
        busy.unwound.wait()
        assert client.step(event, "http")["Data"] == REFUSED
        with pytest.raises(Failed, match="No running event"):
            client.step(event)
        eventually(lambda: not server._pool.in_flight)


def test_a_kept_callback_whose_ping_nobody_answers_is_given_up(serve: Serve) -> None:
    raised: list[BaseException] = []

    def then(kong: Kong) -> None:
        try:
            kong.call("kong.test")
        except BaseException as error:
            raised.append(error)
            raise

    busy = Busy(then)
    with pinged(serve, busy, callback_timeout=0.5) as (server, client, event):
        busy.gate.set()
        busy.unwound.wait()
        assert raised
        with pytest.raises(Failed, match="No running event"):
            client.step(event)
        eventually(lambda: not server._pool.in_flight)
        assert all(thread.live == 0 for thread in server._pool.threads())


def test_a_busy_handler_whose_ping_nobody_answers_is_interrupted(serve: Serve) -> None:
    busy = Busy()
    with pinged(serve, busy, callback_timeout=0.3) as (server, _client, _event):
        busy.unwound.wait()
        eventually(lambda: not server._pool.in_flight)


def test_a_server_that_stops_while_the_ping_is_out_leaves_nothing(serve: Serve) -> None:
    for then in (lambda _kong: None, lambda kong: kong.call("kong.test")):
        busy = Busy(then)
        with pinged(serve, busy) as (server, _client, _event):
            if then.__code__.co_names:
                busy.gate.set()
                eventually(lambda server=server: bool(server._pool.kept))  # type: ignore[misc]
            server.stop(grace=0)
        busy.unwound.wait()


def test_an_endless_loop_is_interrupted_when_its_cpu_time_is_used_up(serve: Serve) -> None:
    unwound = Flag()

    def access(_self: object, _kong: Kong) -> None:
        try:
            while True:
                pass
        finally:
            unwound.set()

    server = serve(plugin(access), cpu_timeout=0.1)
    with Client(server.socket_path) as client:
        assert client.begin(client.start("p"))["Data"] == REFUSED
        unwound.wait()
        assert server._pool.counts["cpu"] == 1


def test_a_loop_that_swallows_interrupts_is_interrupted_again_and_gives_up_its_thread(
    serve: Serve,
) -> None:
    swallowed: list[BaseException] = []
    stop = threading.Event()

    def swallow(depth: int) -> None:
        """An interrupt can come between two ``try`` of a loop, too: each depth catches that of the one
        inside of it."""
        while not stop.is_set():
            try:
                swallow(depth - 1) if depth else wait()
            except BaseException as error:
                swallowed.append(error)

    def wait() -> None:
        while not stop.is_set():
            pass

    def access(_self: object, _kong: Kong) -> None:
        swallow(5)

    server = serve(
        plugin(access), plugin(lambda _self, _kong: None, name="q"), cpu_timeout=0.1, max_threads=1
    )
    with Client(server.socket_path) as client:
        instance, other = client.start("p"), client.start("q")
        assert client.begin(instance)["Data"] == REFUSED
        eventually(lambda: len(swallowed) >= 3)
        eventually(lambda: server._pool.groups["events"].lost == 1)
        assert client.begin(other)["Data"] == "ret"
        stop.set()
        eventually(lambda: server._pool.groups["events"].lost == 0)


def test_a_plugin_may_take_its_time(serve: Serve) -> None:
    def access(_self: object, _kong: Kong) -> None:
        time.sleep(1.2)

    slow = plugin(access)
    slow.request_timeout = TIMEOUT  # type: ignore[attr-defined]
    server = serve(slow, request_timeout=0.8)
    with Client(server.socket_path) as client:
        assert client.begin(client.start("p"))["Data"] == "ret"
