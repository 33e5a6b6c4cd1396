"""Limits: what is one too many, too long or too late costs its own client, and one line of the log."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from greenlet import greenlet
from support.client import TIMEOUT, Client, Closed, Failed, pack
from support.plugins import Flag, eventually

from pluginserver import Kong, PluginServer
from pluginserver.events.callbacks import callback
from pluginserver.rpc import frames
from pluginserver.rpc.messagepack import MessagePack
from pluginserver.runtime import reading
from pluginserver.runtime.connection import Connection
from pluginserver.runtime.sending import WRITABLE

Serve = Callable[..., PluginServer]

STATUS = pack([0, 1, "plugin.GetStatus", []])


class Echoes:
    """Says in each of its three callbacks what the one before was answered."""

    name, version, priority = "echoes", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        answer: Any = None
        for _ in range(3):
            answer = callback("kong.test", answer)


class Large:
    """Asks once, with an argument of 8 MiB."""

    name, version, priority = "large", "1.0.0", 1
    unwound = Flag()

    def access(self, kong: Kong) -> None:
        try:
            callback("kong.test", b"x" * 8_000_000)
        finally:
            self.unwound.set()


def closed(client: Client) -> bool:
    """Whether the server has closed the connection, having sent what it may."""
    try:
        while client.frame():
            continue
    except Closed:
        return True
    return False


def test_one_connection_too_many_is_closed_at_once(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(Echoes, max_connections=2)
    with Client(server.socket_path) as one, Client(server.socket_path) as other:
        instance = one.start("echoes")
        other.call("plugin.GetStatus")
        for _ in range(5):
            with Client(server.socket_path) as third:
                assert closed(third) and not third.notifications
        assert len(one.play(instance)) == 3
        assert server._pool.counts["connections_refused"] == 5
        other.close()
        eventually(lambda: len(server._pool.connections) == 1)
        with Client(server.socket_path) as third:
            assert len(third.play(instance)) == 3
    assert capfd.readouterr().err.count("a connection was refused") == 1


@pytest.mark.parametrize("threads", ["own", "shared"])
def test_one_event_too_many_is_refused_closed_at_once(
    serve: Serve, capfd: pytest.CaptureFixture[str], threads: str
) -> None:
    class Plugin(Echoes):
        pass

    Plugin.threads = threads  # type: ignore[attr-defined]
    server = serve(Plugin, max_events=3)
    with Client(server.socket_path) as client:
        instance = client.start("echoes")
        events = [client.begin(instance)["EventId"] for _ in range(3)]
        for _ in range(5):
            assert client.begin(instance)["Data"]["Method"] == "kong.response.error"
        for event in events:
            for _ in range(2):
                assert client.step(event)["Data"]["Method"] == "kong.test"
            assert client.step(event)["Data"] == "ret"
        eventually(lambda: not server._pool.in_flight)
        assert len(client.play(instance)) == 3
    assert server._pool.counts["events_refused"] == 5
    assert capfd.readouterr().err.count("-max-events") == 1


@pytest.mark.skipif(sys.version_info < (3, 11), reason="each Python call takes C stack on 3.10")
def test_a_suspended_event_keeps_hardly_more_of_the_c_stack_than_any_greenlet(
    serve: Serve,
) -> None:
    class Plugin(Echoes):
        threads = "shared"

    def waits() -> None:
        plain.parent.switch()

    plain = greenlet(waits)
    plain.switch()
    server = serve(Plugin)
    with Client(server.socket_path) as client:
        instance = client.start("echoes")
        event = client.begin(instance)["EventId"]
        assert server._pool.waiting[event].runner._stack_saved < plain._stack_saved * 5 / 4
        assert len(client.play(instance)) == 3
    plain.throw()


def test_bad_frames_are_one_line_of_the_log(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(Echoes)
    for number in range(200):
        with Client(server.socket_path) as client:
            client.send(pack([1, number, "no request"]))
            assert closed(client)
    assert server._pool.counts["protocol_errors"] == 200
    server.stop()
    err = capfd.readouterr().err
    assert err.count("a connection was closed") == 2
    assert "a connection was closed, again" in err and "repeats=199" in err


@pytest.mark.parametrize("sent", [1, 1_000_000])
def test_half_a_message_closes_its_connection(serve: Serve, sent: int) -> None:
    server = serve(Echoes, io_timeout=0.3)
    frame = pack([0, 7, "plugin.GetStatus", [b"x" * 2_000_000]])
    with Client(server.socket_path) as client, Client(server.socket_path) as other:
        instance = other.start("echoes")
        client.send(frame[:sent])
        with pytest.raises(Closed):  # noqa: PT012
            for number in range(sent, sent + 100_000):
                client.send(frame[number : number + 1])
                if select.select([client.socket], [], [], 0.02)[0]:
                    client.frame()
        assert len(other.play(instance)) == 3
        assert server._pool.counts["io_timeouts"] >= 1


def test_a_connection_that_owes_nothing_is_left_alone(serve: Serve) -> None:
    server = serve(Echoes, io_timeout=0.1)
    with Client(server.socket_path) as idle, Client(server.socket_path) as half:
        instance = idle.start("echoes")
        half.send(STATUS[:5])
        assert closed(half)
        assert len(idle.play(instance)) == 3


def test_an_answer_that_nobody_reads_closes_its_connection_and_ends_its_event(
    serve: Serve,
) -> None:
    server = serve(Large, io_timeout=0.2)
    Large.unwound.clear()
    with Client(server.socket_path) as client:
        client.request(
            "plugin.HandleEvent", {"InstanceId": client.start("large"), "EventName": "access"}
        )
        Large.unwound.wait()
        assert closed(client)
    assert server._pool.counts["io_timeouts"] == 1
    assert server._pool.counts["abandoned"] == 1


def test_an_event_whose_client_went_before_it_asked_is_given_up_at_once(serve: Serve) -> None:
    gate, blocked, unwound = threading.Event(), threading.Event(), Flag()

    class Plugin(Echoes):
        def access(self, kong: Kong) -> None:
            blocked.set()
            assert gate.wait(TIMEOUT)
            try:
                callback("kong.test")
            finally:
                unwound.set()

    server = serve(Plugin)
    with Client(server.socket_path) as client:
        instance = client.start("echoes")
        client.request("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
        assert blocked.wait(TIMEOUT)
    eventually(lambda: not server._pool.connections)
    gate.set()
    unwound.wait()
    assert server._pool.counts["abandoned"] == 1


@pytest.mark.parametrize("threads", ["own", "shared"])
def test_an_event_whose_callback_was_not_read_is_given_up_at_once(
    serve: Serve, capfd: pytest.CaptureFixture[str], threads: str
) -> None:
    class Plugin(Echoes):
        pass

    Plugin.threads = threads  # type: ignore[attr-defined]
    server = serve(Plugin)
    with Client(server.socket_path) as other:
        instance = other.start("echoes")
        read = other.begin(instance)["EventId"]
        for _ in range(3):
            with Client(server.socket_path) as client:
                client.call("plugin.GetStatus")
                client.request(
                    "plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"}
                )
                assert select.select([client.socket], [], [], TIMEOUT)[0]
        eventually(lambda: server._pool.counts["abandoned"] == 3)
        eventually(lambda: list(server._pool.waiting) == [read])
        assert other.step(read)["Data"]["Method"] == "kong.test"
    assert capfd.readouterr().err.count("given up that Kong has abandoned") == 1


def test_a_long_request_is_decoded_by_a_worker_and_holds_up_nobody(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    decode = frames._decode

    def note(*args: Any) -> Any:
        decoded.append(threading.current_thread().name)
        return decode(*args)

    monkeypatch.setattr(frames, "_decode", note)
    server = serve(Echoes)
    body = os.urandom(16 * 1024 * 1024)
    with Client(server.socket_path) as client, Client(server.socket_path) as other:
        instance = client.start("echoes")
        event = client.begin(instance)["EventId"]
        step = pack([0, 99, "plugin.Step", [{"EventId": event, "Data": body}]])
        half = len(step) // 2
        client.send(step[:half])
        assert len(other.play(instance)) == 3
        client.send(step[half:])
        assert client.response() == [
            1,
            99,
            None,
            {"EventId": event, "Data": {"Method": "kong.test", "Args": [body]}},
        ]
        assert client.step(event, "short")["Data"]["Args"] == ["short"]
        leader = server._pool.leader
        assert leader is not None
        assert len(decoded) == 1 and decoded[0] != leader.name


def test_more_long_requests_than_threads_that_read_them(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "TURN", 0.01)
    server = serve(Echoes)
    body = os.urandom(1_000_000)
    clients = [Client(server.socket_path) for _ in range(8)]
    instance = clients[0].start("echoes")
    steps = []
    for client in clients:
        event = client.begin(instance)["EventId"]
        steps.append(pack([0, 5, "plugin.Step", [{"EventId": event, "Data": body}]]))
    for start in range(0, len(steps[0]), 100_000):
        for client, step in zip(clients, steps, strict=True):
            client.send(step[start : start + 100_000])
    for client in clients:
        assert client.response()[3]["Data"]["Args"] == [body]
        client.close()


def test_a_long_request_that_is_cut_off_or_bad_costs_its_connection(serve: Serve) -> None:
    server = serve(Echoes)
    long = pack([0, 1, "plugin.GetStatus", ["x" * 2_000_000, [1, 2, 3]]])
    with Client(server.socket_path) as client:
        client.send(long[:1_000_000])
    with Client(server.socket_path) as client:
        client.send(long[:-1] + b"\xc1" + b"x" * 100)
        assert closed(client)
    eventually(lambda: not server._pool.connections)
    with Client(server.socket_path) as client:
        assert client.call("plugin.GetStatus")


@pytest.mark.parametrize(
    ("method", "argument"),
    [
        ("plugin." + "x" * 100_000, None),
        ("plugin.GetPluginInfo", "x" * 100_000),
        ("plugin.GetPluginInfo", [["x" * 100_000] * 100]),
        ("plugin.SetPluginDir", "/" + "x" * 100_000),
        ("plugin.CloseInstance", {"x" * 100_000: 1}),
        ("plugin.HandleEvent", {"InstanceId": "x" * 100_000, "EventName": "access"}),
        ("plugin.HandleEvent", {"InstanceId": 1, "EventName": "x" * 100_000}),
    ],
)
def test_an_error_text_is_short_whatever_it_is_about(
    serve: Serve, method: str, argument: Any
) -> None:
    server = serve(Echoes)
    with Client(server.socket_path) as client, pytest.raises(Failed) as caught:
        client.call(method, argument)
    assert 0 < len(str(caught.value)) <= 4096


def test_what_a_handler_raises_is_cut_for_kong(serve: Serve) -> None:
    class Plugin(Echoes):
        def access(self, kong: Kong) -> None:
            raise ValueError("x" * 1_000_000)

    server = serve(Plugin)
    with Client(server.socket_path) as client:
        ((method, args), _) = client.play(client.start("echoes"))
        assert method == "kong.log.err" and 4000 < len(args[0]) < 5000


def idle_connection(poller: select.epoll) -> tuple[Any, Any]:
    ours, peer = socket.socketpair(socket.AF_UNIX)
    connection = Connection(ours, poller, MessagePack(None))  # type: ignore[arg-type]
    connection.register()
    peer.send(STATUS[:5])
    assert connection.receive() and connection.request() is None
    return connection, peer


def test_an_idle_connection_takes_little_memory() -> None:
    number = 100
    with select.epoll() as poller:
        connection, peer = idle_connection(poller)
        connection.close()
        peer.close()
        tracemalloc.start()
        try:
            pairs = [idle_connection(poller) for _ in range(number)]
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for connection, peer in pairs:
            connection.close()
            peer.close()
    assert size / number < 4096


def test_sending_on_copies_nothing() -> None:
    length = 8_000_000
    ours, peer = socket.socketpair(socket.AF_UNIX)
    with select.epoll() as poller, peer:
        connection = Connection(ours, poller, MessagePack(None))  # type: ignore[arg-type]
        connection.register()
        data = os.urandom(length)
        connection.send(data)
        connection.send(b"end")
        got = memoryview(bytearray(length + 3))
        received = 0
        tracemalloc.start()
        try:
            while received < len(got):
                received += peer.recv_into(got[received:])
                if any(mask & WRITABLE for _, mask in poller.poll(0)):
                    assert connection.flush()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert bytes(got) == data + b"end"
        assert not connection.stalled_since
        connection.close()
    assert peak < 100_000
