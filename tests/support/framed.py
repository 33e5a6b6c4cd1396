"""A plugin server of ProtoBuf:1 that does what a test says, with our messages and nothing else of ours."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pluginserver.rpc.protobuf.messages import decode, encode
from pluginserver.rpc.protobuf.wire import Frames, WireError, frame
from pluginserver.spec.protobuf import FUNCTIONS

from .client import TIMEOUT


class Gone(Exception):
    """Kong has closed the connection."""


class Line:
    """One connection of Kong's, seen from the server."""

    def __init__(self, server: Server, number: int, connection: socket.socket) -> None:
        self.server = server
        self.number = number
        self.socket = connection
        self.sequence = 0
        self._frames = Frames()

    def frame(self) -> bytes:
        while (content := self._frames.next()) is None:
            data = self.socket.recv(65536)
            if not data:
                raise Gone
            self._frames.feed(data)
        return content

    def send(self, *contents: bytes) -> None:
        self.socket.sendall(b"".join(map(frame, contents)))

    def ask(self, name: str, fields: Any = None) -> Any:
        """Make a callback; gives its result."""
        self.send(name.encode(), encode(FUNCTIONS[name].argument, fields or {}))
        return decode(FUNCTIONS[name].result, self.frame())

    def end(self) -> None:
        self.send(b"", encode("RpcReturn", {"sequence": self.sequence}))

    def tell(self, instance: int) -> None:
        """Answer a call that is about an instance."""
        status = {"name": "p", "instance_id": instance}
        self.send(encode("RpcReturn", {"sequence": self.sequence, "instance_status": status}))

    def started(self) -> None:
        """Start another instance."""
        self.tell(self.server.add_instance())


Act = Callable[[Line], None]


class Server:
    """A plugin server: ``event`` plays its handler, ``start`` answers a call about an instance."""

    def __init__(self, path: Path, event: Act, start: Act = Line.started) -> None:
        self.event, self.start = event, start
        self.calls: list[tuple[int, int, str, Any]] = []
        """Every call: the connection, the sequence, the command, its fields."""
        self.closed_by_kong = threading.Event()
        """Set when Kong closes a connection in the middle of an event."""
        self.instances = 0
        self.alive: set[int] = set()
        """The instances that were started and not closed."""
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(path))
        # A check connects a hundred times, and a full queue refuses at once.
        self._listener.listen(256)
        self._lines: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def add_instance(self) -> int:
        """Another instance, which is alive before anybody hears of its id."""
        with self._lock:
            self.instances += 1
            self.alive.add(self.instances)
            return self.instances

    def commands(self) -> list[str]:
        return [command for _, _, command, _ in self.calls]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(TIMEOUT)
                line = Line(self, len(self._lines), connection)
                self._lines.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(line,)))
                self._threads[-1].start()

    def _serve(self, line: Line) -> None:
        with line.socket, suppress(OSError):
            while True:
                try:
                    call = decode("RpcCall", line.frame())
                except (Gone, WireError):
                    return
                if len(call) != 2:
                    return
                line.sequence = call.pop("sequence")
                [(command, fields)] = call.items()
                self.calls.append((line.number, line.sequence, command, fields))
                try:
                    (self.event if command == "cmd_handle_event" else self.start)(line)
                except Gone:
                    self.closed_by_kong.set()
                    return

    def close(self) -> None:
        for one in (self._listener, *self._lines):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(TIMEOUT)
