"""Kong's side of the wire: its connections, its MessagePack, its calls; ProtoBuf:1 is in :mod:`.protobuf`.

Rules kept here:

* a request's bytes are those that Kong's Lua encoder makes: :func:`encode`;
* a call takes the connection that was used last from the :class:`ConnectionPool`, or makes one; with
  hopping, one that was not used for the call before, as happens under load; an idle connection on
  which something arrives is closed, as nginx does it;
* Kong reads what comes on it until its answer: notifications on the way are obeyed;
* what goes wrong is one of three: :class:`RemoteError`, the server's own word; :class:`NoAnswer`, the
  time was up or the connection was gone; or a :class:`~pluginserver.testing.kong.lua.LuaError`, an answer
  that makes Kong's client fail.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import Any, Final, Generic, TypeVar

import msgpack

from ..kong.lua import LuaError
from ..kong.quirks import Quirks

READ_SIZE: Final = 4096
"""Bytes that Kong reads at once."""

KEEP_ALIVE: Final = 60.0
"""Seconds for which an idle connection is kept."""

POOL_SIZE: Final = 256
"""Idle connections kept by one nginx worker."""


C = TypeVar("C", bound="Stream")
"""A kind of connection."""


class RemoteError(Exception):
    """The plugin server answered with an error; the text is its."""


class NoAnswer(Exception):
    """The plugin server did not answer; the text is what Kong logs.

    :param timed_out: the time was up; else there is no server, or the connection is gone.
    """

    def __init__(self, text: str, timed_out: bool = False) -> None:
        super().__init__(text)
        self.timed_out = timed_out


def encode(value: Any, no_str8: bool = True) -> bytes:
    """The MessagePack bytes of a value as Kong's encoder writes them.

    :param value: None, bool, int, float, str (with surrogates for bytes that are not UTF-8), bytes
        (goes as bin), lists, tuples and mappings of those.
    :param no_str8: write str16 where the newer specification has str8.
    :raises LuaError: for what Kong's encoder cannot write.
    """
    packer = msgpack.Packer(use_bin_type=not no_str8, unicode_errors="surrogateescape")
    try:
        return b"".join(_encoded(value, packer))
    except OverflowError:
        raise LuaError("overflow in pack") from None
    except TypeError as error:
        raise LuaError(f"pack is unimplemented: {error}") from None


def _encoded(value: Any, packer: msgpack.Packer) -> Iterator[bytes]:
    """The pieces of a value: without str8 a packer has no bin either, so each bin is packed apart."""
    if isinstance(value, bytes):
        yield msgpack.packb(value, use_bin_type=True)
    elif isinstance(value, Mapping):
        yield packer.pack_map_header(len(value))
        for key, item in value.items():
            yield from _encoded(key, packer)
            yield from _encoded(item, packer)
    elif isinstance(value, (list, tuple)):
        yield packer.pack_array_header(len(value))
        for item in value:
            yield from _encoded(item, packer)
    else:
        yield packer.pack(value)


class Stream:
    """One connection to the plugin server, in whichever protocol.

    :param path: the server's Unix socket.
    :param timeout: seconds for connecting.
    :raises NoAnswer: when nobody listens there.
    """

    def __init__(self, path: str, timeout: float) -> None:
        self.since = monotonic()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise NoAnswer(f"{os.strerror(error.errno) if error.errno else error}") from None

    def send(self, data: bytes, timeout: float) -> None:
        """Send bytes.

        :raises NoAnswer: when the server is gone, or takes nothing in ``timeout`` seconds.
        """
        self._socket.settimeout(timeout)
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise NoAnswer("timeout", timed_out=True) from None
        except OSError:
            raise NoAnswer("closed") from None

    def read(self, timeout: float) -> bytes:
        """What comes next, one byte at least.

        :param timeout: seconds without a byte after which it is given up, as nginx counts them.
        :raises NoAnswer: when that time is up, or the connection ends.
        """
        self._socket.settimeout(timeout)
        try:
            data = self._socket.recv(READ_SIZE)
        except TimeoutError:
            raise NoAnswer("timeout", timed_out=True) from None
        except OSError:
            data = b""
        if not data:
            raise NoAnswer("closed")
        return data

    def stale(self) -> bool:
        """Whether it is of no more use: the server has closed it, or sent what nobody asked for."""
        self._socket.setblocking(False)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class ClientConnection(Stream):
    """One connection in MessagePack-RPC: see :class:`Stream`."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__(path, timeout)
        self._unpacker = msgpack.Unpacker(
            raw=False, unicode_errors="surrogateescape", strict_map_key=False
        )

    def receive(self, timeout: float) -> Any:
        """The next message, decoded.

        :param timeout: seconds without a byte after which it is given up.
        :raises NoAnswer: when that time is up, or the connection ends.
        :raises LuaError: for bytes that are not MessagePack.
        """
        while True:
            try:
                return self._unpacker.unpack()
            except msgpack.OutOfData:
                pass
            except Exception as error:
                raise LuaError(f"the answer is not MessagePack: {error!r}") from None
            self._unpacker.feed(self.read(timeout))


class ConnectionPool(Generic[C]):
    """The idle connections of one nginx worker, the last one used on top.

    :param connect: makes a connection.
    :param hopping: never hand out the one that was put back last, as if another request had just
        taken it.
    """

    def __init__(self, connect: Callable[[], C], hopping: bool) -> None:
        self._connect = connect
        self._hopping = hopping
        self._idle: list[C] = []
        self._lock = threading.Lock()

    def take(self) -> C:
        """The connection for the next call.

        :raises NoAnswer: when a new one cannot be made.
        """
        oldest = monotonic() - KEEP_ALIVE
        with self._lock:
            for connection in list(self._idle):
                if connection.since < oldest or connection.stale():
                    self._idle.remove(connection)
                    connection.close()
            if len(self._idle) > self._hopping:
                return self._idle.pop(-1 - self._hopping)
        return self._connect()

    def put(self, connection: C) -> None:
        """Put a connection back."""
        connection.since = monotonic()
        with self._lock:
            self._idle.append(connection)
            if len(self._idle) > POOL_SIZE:
                self._idle.pop(0).close()

    def close(self) -> None:
        """Close all that are idle."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()


class RPCClient:
    """Kong's client of one plugin server.

    :param path: the server's Unix socket.
    :param quirks: which of Kong's habits it has.
    :param timeout: Kong's ``lua_socket_read_timeout`` in seconds.
    :param notified: told of a notification's label and argument.
    """

    def __init__(
        self,
        path: str,
        quirks: Quirks,
        timeout: float,
        notified: Callable[[Any, Any], None],
    ) -> None:
        self.path = path
        self.timeout = timeout
        self._quirks = quirks
        self._notified = notified
        self._lock = threading.Lock()
        self._last_id = 0
        self._pool = ConnectionPool(lambda: ClientConnection(path, timeout), quirks.hopping)

    def call(self, method: Any, argument: Any) -> Any:
        """Call a method and wait for its result.

        :param method: the method's name; Kong may send anything here, see ``Quirks.method_key``.
        :param argument: its one argument.
        :raises RemoteError: for the server's error.
        :raises NoAnswer: when none came in time, or the server is gone.
        :raises LuaError: for an answer that does not fit this call.
        """
        message_id, data = self._request(method, argument)
        connection = self._pool.take()
        try:
            connection.send(data, self.timeout)
            answer = self._answer(connection, message_id)
        except NoAnswer as error:
            if error.timed_out and self._quirks.keep_timed_out:
                self._pool.put(connection)
            else:
                connection.close()
            raise
        except LuaError:
            connection.close()
            raise
        self._pool.put(connection)
        _, _, failure, result = answer
        if failure is not None:
            if not isinstance(failure, (str, bytes)):
                raise LuaError(f"attempt to call method 'lower' of the error {failure!r:.80}")
            text = failure.decode("utf-8", "replace") if isinstance(failure, bytes) else failure
            raise RemoteError(text)
        return result

    def break_off(self, method: Any, argument: Any) -> None:
        """Send a request and close its connection without waiting.

        :raises NoAnswer: always: that is what Kong makes of it.
        """
        _, data = self._request(method, argument)
        connection = self._pool.take()
        try:
            connection.send(data, self.timeout)
        finally:
            connection.close()
        raise NoAnswer("closed")

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def _request(self, method: Any, argument: Any) -> tuple[int, bytes]:
        with self._lock:
            self._last_id += 1
            message_id = self._last_id
        return message_id, encode([0, message_id, method, [argument]], self._quirks.no_str8)

    def _answer(self, connection: ClientConnection, message_id: int) -> Any:
        while True:
            message = connection.receive(self.timeout)
            if not isinstance(message, list) or not message:
                raise LuaError(f"the answer is not an array: {message!r:.80}")
            if message[0] == 2:
                label, argument = (*message[1:], None, None)[:2]
                self._notified(label, argument)
                continue
            if message[0] != 1 or len(message) != 4:
                raise LuaError(
                    f"RPC response expected from the plugin server, got {message!r:.80}"
                )
            if message[1] != message_id:
                raise LuaError(
                    f"unexpected RPC response ID from the plugin server: {message[1]!r:.40} "
                    f"instead of {message_id}"
                )
            return message
