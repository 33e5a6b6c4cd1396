"""Fewer round trips over the socket: who has them, and who does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import protobuf
from support.client import Client

from pluginserver import Kong, PluginServer

Serve = Callable[..., PluginServer]


class Spared:
    """Asks the same twice, and sets two headers."""

    name, version, priority = "p", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        kong.request.get_method()
        kong.request.get_method()
        kong.response.set_header("x-a", "1")
        kong.response.set_header("x-b", "2")


class Plain(Spared):
    """The same, of a plugin that wants each call to travel."""

    round_trips = "plain"


@pytest.mark.parametrize(
    ("plugin", "options", "travel"),
    [
        (Spared, {}, ["get_method", "set_headers"]),
        (Spared, {"round_trips": "plain"}, ["get_method"] * 2 + ["set_header"] * 2),
        (Plain, {}, ["get_method"] * 2 + ["set_header"] * 2),
    ],
)
def test_a_plugin_and_a_server_say_whether_calls_are_spared(
    serve: Serve, plugin: type, options: dict[str, Any], travel: list[str]
) -> None:
    server = serve(plugin, **options)
    with Client(server.socket_path) as client:
        first, second = client.start("p"), client.start("p")
        for _ in range(8):
            client.play(first, answers=lambda *_: "GET")
        calls = client.play(second, answers=lambda *_: "GET")
    assert [name.rpartition(".")[2] for name, _ in calls] == travel


class Reads:
    """Reads two headers."""

    name, version, priority = "p", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        kong.request.get_header("x-a")
        kong.request.get_header("x-b")


def test_all_headers_are_asked_for_at_once_in_the_protocol_in_which_that_spares_something(
    serve: Serve,
) -> None:
    server = serve(Reads)
    with Client(server.socket_path) as client:
        instance = client.start("p")
        for _ in range(8):
            client.play(instance, answers=lambda *_: "v")
        calls = client.play(instance, answers=lambda *_: {"x-a": ["1"], "x-b": ["2"]})
    assert [name for name, _ in calls] == ["kong.request.get_headers"]
    with protobuf.Client(server.socket_path) as other:
        for _ in range(9):
            calls = other.play(instance, answers=[{"v": "1"}, {"v": "2"}])
    assert [name for name, _ in calls] == ["kong.request.get_header"] * 2
