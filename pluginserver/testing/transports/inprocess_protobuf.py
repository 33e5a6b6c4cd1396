"""ProtoBuf:1 without a socket: the plugin server's codec and events, in the thread of the test.

Rules kept here:

* what goes in and out is bytes, by the codec that a connection has: only the socket is left out;
* a talk has a codec of its own, as it would have a connection;
* an event whose talk is dropped or left is ended at once: nothing waits for a time-out.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from ...rpc.calls import Context, EventCall
from ...rpc.methods import Methods
from ...rpc.protobuf.codec import ProtoBuf
from ...rpc.protobuf.wire import Frames, frame
from ...runtime.codec import ProtocolError
from ..kong.lua_protobuf import encode
from .protobuf import Sequence, returned, started
from .wire import NoAnswer


class Server(Protocol):
    """The plugin server in this thread."""

    methods: Methods
    restarts: int
    down: bool

    def advance(self, request: EventCall) -> bytes:
        """Run an event to its next callback or its end."""

    def abandon(self, event_id: int) -> None:
        """End an event that waits for what will not come."""


class _Caller:
    """Who is answered: what is sent outside of a request's reply is kept."""

    pid: Final = 0

    def __init__(self) -> None:
        self.sent = b""

    def send(self, data: bytes, asked: int = 0) -> bool:
        """Keep it."""
        self.sent += data
        return True

    def expect(self) -> None:
        """Not called: no request is counted here."""
        raise AssertionError

    def answer(self, data: bytes, asked: int = 0) -> bool:
        """Not called: no request is counted here."""
        raise AssertionError(data)


class _Line:
    """What stands for one connection: a codec, and the frames that came out of it."""

    def __init__(self, server: Server) -> None:
        self.frames = Frames()
        self._server = server
        if server.down:
            raise NoAnswer("connection refused")
        self._restarts = server.restarts
        self._caller = _Caller()
        self._codec = ProtoBuf(server.methods)
        self._context = Context()

    def send(self, content: bytes) -> None:
        """Send a frame, and have the server do what it asks for.

        :raises NoAnswer: when the server closes the connection, was restarted, or does not end in time.
        """
        if self._server.restarts != self._restarts:
            raise NoAnswer("closed")
        self._codec.feed(frame(content))
        try:
            while (request := self._codec.request(self._caller)) is not None:
                if isinstance(request, EventCall):
                    self._caller.sent += self._server.advance(request)
                else:
                    request.perform(self._context)
                    self._caller.sent += request.reply
        except ProtocolError as error:
            raise NoAnswer("closed") from error
        if self._caller.sent:
            self.frames.feed(self._caller.sent)
            self._caller.sent = b""

    def receive(self) -> bytes:
        """The next frame.

        :raises NoAnswer: when none comes.
        """
        content = self.frames.next()
        if content is None:
            raise NoAnswer("timeout", timed_out=True)
        return content

    def hang_up(self) -> None:
        """Close it: an event that has it to itself is ended."""
        task = self._codec.task
        if task is not None:
            self._server.abandon(task.id)


class InProcessTalk:
    """An event's :class:`~.protobuf.Talk` in this thread.

    :param line: what it was begun on.
    :param number: the number of the call that began it.
    """

    def __init__(self, line: _Line, number: int) -> None:
        self._line: _Line | None = line
        self._number = number

    def next(self) -> tuple[str, bytes] | None:
        """The next callback: see :meth:`.protobuf.Talk.next`."""
        line = self._open()
        name = line.receive()
        if name:
            return name.decode("utf-8", "surrogateescape"), line.receive()
        data = line.receive()
        self._line = None
        returned(data, self._number)
        return None

    def answer(self, data: bytes) -> None:
        """Send a callback's result: see :meth:`.protobuf.Talk.answer`."""
        self._open().send(data)

    def drop(self) -> None:
        """End the event, if the talk is not over."""
        line, self._line = self._line, None
        if line is not None:
            line.hang_up()

    leave = drop

    def _open(self) -> _Line:
        if self._line is None:
            raise NoAnswer("closed")
        return self._line


class InProcessCalls:
    """Kong's :class:`~.protobuf.Calls` of a plugin server in this thread.

    :param server: the server.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._sequence = Sequence()

    def start(self, plugin: str, config: str) -> int:
        """Start an instance: see :meth:`.protobuf.Calls.start`."""
        return started(
            self._call(plugin, "cmd_start_instance", {"name": plugin, "config": config})
        )

    def close_instance(self, plugin: str, instance_id: int) -> None:
        """Close an instance: see :meth:`.protobuf.Calls.close_instance`."""
        self._call(plugin, "cmd_close_instance", {"instance_id": instance_id})

    def begin(self, plugin: str, instance_id: int, phase: str) -> InProcessTalk:
        """Begin an event: see :meth:`.protobuf.Calls.begin`."""
        argument = {"instance_id": instance_id, "event_name": phase}
        return InProcessTalk(*self._sent(plugin, "cmd_handle_event", argument))

    def _call(self, plugin: str, command: str, argument: dict[str, Any]) -> dict[str, Any]:
        line, number = self._sent(plugin, command, argument)
        return returned(line.receive(), number)

    def _sent(self, plugin: str, command: str, argument: dict[str, Any]) -> tuple[_Line, int]:
        number = self._sequence.next(plugin)
        line = _Line(self._server)
        line.send(encode("RpcCall", {"sequence": number, command: argument}))
        return line, number
