"""Threads that die and descriptors that others close: replaced, or the server ends and says why."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable

import pytest
from support.client import TIMEOUT, Client

from pluginserver import Kong, PluginServer, logs
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


@pytest.mark.parametrize("role", ["leader", "clock"])
def test_what_is_raised_between_a_lock_and_its_block_keeps_nobody_waiting(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    """On CPython 3.14 it can come there; here, in what the thread calls next, as if it had."""
    server = serve(Hello)
    pool = server._pool
    raised = threading.Event()

    def interrupted() -> None:
        if not raised.is_set():
            pool.lock.acquire()
            raised.set()
            raise SystemExit

    with Client(server.socket_path) as client:
        instance = client.start("hello")
        client.play(instance)
        if role == "leader":
            pool.calls.put(interrupted)
            pool.wake_poll()
        else:
            housekeeping = server._clock._housekeeping
            monkeypatch.setattr(
                server._clock, "_housekeeping", lambda: interrupted() or housekeeping()
            )
        for _ in range(100):
            client.play(instance)
            if raised.wait(0.01):
                break
        assert raised.is_set()
        for _ in range(20):
            client.play(instance)
    assert server.failure is None


def test_a_clock_that_fails_again_and_again_says_so_once_and_goes_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(Hello)
    pool = server._pool

    def fail() -> None:
        raise LookupError("housekeeping")

    monkeypatch.setattr(server._clock, "_housekeeping", fail)
    with Client(server.socket_path) as client:
        instance = client.start("hello")
        deadline = time.monotonic() + TIMEOUT
        while pool.counts["clock_failures"] < 3:
            client.play(instance)
            assert time.monotonic() < deadline
    logs.flush()
    assert capfd.readouterr().err.count("the clock failed") == 1


def steal(number: int) -> None:
    """Close a descriptor, and open another file under its number."""
    os.close(number)
    opened = os.open(os.devnull, os.O_RDONLY)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)


@pytest.mark.parametrize(
    "what",
    [
        "the poller",
        "the listening socket",
        "the poller of the thread that accepts",
        "the descriptor that wakes the thread that accepts",
    ],
)
def test_a_descriptor_that_is_closed_by_others_ends_the_server_with_a_line(
    serve: Serve, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(Hello)
    with Client(server.socket_path) as client:
        client.play(client.start("hello"))
        steal({**server.descriptors(), "the poller": server._pool.poller.fileno()}[what])
        deadline = time.monotonic() + TIMEOUT
        while server.failure is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as other:
                other.connect(str(server.socket_path))
                time.sleep(0.05)
    assert server.failure is not None
    assert f"{what} was closed by other code in this process" in server.failure
    assert server._succession.told_to_stop.wait(TIMEOUT)
    logs.flush(TIMEOUT)
    assert server.failure in capfd.readouterr().err


def test_a_descriptor_that_can_be_replaced_is(serve: Serve) -> None:
    server = serve(Hello)
    with Client(server.socket_path) as client:
        for number in range(2):
            instance = client.start("hello")
            steal(server._pool.wakeup)
            client.request("plugin.GetStatus", {})
            deadline = time.monotonic() + TIMEOUT
            while server._pool.counts["wakeups_renewed"] <= number:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            client.response()
            client.play(instance)
    assert server.failure is None
