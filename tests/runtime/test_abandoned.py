"""Events that Kong abandons, at a rate: a plugin whose callback throws in Lua sends no step, each time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from support.client import Client
from support.plugins import asks, eventually, plugin

from pluginserver import PluginServer

Serve = Callable[..., PluginServer]

RATE = 50
"""Abandoned events a second."""

SECONDS = 3.0
"""More than the time after which an event may be given up."""


def test_fifty_abandoned_events_a_second_cost_a_neighbour_nothing(serve: Serve) -> None:
    """With a quarter of the usual threads: without turns and giving up, those would be gone in a second."""
    server = serve(
        plugin(asks(1), name="throws", threads="own"),
        plugin(asks(1), name="hello", threads="own"),
        max_threads=64,
    )
    with Client(server.socket_path) as kong, Client(server.socket_path) as neighbour:
        throws, hello = kong.start("throws"), neighbour.start("hello")
        over = threading.Event()

        def abandon() -> None:
            begun = time.monotonic()
            for number in range(int(RATE * SECONDS)):
                kong.request("plugin.HandleEvent", {"InstanceId": throws, "EventName": "access"})
                time.sleep(max(0.0, begun + (number + 1) / RATE - time.monotonic()))
            over.set()

        thread = threading.Thread(target=abandon)
        thread.start()
        played = 0
        while not over.is_set():
            assert [method for method, _ in neighbour.play(hello)] == ["kong.test"]
            played += 1
        thread.join()
        assert played > 10
        eventually(lambda: server._pool.counts["abandoned"] > 0)
        assert len(server._pool.groups["events"].threads) <= 64 + 1
