"""A bare MessagePack-RPC client: what the tests of the server talk to it with.

It knows no more of Kong than the frames, so that a test says itself what it sends, in which pieces
and on which connection.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any

import msgpack
from typing_extensions import Self

TIMEOUT = 30.0
"""Seconds after which a test gives up; nothing is measured with it."""

_ids = itertools.count(1)


class Failed(Exception):
    """The response carried an error."""


class Closed(Exception):
    """The server closed the connection."""


class Connected:
    """One connection, in whatever protocol."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT)
        try:
            self.socket.connect(os.fspath(path))
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed from None

    def receive(self) -> bytes:
        """What has arrived: at least one byte."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed
        return data


class Client(Connected):
    """One client of MessagePack-RPC."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._frames = msgpack.Unpacker(
            raw=False, unicode_errors="surrogateescape", strict_map_key=False
        )
        self.notifications: list[Any] = []

    def request(self, method: Any, *params: Any) -> int:
        """Send a request without waiting; gives its message id."""
        message_id = next(_ids)
        self.send(pack([0, message_id, method, list(params)]))
        return message_id

    def frame(self) -> Any:
        """The next frame of any kind."""
        while True:
            for frame in self._frames:
                return frame
            self._frames.feed(self.receive())

    def response(self) -> list[Any]:
        """The next response; notifications before it are put aside."""
        while True:
            frame = self.frame()
            if frame[0] == 1:
                return list(frame)
            self.notifications.append(frame)

    def call(self, method: Any, *params: Any) -> Any:
        """Send a request and wait for its result.

        :raises Failed: with the response's error.
        """
        message_id = self.request(method, *params)
        _, answered, error, result = self.response()
        assert answered == message_id
        if error is not None:
            raise Failed(error)
        return result

    def start(self, plugin: str, config: str = "{}") -> int:
        """Start an instance; gives its id."""
        result = self.call("plugin.StartInstance", {"Name": plugin, "Config": config})
        return int(result["Id"])

    def begin(self, instance: int, phase: str = "access") -> Any:
        """Start an event; gives ``{"EventId": …, "Data": …}``."""
        return self.call("plugin.HandleEvent", {"InstanceId": instance, "EventName": phase})

    def step(self, event: int, data: Any = None) -> Any:
        argument = {"EventId": event} if data is None else {"EventId": event, "Data": data}
        return self.call("plugin.Step", argument)

    def play(
        self,
        instance: int,
        phase: str = "access",
        answers: Iterable[Any] | Callable[[str, Any], Any] = (),
    ) -> list[tuple[str, Any]]:
        """Run an event to its end as Kong would; gives its callbacks, and the last message if any.

        :param answers: what each callback gets in turn, or a function of its method and arguments.
        """
        feed = None if callable(answers) else iter(answers)
        calls: list[tuple[str, Any]] = []
        out = self.begin(instance, phase)
        while out["Data"] != "ret":
            method, args = out["Data"]["Method"], out["Data"]["Args"]
            calls.append((method, args))
            if method in ("kong.response.exit", "kong.response.error"):
                break
            answer = answers(method, args) if callable(answers) else next(feed, None)  # type: ignore[arg-type]
            out = self.step(out["EventId"], answer)
        return calls


def pack(value: Any) -> bytes:
    data: bytes = msgpack.packb(value, unicode_errors="surrogateescape")
    return data
