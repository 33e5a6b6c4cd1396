"""The link of a takeover: frames and descriptors."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest
from conftest import descriptors
from support.client import TIMEOUT

from pluginserver.errors import LinkError
from pluginserver.rpc import link
from pluginserver.rpc.link import Link


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    """Both ends of a link, which leave no descriptor behind."""
    before = descriptors()
    one, other = map(Link, socket.socketpair())
    yield one, other
    one.release()
    other.release()
    assert descriptors() == before


def test_what_was_sent_arrives(ends: tuple[Link, Link]) -> None:
    one, other = ends
    frame = ["step", 1, "\udcff", b"\xff", {"a": [None, 1.5]}, {1: 2**60}]
    one.send(*frame)
    one.send("next")
    assert other.receive(TIMEOUT) == frame
    assert other.receive(TIMEOUT) == ["next"]
    assert other.receive(0.0) is None


def test_descriptors_arrive_in_order_with_frames_of_any_size(ends: tuple[Link, Link]) -> None:
    one, other = ends
    pipes = [os.pipe() for _ in range(5)]

    def send() -> None:
        for number, (reading, _) in enumerate(pipes):
            one.send("connections", b"x" * number * 300_000, descriptors=[reading])

    sender = threading.Thread(target=send)
    sender.start()
    for number, (reading, writing) in enumerate(pipes):
        assert other.receive(TIMEOUT) == ["connections", b"x" * number * 300_000]
        received = other.descriptor()
        assert received != reading and not os.get_inheritable(received)
        os.write(writing, b"%d" % number)
        assert os.read(received, 10) == b"%d" % number
        for descriptor in (received, reading, writing):
            os.close(descriptor)
    sender.join()


def test_descriptors_that_nobody_took_are_closed(ends: tuple[Link, Link]) -> None:
    one, other = ends
    reading, writing = os.pipe()
    one.send("connections", descriptors=[reading])
    os.close(reading)
    assert other.receive(TIMEOUT) == ["connections"]
    other.release()
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"x")
    os.close(writing)


def test_a_descriptor_that_is_missing_breaks_the_link(ends: tuple[Link, Link]) -> None:
    one, other = ends
    one.send("listener", 1, 2)
    other.receive(TIMEOUT)
    with pytest.raises(LinkError, match="a descriptor is missing"):
        other.descriptor()
    with pytest.raises(LinkError):
        one.receive(TIMEOUT)


def test_the_other_end_is_gone(ends: tuple[Link, Link]) -> None:
    one, other = ends
    one.send("last")
    one.release()
    assert other.receive(TIMEOUT) == ["last"]
    for _ in range(2):
        with pytest.raises(LinkError):
            other.receive(TIMEOUT)
        with pytest.raises(LinkError):
            other.send("anything")


@pytest.mark.parametrize("data", [b"\xc1", b"\x01", b"\x90"])
def test_what_is_no_frame_breaks_the_link(data: bytes) -> None:
    raw, sock = socket.socketpair()
    other = Link(sock)
    with raw:
        raw.sendall(data)
        with pytest.raises(LinkError, match="what came is no frame"):
            other.receive(TIMEOUT)
        with pytest.raises(LinkError):
            other.send("anything")
    other.release()


def test_who_does_not_read_breaks_the_link(
    ends: tuple[Link, Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "TIMEOUT", 0.1)
    raw, sock = socket.socketpair()
    one = Link(sock)
    with raw:
        with pytest.raises(LinkError, match="the other server is gone"):
            one.send("much", b"x" * 10_000_000)
        with pytest.raises(LinkError, match="broken"):
            one.send("more")
    one.release()


def test_closing_wakes_who_waits(ends: tuple[Link, Link]) -> None:
    one, _ = ends
    closer = threading.Timer(0.05, one.close)
    closer.start()
    with pytest.raises(LinkError):
        one.receive(TIMEOUT)
    closer.join()
