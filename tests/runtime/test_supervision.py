"""Threads that die and descriptors that others close: replaced, or the server ends and says why."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import pytest
from support.client import TIMEOUT, Client

from pluginserver import Kong, PluginServer
from pluginserver.runtime.interrupts import raise_in

Serve = Callable[..., PluginServer]


class Hello:
    """Asks once."""

    name, version, priority = "hello", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        kong.call("kong.test")


def thread(server: PluginServer, role: str) -> threading.Thread:
    if role == "leader":
        leader = server._pool.leader
        assert leader is not None
        name = leader.name
    else:
        name = f"{server._name}-{role}"
    return next(one for one in threading.enumerate() if one.name == name)


@pytest.mark.parametrize("role", ["leader", "acceptor", "clock"])
def test_a_thread_that_something_is_raised_in_goes_on_or_is_replaced(
    serve: Serve, role: str
) -> None:
    server = serve(Hello)
    for _ in range(3):
        with Client(server.socket_path) as client:
            instance = client.start("hello")
            ident = thread(server, role).ident
            assert ident is not None
            raise_in(ident, SystemExit)
            for _ in range(50):
                client.play(instance)
        assert thread(server, role).is_alive()
    assert server.failure is None


@pytest.mark.parametrize("what", ["poller", "eventfd", "listener"])
def test_a_descriptor_that_is_closed_by_others_ends_the_server_with_a_line(
    serve: Serve, what: str
) -> None:
    server = serve(Hello)
    with Client(server.socket_path) as client:
        client.play(client.start("hello"))
        number = {
            "poller": server._pool.poller.fileno(),
            "eventfd": server._pool.wakeup,
            "listener": server.fileno(),
        }[what]
        os.close(number)
        opened = os.open(os.devnull, os.O_RDONLY)
        os.dup2(opened, number)  # as if somebody else had opened a file since
        os.close(opened)
        deadline = time.monotonic() + TIMEOUT
        while server.failure is None and time.monotonic() < deadline:
            with pytest.MonkeyPatch.context(), Client(server.socket_path) as other:
                other.request("plugin.GetStatus")
                time.sleep(0.05)
    assert server.failure is not None
    assert "was closed by other code in this process" in server.failure
    assert server._stop_requested.is_set()
