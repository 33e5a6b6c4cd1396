"""A reply always, whatever plugins raise: over the real socket, with innocent events in flight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import greenlet
import pytest
from support.client import TIMEOUT, Client, Failed

from pluginserver import Kong, PluginServer, logs
from pluginserver.errors import PluginServerError
from pluginserver.events.event import Event
from pluginserver.rpc.calls import EventCall
from pluginserver.runtime.interrupts import Cancelled

Serve = Callable[..., PluginServer]


class Mute(Exception):
    """Neither its text nor its repr can be had."""

    def __str__(self) -> str:
        raise LookupError("no str")

    def __repr__(self) -> str:
        raise LookupError("no repr")


class Ends(BaseException):
    """Its own text ends the program."""

    def __str__(self) -> str:
        raise SystemExit("in __str__")

    __repr__ = __str__


class Noted(Exception):
    """Its notes are not what notes are."""

    __notes__ = 5


RAISED: dict[str, Callable[[], BaseException]] = {
    "cancelled": asyncio.CancelledError,
    "future": CancelledError,
    "interrupt": KeyboardInterrupt,
    "generator": GeneratorExit,
    "exit": SystemExit,
    "greenlet": greenlet.GreenletExit,
    "ours": PluginServerError,
    "mute": Mute,
    "ends": Ends,
    "noted": Noted,
    "stop": StopIteration,
    "memory": MemoryError,
    "recursion": RecursionError,
    "unwound": lambda: Cancelled("mine"),
}


CLOSED: list[str] = []
"""What was closed."""


class Raises:
    """Raises what its configuration says, where it says."""

    name, version, priority = "raises", "1.0.0", 1

    def __init__(self, config: dict[str, Any]) -> None:
        self.what = config["what"]
        if config["where"] == "constructor":
            raise RAISED[self.what]()

    def access(self, kong: Kong) -> None:
        raise RAISED[self.what]()

    def close(self) -> None:
        CLOSED.append(self.what)
        raise RAISED[self.what]()


class Innocent:
    """Asks three times."""

    name, version, priority = "innocent", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        for number in range(3):
            kong.call("kong.test", number)


def configuration(what: str, where: str) -> str:
    return f'{{"what": "{what}", "where": "{where}"}}'


class Flight:
    """Twenty events that wait for their second step."""

    def __init__(self, client: Client) -> None:
        self.client = client
        instance = client.start("innocent")
        self.events = [client.begin(instance)["EventId"] for _ in range(20)]

    def land(self) -> None:
        for _ in range(2):
            for event in self.events:
                assert self.client.step(event)["Data"]["Method"] == "kong.test"
        for event in self.events:
            assert self.client.step(event)["Data"] == "ret"


@pytest.mark.parametrize("what", RAISED)
def test_whatever_a_constructor_raises_is_answered(serve: Serve, what: str) -> None:
    server = serve(Raises, Innocent)
    with Client(server.socket_path) as client:
        flight = Flight(client)
        for _ in range(3):
            with pytest.raises(Failed):
                client.start("raises", configuration(what, "constructor"))
        flight.land()
        assert client.call("plugin.GetStatus", None)["Plugins"]["raises"]["Instances"] == []


@pytest.mark.parametrize("what", RAISED)
def test_whatever_close_raises_costs_nobody_anything(serve: Serve, what: str) -> None:
    CLOSED.clear()
    server = serve(Raises, Innocent)
    with Client(server.socket_path) as client:
        flight = Flight(client)
        for _ in range(3):
            instance = client.start("raises", configuration(what, "close"))
            assert client.call("plugin.CloseInstance", instance)["Id"] == instance
        deadline = time.monotonic() + TIMEOUT
        while len(CLOSED) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        flight.land()
        client.start("raises", configuration(what, "nowhere"))


@pytest.mark.parametrize("what", RAISED)
def test_whatever_a_handler_raises_is_answered(serve: Serve, what: str) -> None:
    server = serve(Raises, Innocent)
    with Client(server.socket_path) as client:
        flight = Flight(client)
        instance = client.start("raises", configuration(what, "handler"))
        calls = client.play(instance)
        assert calls[-1][0] == "kong.response.error"
        flight.land()


class Asks:
    """Asks once."""

    name, version, priority = "asks", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        kong.call("kong.test")


def test_a_reason_that_differs_in_its_seconds_only_is_told_once(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(Asks)
    with Client(server.socket_path) as client:
        number = client.begin(client.start("asks"))["EventId"]
        event = server._pool.waiting[number]
        assert isinstance(event, Event)
        for seconds in (2, 3.5):
            EventCall.of(server, 1, event).refuse(f"it hangs for {seconds} s")  # type: ignore[arg-type]
    logs.flush()
    assert capfd.readouterr().err.count("it hangs for") == 1
