"""Kong's side of ProtoBuf:1: frames, calls, and an event's talk, which has a connection for itself.

Rules kept here:

* a frame goes out in two writes, its length and its content, and what comes in is read as frames, whatever
  the pieces; the read time begins anew with each;
* a call has its plugin's next number, from 2 on, and its answer must carry that number;
* a connection goes back into the pool when the ``RpcReturn`` is read, before anybody looks at it; one whose
  talk ends otherwise is closed, at once.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from ..kong.lua import LuaError
from ..kong.lua_protobuf import decode, encode
from .wire import ConnectionPool, NoAnswer, Stream

HEADER: Final = 4
"""Bytes of a frame's length."""

FIRST: Final = 2
"""The number of a plugin's first call."""


class FrameConnection(Stream):
    """One connection in ProtoBuf:1."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__(path, timeout)
        self._read = bytearray()

    def send_frame(self, content: bytes, timeout: float) -> None:
        """Send a frame, in two writes as Kong does.

        :raises NoAnswer: when the server is gone, or takes nothing in ``timeout`` seconds.
        """
        self.send(len(content).to_bytes(HEADER, "little"), timeout)
        if content:
            self.send(content, timeout)

    def receive_frame(self, timeout: float) -> bytes:
        """The content of the next frame.

        :param timeout: seconds without a byte after which it is given up.
        :raises NoAnswer: when that time is up, or the connection ends.
        """
        return self._take(int.from_bytes(self._take(HEADER, timeout), "little"), timeout)

    def _take(self, size: int, timeout: float) -> bytes:
        while len(self._read) < size:
            self._read += self.read(timeout)
        taken = bytes(self._read[:size])
        del self._read[:size]
        return taken


class Talk(Protocol):
    """An event's talk: its callbacks, one after another, until the handler is done."""

    def next(self) -> tuple[str, bytes] | None:
        """The next callback, its function's name and its argument's bytes; None when all is over.

        :raises NoAnswer: when none comes in time, or the connection ends.
        :raises LuaError: for what Kong cannot read.
        """

    def answer(self, data: bytes) -> None:
        """Send a callback's result.

        :raises NoAnswer: when the server is gone.
        """

    def drop(self) -> None:
        """Close the connection, if the talk is not over."""

    def leave(self) -> None:
        """Say nothing more, and leave the connection open: the client went away, Kong waits."""


class Calls(Protocol):
    """What Kong asks of a plugin server in ProtoBuf:1."""

    def start(self, plugin: str, config: str) -> int:
        """Start an instance.

        :returns: its id.
        :raises NoAnswer: when none comes in time, or the connection ends.
        :raises LuaError: for an answer that makes Kong's client fail.
        """

    def close_instance(self, plugin: str, instance_id: int) -> None:
        """Close an instance; raises as :meth:`start`."""

    def begin(self, plugin: str, instance_id: int, phase: str) -> Talk:
        """Begin an event.

        :raises NoAnswer: when nobody listens, or the server is gone.
        """


class Sequence:
    """The numbers of calls: each plugin has its own."""

    def __init__(self) -> None:
        self._counters: dict[str, Iterator[int]] = {}
        self._lock = threading.Lock()

    def next(self, plugin: str) -> int:
        """A plugin's next number."""
        with self._lock:
            return next(self._counters.setdefault(plugin, itertools.count(FIRST)))


def returned(data: bytes, number: int) -> dict[str, Any]:
    """A ``RpcReturn``, which must answer the call of that number.

    :raises LuaError: when it does not, or is none.
    """
    found = decode("RpcReturn", data)
    if found["sequence"] != number:
        raise LuaError(
            f"assertion failed! (the answer to call {number} has the sequence {found['sequence']})"
        )
    return found


def started(found: Mapping[str, Any]) -> int:
    """The id of the instance that an answer says was started.

    :raises LuaError: when it says none.
    """
    status = found.get("instance_status")
    if status is None:
        raise LuaError("attempt to index field 'instance_status' (a nil value)")
    return int(status["instance_id"])


class SocketTalk:
    """A :class:`Talk` over a socket.

    :param client: whose talk it is.
    :param connection: the connection, on which the event was begun.
    :param number: the number of the call that began it.
    """

    def __init__(self, client: ProtoBufClient, connection: FrameConnection, number: int) -> None:
        self._client = client
        self._connection: FrameConnection | None = connection
        self._number = number

    def next(self) -> tuple[str, bytes] | None:
        """The next callback: see :meth:`Talk.next`."""
        connection = self._open()
        name = self._client.receive(connection)
        if name:
            return name.decode("utf-8", "surrogateescape"), self._client.receive(connection)
        data = self._client.receive(connection)
        self._connection = None
        self._client.pool.put(connection)
        returned(data, self._number)
        return None

    def answer(self, data: bytes) -> None:
        """Send a callback's result: see :meth:`Talk.answer`."""
        self._open().send_frame(data, self._client.timeout)

    def drop(self) -> None:
        """Close the connection, if the talk is not over."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def leave(self) -> None:
        """Keep the connection, silent, until the client is closed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._client.left.append(connection)

    def _open(self) -> FrameConnection:
        if self._connection is None:
            raise NoAnswer("closed")
        return self._connection


class ProtoBufClient:
    """Kong's ProtoBuf:1 client of one plugin server over a socket: its :class:`Calls`.

    :param path: the server's Unix socket.
    :param timeout: Kong's ``lua_socket_read_timeout`` in seconds.
    :param hopping: take another connection than the one that was used last.
    """

    def __init__(self, path: str, timeout: float, hopping: bool) -> None:
        self.timeout = timeout
        self.timed_out = False
        """Whether an answer did not come in time."""
        self.left: list[FrameConnection] = []
        """Connections of events whose client went away."""
        self.pool = ConnectionPool(lambda: FrameConnection(path, timeout), hopping)
        """The idle connections."""
        self._sequence = Sequence()

    def start(self, plugin: str, config: str) -> int:
        """Start an instance: see :meth:`Calls.start`."""
        return started(
            self._call(plugin, "cmd_start_instance", {"name": plugin, "config": config})
        )

    def close_instance(self, plugin: str, instance_id: int) -> None:
        """Close an instance: see :meth:`Calls.close_instance`."""
        self._call(plugin, "cmd_close_instance", {"instance_id": instance_id})

    def begin(self, plugin: str, instance_id: int, phase: str) -> SocketTalk:
        """Begin an event: see :meth:`Calls.begin`."""
        argument = {"instance_id": instance_id, "event_name": phase}
        return SocketTalk(self, *self._sent(plugin, "cmd_handle_event", argument))

    def receive(self, connection: FrameConnection) -> bytes:
        """The next frame; :attr:`timed_out` notes when none came."""
        try:
            return connection.receive_frame(self.timeout)
        except NoAnswer as error:
            self.timed_out |= error.timed_out
            raise

    def close(self) -> None:
        """Close the connections that no talk holds."""
        self.pool.close()
        while self.left:
            self.left.pop().close()

    def _call(self, plugin: str, command: str, argument: dict[str, Any]) -> dict[str, Any]:
        connection, number = self._sent(plugin, command, argument)
        try:
            data = self.receive(connection)
        except NoAnswer:
            connection.close()
            raise
        self.pool.put(connection)
        return returned(data, number)

    def _sent(
        self, plugin: str, command: str, argument: dict[str, Any]
    ) -> tuple[FrameConnection, int]:
        number = self._sequence.next(plugin)
        connection = self.pool.take()
        try:
            message = encode("RpcCall", {"sequence": number, command: argument})
            connection.send_frame(message, self.timeout)
        except NoAnswer:
            connection.close()
            raise
        return connection, number
