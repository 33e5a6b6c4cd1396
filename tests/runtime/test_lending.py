"""Connections that are lent to the owners of events, which read the next step themselves."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.client import TIMEOUT, Client
from support.plugins import asks, eventually, gated, plugin

from pluginserver import PluginServer
from pluginserver.rpc.messagepack import MessagePack
from pluginserver.runtime import syscalls
from pluginserver.runtime.connection import Connection
from pluginserver.runtime.pool import ThreadPool
from pluginserver.runtime.requests import SHUTDOWN
from pluginserver.runtime.syscalls import SMALL, Receiver

Serve = Callable[..., PluginServer]


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the leader has handed over to owners, in order: ``"begin"`` and ``"step"``."""
    found: list[str] = []

    def noting(what: str, name: str) -> None:
        method = getattr(ThreadPool, name)

        def hand(pool: Any, request: Any, since: float) -> None:
            if request.task is not None:
                found.append(what)
            method(pool, request, since)

        monkeypatch.setattr(ThreadPool, name, hand)

    noting("begin", "submit")
    noting("step", "hand_over")
    return found


@pytest.fixture
def server(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> PluginServer:
    """However slow the machine is, no slice is long enough for the clock to take its connection back."""
    monkeypatch.setattr("pluginserver.runtime.clock.SHORT", TIMEOUT)
    return serve(plugin(asks(3), threads="own"))


@pytest.fixture
def client(server: PluginServer) -> Iterator[Client]:
    with Client(server.socket_path) as client:
        yield client


def lent(server: PluginServer) -> list[Connection[Any]]:
    return [one for one in server._pool.connections.values() if one.lent]


def is_waited_for(server: PluginServer) -> None:
    """Wait until the owner of an event waits on the connection."""
    eventually(lambda: any(one.reader is not None for one in lent(server)))


def test_the_owner_reads_the_steps_where_its_callbacks_went(
    server: PluginServer, client: Client, handed: list[str]
) -> None:
    instance = client.start("p")
    for _ in range(5):
        client.play(instance)
    assert handed == ["begin"] * 5
    eventually(lambda: not lent(server))


def test_a_step_on_another_connection_reaches_the_owner(
    server: PluginServer, client: Client, handed: list[str]
) -> None:
    instance = client.start("p")
    event = client.begin(instance)["EventId"]
    with Client(server.socket_path) as other:
        for _ in range(2):
            is_waited_for(server)
            assert other.step(event)["Data"]["Method"] == "kong.test"
        assert client.call("plugin.GetStatus")["Pid"] == os.getpid()
        is_waited_for(server)
        assert other.step(event)["Data"] == "ret"
    assert handed == ["begin", "step"]


def test_anything_else_that_comes_is_handled_and_so_is_the_step(
    server: PluginServer, client: Client
) -> None:
    instance = client.start("p")
    event = client.begin(instance)["EventId"]
    is_waited_for(server)
    assert client.call("plugin.GetStatus")["Pid"] == os.getpid()
    second = client.begin(instance)["EventId"]
    for number in (event, second, event, second):
        assert client.step(number)["Data"]["Method"] == "kong.test"
    assert [client.step(number)["Data"] for number in (event, second)] == ["ret", "ret"]


def test_a_step_in_two_parts_is_the_leaders(
    server: PluginServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = client.begin(client.start("p"))["EventId"]
    is_waited_for(server)
    whole: list[bytes] = []
    with monkeypatch.context() as patch:
        patch.setattr(client, "send", whole.append)
        client.request("plugin.Step", {"EventId": event, "Data": None})
    client.send(whole[0][:7])
    eventually(lambda: not lent(server))
    client.send(whole[0][7:])
    assert client.response()[3]["Data"]["Method"] == "kong.test"


def test_what_a_client_sends_while_a_slice_lasts_is_answered(serve: Serve) -> None:
    gate, blocked, access = gated()
    server = serve(plugin(access, threads="own"))
    with Client(server.socket_path) as client:
        instance = client.start("p")
        gate.clear()
        client.request("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
        assert blocked.wait(TIMEOUT)
        assert client.call("plugin.GetStatus")["Pid"] == os.getpid()
        gate.set()
        assert client.response()[3]["Data"] == "ret"


def test_an_event_is_cancelled_while_its_thread_waits_on_the_connection(
    server: PluginServer, client: Client
) -> None:
    event = client.begin(client.start("p"))["EventId"]
    is_waited_for(server)
    task = server._pool.waiting[event]
    server._pool.abandon(task, "a test wants it")
    eventually(lambda: not lent(server))
    client.request("plugin.Step", {"EventId": event})
    assert f"No running event {event}" in client.response()[2]


def test_a_server_is_not_quiet_while_a_step_is_read(
    server: PluginServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is claimed then, so nothing waits for it, and it does not run yet."""
    read: list[bool] = []
    step = MessagePack.step

    def reading(codec: MessagePack, peer: Any, data: bytes, task: Any) -> Any:
        request = step(codec, peer, data, task)
        eventually(lambda: not server._pool.active)
        read.append(server._pool.quiet(time.monotonic()))
        return request

    monkeypatch.setattr(MessagePack, "step", reading)
    client.play(client.start("p"))
    assert read == [False] * 3


def test_without_a_descriptor_to_wait_with_the_leader_reads(
    server: PluginServer, client: Client, handed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "eventfd", no_more)
    client.play(client.start("p"))
    assert handed == ["begin", *["step"] * 3]


def test_a_thread_that_ends_leaves_no_descriptor_and_may_be_woken_late(
    server: PluginServer, client: Client
) -> None:
    def descriptors() -> int:
        found = 0
        for one in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):
                found += "eventfd" in os.readlink(f"/proc/self/fd/{one}")
        return found

    before = descriptors()
    event = client.begin(client.start("p"))["EventId"]
    is_waited_for(server)
    (connection,) = lent(server)
    worker: Any = connection.reader
    steps = worker.steps
    assert descriptors() == before + 1
    for _ in range(3):
        client.step(event)
    worker.post(SHUTDOWN)
    eventually(lambda: not worker.is_alive())
    assert descriptors() == before
    steps.wake()


def test_a_callback_that_the_socket_does_not_take_is_sent_by_the_leader(serve: Serve) -> None:
    size = 4_000_000

    def access(_self: object, kong: Any) -> None:
        kong.service.request.set_raw_body(b"x" * size)
        kong.service.request.set_raw_body(b"y")

    server = serve(plugin(access, threads="own"))
    with Client(server.socket_path) as client:
        calls = client.play(client.start("p"))
        assert [len(args[0]) for _, args in calls] == [size, 1]


# -- the system calls


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("size", [1, 7, 8, 9, 100_000])
def test_what_is_received_is_what_was_sent(
    ends: tuple[socket.socket, socket.socket], size: int
) -> None:
    ours, theirs = ends
    data = os.urandom(size)
    sender = threading.Thread(target=theirs.sendall, args=(data,))
    sender.start()
    receiver, got = Receiver(8), b""
    while len(got) < size:
        try:
            got += receiver.receive(ours.fileno(), ours.recv, 65_536)
        except BlockingIOError:
            continue
    sender.join()
    assert got == data


def test_nothing_to_receive_the_end_and_a_reset_are_told_apart(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    receiver = Receiver(8)
    with pytest.raises(BlockingIOError):
        receiver.receive(ours.fileno(), ours.recv, 100)
    ours.send(b"unread")
    theirs.close()
    with pytest.raises(ConnectionResetError):
        receiver.receive(ours.fileno(), ours.recv, 100)
    assert receiver.receive(ours.fileno(), ours.recv, 100) == b""


@pytest.mark.parametrize("size", [1, SMALL, SMALL + 1, 10_000_000])
def test_what_the_socket_takes_is_sent(
    ends: tuple[socket.socket, socket.socket], size: int
) -> None:
    ours, theirs = ends
    data = os.urandom(size)
    sent = syscalls.send(ours, data)
    assert 0 < sent <= size
    assert theirs.recv(sent, socket.MSG_WAITALL) == data[:sent]


def test_a_full_socket_and_a_closed_one_raise_what_a_socket_raises(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    with contextlib.suppress(BlockingIOError):
        for _ in range(1000):
            syscalls.send(ours, b"x" * SMALL)
    with pytest.raises(BlockingIOError):
        syscalls.send(ours, b"x" * SMALL)
    theirs.close()
    with pytest.raises(BrokenPipeError):
        syscalls.send(ours, b"x")


def test_what_is_registered_is_polled_until_it_is_not(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    theirs.send(b"x")
    with select.epoll() as poller:
        syscalls.register(poller, ours.fileno(), select.EPOLLIN)
        assert poller.poll(0) == [(ours.fileno(), select.EPOLLIN)]
        with pytest.raises(FileExistsError):
            syscalls.register(poller, ours.fileno(), select.EPOLLIN)
        syscalls.unregister(poller, ours.fileno())
        assert poller.poll(0) == []
        with pytest.raises(FileNotFoundError):
            syscalls.unregister(poller, ours.fileno())
    with pytest.raises(ValueError, match="closed"):
        syscalls.register(poller, ours.fileno(), select.EPOLLIN)
