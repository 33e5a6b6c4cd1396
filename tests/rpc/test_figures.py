"""What a server counts of its events and callbacks, and how it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.client import Client, Failed

from pluginserver import Kong, PluginServer
from pluginserver.rpc.whole import added

Serve = Callable[..., PluginServer]


class Asks:
    """Asks twice; in ``log`` it fails, and in ``rewrite`` it answers the request."""

    name, version, priority = "p", "1.0.0", 7

    def rewrite(self, kong: Kong) -> None:
        kong.response.exit(204)

    def access(self, kong: Kong) -> None:
        kong.request.get_method()
        kong.client.get_ip()

    def log(self, kong: Kong) -> None:
        raise ValueError("no")


def test_events_are_counted_by_how_they_ended_and_callbacks_by_their_function(
    serve: Serve,
) -> None:
    server = serve(Asks, on_error=lambda _event, _error: None)
    with Client(server.socket_path) as client:
        instance = client.start("p")
        for phase in ("rewrite", "access", "access"):
            client.play(instance, phase, answers=lambda *_: "x")
        with pytest.raises(Failed):
            client.play(instance, "log")
        found = client.call("server.Status")
    events = found["events"]["p"]
    assert events["access"]["outcomes"] == {"returned": 2}
    assert events["access"]["asks"] == 4
    assert events["rewrite"]["outcomes"] == {"exited": 1}
    assert events["log"]["outcomes"] == {"raised": 1}
    assert sum(events["access"]["waited"][:-1]) == sum(events["access"]["spent"][:-1]) == 2
    assert events["access"]["waited"][-1] > 0.0 < events["access"]["spent"][-1]
    assert sum(found["callbacks"]["kong.request.get_method"][:-1]) == 2
    assert found["plugins"] == {"p": {"version": "1.0.0", "priority": 7, "instances": 1}}
    assert len(found["bounds"]) + 2 == len(events["access"]["spent"])


def test_an_event_that_is_refused_before_it_begins_is_counted_once(serve: Serve) -> None:
    server = serve(Asks, max_events=1)
    with Client(server.socket_path) as client:
        instance = client.start("p")
        waits = client.begin(instance)
        refused = client.begin(instance)
        assert refused["Data"]["Method"] == "kong.response.error"
        assert client.call("server.Status")["suspended"] == 1
        client.step(waits["EventId"], "GET")
        client.step(waits["EventId"], "127.0.0.1")
        found = client.call("server.Status")
    assert found["events"]["p"]["access"]["outcomes"] == {"returned": 1, "refused": 1}
    assert found["counts"]["events_refused"] == 1


def test_an_event_that_kong_gives_up_is_counted_as_cancelled(serve: Serve) -> None:
    server = serve(Asks, callback_timeout=0.05)
    with Client(server.socket_path) as client:
        client.begin(client.start("p"))
        found: dict[str, Any] = {}
        while not found.get("events", {}).get("p", {}).get("access", {}).get("outcomes"):
            found = client.call("server.Status")
    assert found["events"]["p"]["access"]["outcomes"] == {"cancelled": 1}


def test_the_figures_of_several_processes_are_added_up() -> None:
    def one(pid: str, bucket: int) -> dict[str, Any]:
        return {
            "processes": {pid: {"version": "1", "python": "3", "started": 1.5}},
            "plugins": {"p": {"version": "1.0.0", "priority": 7, "instances": 1}},
            "connections": 2,
            "bounds": [0.1],
            "events": {"p": {"log": {"outcomes": {"returned": 1}, "spent": [bucket, 0, 0.5]}}},
        }

    whole = added([one("1", 1), one("2", 3)])
    assert list(whole["processes"]) == ["1", "2"]
    assert whole["plugins"] == {"p": {"version": "1.0.0", "priority": 7, "instances": 2}}
    assert whole["connections"] == 4
    assert whole["bounds"] == [0.1]
    assert whole["events"]["p"]["log"] == {"outcomes": {"returned": 2}, "spent": [4, 0, 1.0]}
    assert added([]) == {}
