"""One client's socket, on a pair of sockets: what is sent, kept, read and cut off."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from support.client import pack

from pluginserver.rpc.frames import Decoder
from pluginserver.runtime.connection import Connection
from pluginserver.runtime.sending import READABLE, WRITABLE

REQUEST = pack([0, 1, "plugin.GetStatus", []])


class Frames(Decoder):
    """A codec whose requests are the frames."""

    task = None

    def request(self, _peer: object) -> Any:
        return self.frame()


class Pair:
    """A connection, its peer, and the poller that it is registered with."""

    def __init__(self) -> None:
        ours, self.peer = socket.socketpair(socket.AF_UNIX)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.peer.settimeout(30)
        self.poller = select.epoll()
        self.connection = Connection(ours, self.poller, Frames())

    def ready(self) -> int:
        return sum(mask for _, mask in self.poller.poll(0))


@pytest.fixture
def pair() -> Iterator[Pair]:
    one = Pair()
    yield one
    one.connection.close()
    one.peer.close()
    one.poller.close()


def test_what_is_read_becomes_requests(pair: Pair) -> None:
    pair.connection.register()
    assert pair.connection.receive()
    assert pair.connection.request() is None
    pair.peer.send(REQUEST[:5])
    assert pair.ready() & READABLE
    assert pair.connection.receive()
    assert pair.connection.request() is None
    pair.peer.send(REQUEST[5:] + REQUEST)
    assert pair.connection.receive()
    assert pair.connection.request() == (1, "plugin.GetStatus", [])
    assert pair.connection.request() == (1, "plugin.GetStatus", [])
    assert pair.connection.request() is None


def test_the_end_of_the_stream(pair: Pair) -> None:
    pair.peer.close()
    assert not pair.connection.receive()


def test_a_reset_is_the_end_too(pair: Pair) -> None:
    pair.connection.send(b"x")
    pair.peer.close()
    pair.connection.send(b"passed over")
    assert not pair.connection.receive()


@pytest.mark.parametrize("registered_first", [True, False])
def test_what_the_socket_does_not_take_is_kept_in_order(
    pair: Pair, registered_first: bool
) -> None:
    connection = pair.connection
    if registered_first:
        connection.register()
    expected = b""
    for number in range(2000):
        data = b"%8d" % number * 16
        expected += data
        connection.send(data)
    if not registered_first:
        connection.register()
    pair.peer.send(REQUEST)
    assert not pair.ready() & READABLE, "nothing is read while something waits to be sent"
    got = b""
    while len(got) < len(expected):
        got += pair.peer.recv(65536)
        while pair.ready() & WRITABLE:
            assert connection.flush()
    assert got == expected
    assert pair.ready() & READABLE
    assert connection.receive()
    assert connection.request() is not None


def test_requests_that_were_read_wait_until_replies_are_sent(pair: Pair) -> None:
    connection = pair.connection
    connection.register()
    pair.peer.send(REQUEST)
    assert connection.receive()
    connection.send(b"x" * 1_000_000)
    assert connection.request() is None
    received = 0
    while received < 1_000_000:
        received += len(pair.peer.recv(65536))
        if pair.ready() & WRITABLE:
            assert connection.flush()
    assert connection.request() is not None


def test_flushing_to_a_full_socket_and_to_one_that_is_gone(pair: Pair) -> None:
    connection = pair.connection
    connection.register()
    connection.send(b"x" * 1_000_000)
    assert connection.flush()
    pair.peer.close()
    assert not connection.flush()


def test_after_closing_nothing_is_sent_or_read(pair: Pair) -> None:
    pair.connection.register()
    pair.connection.close()
    pair.connection.close()
    assert pair.peer.recv(1) == b""
    pair.connection.send(b"passed over")
    assert pair.connection.request() is None
