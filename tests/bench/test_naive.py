"""The naive servers speak as Kong wants them to: every byte of an event, in both protocols."""

from __future__ import annotations

import socket as sockets
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgpack
import pytest
from comparison.kong import MessagePackKong, ProtoBufKong
from comparison.processes import serving
from comparison.servers import BENCH

CALL = "08e121 a2020d 08cec2f105 1206616363657373"
"""RpcCall{sequence 4321, cmd_handle_event{12345678, "access"}}."""

MSGPACK = (("floor.py",), ("naive.py", "msgpack-threads"))
PROTOBUF = (("naive.py", "protobuf-inline"), ("naive.py", "protobuf-threads"))


@contextmanager
def running(program: tuple[str, ...], plugin: str, tmp_path: Path) -> Iterator[Path]:
    socket = tmp_path / "server.sock"
    name, *arguments = program
    command = [sys.executable, str(BENCH / name), *arguments, str(socket), plugin]
    with serving(command, socket, log=tmp_path / "log"):
        yield socket


@contextmanager
def connected(socket: Path) -> Iterator[sockets.socket]:
    with sockets.socket(sockets.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(socket))
        yield client


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def received(client: sockets.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += client.recv(size - len(data))
    return data


@pytest.mark.parametrize("program", PROTOBUF)
@pytest.mark.parametrize("apart", [False, True])
def test_an_event_in_protobuf(program: tuple[str, ...], apart: bool, tmp_path: Path) -> None:
    """Also when a frame's length comes before the rest, as Kong sends it."""
    call = framed(bytes.fromhex(CALL))
    asked = framed(b"kong.request.get_header") + framed(b"\x0a\x04host")
    text = b"Python says hi to example.com"
    argument = (
        b"\x0a\x07x-hello\x12" + bytes([len(text) + 2]) + b"\x1a" + bytes([len(text)]) + text
    )
    set_ = framed(b"kong.response.set_header") + framed(argument)
    with running(program, "hello", tmp_path) as socket, connected(socket) as client:
        for _ in range(2):
            if apart:
                client.sendall(call[:4])
                client.sendall(call[4:])
            else:
                client.sendall(call)
            assert received(client, len(asked)) == asked
            client.sendall(framed(b"\x0a\x0bexample.com"))
            assert received(client, len(set_)) == set_
            client.sendall(framed(b""))
            assert received(client, 11) == bytes.fromhex("00000000 03000000 08e121")


@pytest.mark.parametrize("program", MSGPACK)
def test_an_event_in_messagepack(program: tuple[str, ...], tmp_path: Path) -> None:
    def ask(method: str, argument: dict[str, object]) -> dict[str, object]:
        # Each call on a connection of its own: the steps of an event come on any.
        with connected(socket) as client:
            client.sendall(msgpack.packb([0, 7, f"plugin.{method}", [argument]]))
            kind, number, error, result = msgpack.unpackb(client.recv(65536))
            assert (kind, number, error) == (1, 7, None)
            return dict(result)

    with running(program, "hello", tmp_path) as socket:
        ask("StartInstance", {"Name": "hello", "Config": "{}"})
        first = ask("HandleEvent", {"InstanceId": 0, "EventName": "access"})
        assert first["Data"] == {"Method": "kong.request.get_header", "Args": ["host"]}
        event = first["EventId"]
        second = ask("Step", {"EventId": event, "Data": "a"})
        assert second["Data"] == {
            "Method": "kong.response.set_header",
            "Args": ["x-hello", "Python says hi to a"],
        }
        assert ask("Step", {"EventId": event}) == {"EventId": event, "Data": "ret"}


@pytest.mark.parametrize("program", PROTOBUF)
def test_the_small_kong_speaks_protobuf(program: tuple[str, ...], tmp_path: Path) -> None:
    with running(program, "empty", tmp_path) as socket, closing(ProtoBufKong(socket)) as kong:
        instance = kong.start("empty")
        assert 0 < instance < 2**31
        assert kong.start("empty") == instance + 1
        kong.idle(instance, 3)
    with running(program, "bench", tmp_path) as socket, closing(ProtoBufKong(socket)) as kong:
        kong.suspend(kong.start("bench"), 3)


@pytest.mark.parametrize("program", MSGPACK)
def test_the_small_kong_speaks_messagepack(program: tuple[str, ...], tmp_path: Path) -> None:
    with running(program, "empty", tmp_path) as socket, closing(MessagePackKong(socket)) as kong:
        kong.idle(kong.start("empty"), 3)
    with running(program, "bench", tmp_path) as socket, closing(MessagePackKong(socket)) as kong:
        kong.suspend(kong.start("bench"), 3)
