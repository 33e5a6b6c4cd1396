"""As much of Kong as it takes to leave things lying about at a server, and to time its first answer.

One class for each protocol, with the same methods.  They read whole, short answers.
"""

from __future__ import annotations

import itertools
import os
import socket as sockets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import msgpack

from .processes import ServerError

ANSWER_TIME: Final = 30.0
"""Seconds to wait for an answer."""


class Kong(Protocol):
    """Connections to a server, and what is asked over them."""

    def start(self, plugin: str) -> int:
        """Start an instance of a plugin; gives its id.

        :raises ServerError: when it is refused.
        """

    def idle(self, instance: int, number: int) -> None:
        """Open connections, run an event without a callback over each, and leave them open."""

    def suspend(self, instance: int, number: int) -> None:
        """Begin events, and leave each in its first callback."""

    def close(self) -> None:
        """Close all connections."""


class MessagePackKong:
    """Kong as it speaks MsgPack:1.

    :param socket: where the server listens.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._connections = [_connected(socket)]
        self._ids = itertools.count(1)

    def start(self, plugin: str) -> int:
        result = self._call(
            self._connections[0], "StartInstance", {"Name": plugin, "Config": "{}"}
        )
        return int(result["Id"])

    def idle(self, instance: int, number: int) -> None:
        for _ in range(number):
            self._connections.append(_connected(self._socket))
            self._begin(self._connections[-1], instance)

    def suspend(self, instance: int, number: int) -> None:
        for _ in range(number):
            self._begin(self._connections[0], instance)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _begin(self, connection: sockets.socket, instance: int) -> None:
        argument = {"InstanceId": instance, "EventName": "access"}
        self._call(connection, "HandleEvent", argument)

    def _call(
        self, connection: sockets.socket, method: str, argument: dict[str, object]
    ) -> dict[str, Any]:
        number = next(self._ids)
        connection.sendall(msgpack.packb([0, number, f"plugin.{method}", [argument]]))
        unpacker = msgpack.Unpacker(strict_map_key=False)
        while True:
            for frame in unpacker:
                if frame[0] == 1:
                    if frame[2] is not None:
                        raise ServerError(f"{method}: {frame[2]}")
                    return dict(frame[3])
            unpacker.feed(_received(connection))


class ProtoBufKong:
    """Kong as it speaks ProtoBuf:1: an event keeps its connection.

    :param socket: where the server listens.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._connections = [_connected(socket)]
        self._sequence = itertools.count(2)

    def start(self, plugin: str) -> int:
        name, config = (_field(number, text) for number, text in ((1, plugin), (2, "{}")))
        connection = self._connections[0]
        self._ask(connection, 33, name + config)
        for number, value in _fields(_frame(connection)):
            if number == 33:
                return next(int(id_) for which, id_ in _fields(bytes(value)) if which == 2)
        raise ServerError("StartInstance: the answer has no status")

    def idle(self, instance: int, number: int) -> None:
        for _ in range(number):
            connection = self._begin(instance)
            for _ in range(2):
                _frame(connection)

    def suspend(self, instance: int, number: int) -> None:
        for _ in range(number):
            connection = self._begin(instance)
            for _ in range(2):
                _frame(connection)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _begin(self, instance: int) -> sockets.socket:
        connection = _connected(self._socket)
        self._connections.append(connection)
        self._ask(connection, 36, b"\x08" + _varint(instance) + _field(2, "access"))
        return connection

    def _ask(self, connection: sockets.socket, command: int, message: bytes) -> None:
        call = b"\x08" + _varint(next(self._sequence)) + _varint(command << 3 | 2)
        call += _varint(len(message)) + message
        connection.sendall(len(call).to_bytes(4, "little") + call)


CLIENTS: Final[dict[str, type[MessagePackKong] | type[ProtoBufKong]]] = {
    "MsgPack:1": MessagePackKong,
    "ProtoBuf:1": ProtoBufKong,
}
"""The class for each protocol, by the name that Kong gives it."""


def _connected(socket: Path) -> sockets.socket:
    connection = sockets.socket(sockets.AF_UNIX)
    connection.settimeout(ANSWER_TIME)
    connection.connect(os.fspath(socket))
    return connection


def _received(connection: sockets.socket, size: int = 65536) -> bytes:
    data = connection.recv(size)
    if not data:
        raise ServerError("the server closed a connection")
    return data


def _frame(connection: sockets.socket) -> bytes:
    data = b""
    size = 4
    while len(data) < size:
        data += _received(connection, size - len(data))
        if len(data) == 4:
            size += int.from_bytes(data, "little")
    return data[4:]


def _varint(number: int) -> bytes:
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    return bytes([*data, number])


def _field(number: int, text: str) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(text)) + text.encode()


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: their numbers, and a number or bytes."""
    rest = iter(data)

    def number() -> int:
        value = shift = 0
        for byte in rest:
            value |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
        return value

    while tag := number():
        value = number()
        yield tag >> 3, value if tag & 7 == 0 else bytes(itertools.islice(rest, value))
