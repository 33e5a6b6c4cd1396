"""One connection in ProtoBuf:1, and Kong's part of the talk on it.

Rules kept here:

* what Kong could not read is :class:`~.verdict.Wrong`;
* every call has a sequence of its own, and its answer must carry that.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final, Protocol

from ...spec.protobuf import FUNCTIONS
from ..gateway import Gateway
from ..kong.lua import LuaError
from ..kong.lua_protobuf import decode, encode
from ..kong.state import Exit, Failure, State
from ..pdk import bridge
from ..pdk import call as call_function
from ..transports.protobuf import FrameConnection
from ..transports.sockets import Socket
from ..transports.wire import NoAnswer
from .verdict import Wrong, short, want

MOST: Final = 1000
"""Callbacks after which an event is given up."""

_NUMBERS: Final = itertools.count(2)


class Asker(Protocol):
    """Who checks a server."""

    server: Socket
    plugin: str
    phase: str
    started: list[int]

    def config_text(self) -> str:
        """The configuration as Kong sends it."""

    def state(self, gateway: Gateway) -> State:
        """A request's state in a Kong of its own."""


class Line:
    """One connection.

    :param probe: who checks.
    :param connection: the connection.
    """

    def __init__(self, probe: Asker, connection: FrameConnection) -> None:
        self.connection = connection
        self.sequence = 0
        """The number of the last call."""
        self._probe = probe
        self._timeout = probe.server.timeout

    def send(self, content: bytes) -> None:
        """Send a frame."""
        self.connection.send_frame(content, self._timeout)

    def frame(self) -> bytes:
        """The next frame."""
        return self.connection.receive_frame(self._timeout)

    def message(
        self, command: str, fields: Mapping[str, Any], sequence: int | None = None
    ) -> bytes:
        """The bytes of a call, with the next sequence unless one is given."""
        self.sequence = next(_NUMBERS) if sequence is None else sequence
        return encode("RpcCall", {"sequence": self.sequence, command: fields})

    def returned(self, sequence: int | None = None) -> dict[str, Any]:
        """The next frame, which must be the answer to the last call."""
        data = self.frame()
        try:
            found = decode("RpcReturn", data)
        except LuaError as error:
            raise Wrong(f"the frame {short(data)} is not a RpcReturn: {error}") from None
        asked = self.sequence if sequence is None else sequence
        want(
            found["sequence"] == asked,
            f"the answer to call {asked} has the sequence {found['sequence']}",
        )
        return found

    def ask(self, command: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call that is about no event."""
        self.send(self.message(command, fields))
        return self.returned()

    def start(self) -> int:
        """Start an instance.

        :returns: its id.
        """
        return self.instance(self.ask("cmd_start_instance", self.start_fields()))

    def start_fields(self) -> dict[str, Any]:
        """What starts an instance."""
        return {"name": self._probe.plugin, "config": self._probe.config_text()}

    def instance(self, found: Mapping[str, Any]) -> int:
        """The id that the answer to a start tells."""
        status = found.get("instance_status")
        if status is None:
            raise Wrong("the answer to cmd_start_instance has no instance_status")
        instance = int(status["instance_id"])
        self._probe.started.append(instance)
        return instance

    def close_instance(self, instance: int) -> None:
        """Close an instance."""
        if instance in self._probe.started:
            self._probe.started.remove(instance)
        self.ask("cmd_close_instance", {"instance_id": instance})

    def begin(self, instance: int) -> tuple[str, bytes] | None:
        """Begin an event.

        :returns: its first callback; None when it makes none.
        """
        self.send(
            self.message(
                "cmd_handle_event", {"instance_id": instance, "event_name": self._probe.phase}
            )
        )
        return self.next()

    def next(self) -> tuple[str, bytes] | None:
        """The next callback; None at the end of the event, which must be told as Kong reads it."""
        name = self.frame().decode("utf-8", "surrogateescape")
        if not name:
            self.returned()
            return None
        want(name in FUNCTIONS, f"Kong has no function {short(name)} in ProtoBuf:1")
        data = self.frame()
        try:
            bridge.arguments(name, data)
        except LuaError as error:
            raise Wrong(
                f"the argument of {name} is not a {FUNCTIONS[name].argument}: {error}"
            ) from None
        return name, data

    def answer(self, name: str, data: bytes) -> bool:
        """Answer a callback as Kong would.

        :returns: False when Kong closes the connection instead.
        """
        state = self._probe.state(Gateway(self._probe.server))
        try:
            value = call_function(state, name, bridge.arguments(name, data))
            sent = bridge.result(name, None if isinstance(value, Failure) else value)
        except (Exit, LuaError):
            return False
        self.send(sent)
        return True

    def play(self, instance: int) -> list[str]:
        """Run an event to its end.

        :returns: the names of its callbacks.
        """
        return self.finish(self.begin(instance))

    def finish(self, callback: tuple[str, bytes] | None) -> list[str]:
        """Answer an event's callbacks until its end; an exit, or a throw, closes the connection."""
        names: list[str] = []
        while callback is not None:
            names.append(callback[0])
            want(len(names) <= MOST, f"the event made {MOST} callbacks")
            if not self.answer(*callback):
                self.connection.close()
                return names
            callback = self.next()
        return names

    def closed(self) -> None:
        """The server must close the connection, and send nothing before."""
        try:
            data = self.connection.read(self._timeout)
        except NoAnswer as end:
            want(not end.timed_out, "the connection is neither answered nor closed")
            return
        raise Wrong(f"{short(data)} is sent, where the connection is to be closed")
