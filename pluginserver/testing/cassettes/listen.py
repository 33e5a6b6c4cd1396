"""Understands what Kong and a plugin server say to each other, in both protocols, without taking part.

Rules kept here:

* nothing here sends or changes a byte;
* an event's steps may come over any connection: what is known of it is kept by its id;
* what cannot be understood is passed over: the conversation that it belongs to is not stored.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgpack

from ...rpc.protocols import is_messagepack
from ...spec.functions import FUNCTIONS
from ...spec.methods import HANDLE_EVENT, START_INSTANCE
from ...spec.protobuf import FUNCTIONS as IN_PROTOBUF
from ...spec.protocols import MSGPACK, PROTOBUF
from ..kong.lua_protobuf import decode
from ..pdk import bridge
from .cassette import Call, Conversation, own

WAITING: Final = 10_000
"""Events that are waited for at once: of more the oldest is given up, since Kong abandons some."""

_HEADER: Final = 4

Told = Callable[[Conversation], None]


class Listener:
    """What is known of one server's instances and events.

    :param told: called with each conversation that is over.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        self._instances: dict[Any, tuple[str, dict[str, Any]]] = {}
        self._events: OrderedDict[Any, Conversation] = OrderedDict()

    def started(self, instance_id: Any, plugin: str, config: str | bytes) -> None:
        """An instance was started."""
        found = json.loads(config or "{}")
        self._instances[instance_id] = plugin, own(found) if isinstance(found, dict) else {}

    def begin(self, instance_id: Any, phase: str, protocol: str) -> Conversation | None:
        """An event begins; None when its instance was started before anybody listened."""
        if instance_id not in self._instances:
            return None
        plugin, config = self._instances[instance_id]
        return Conversation(plugin, phase, config, protocol=protocol)

    def called(self, conversation: Conversation, call: Call) -> bool:
        """The plugin calls; whether an answer is to come."""
        conversation.calls.append(call)
        known = FUNCTIONS.get(call.method)
        if known is None or not known.never_returns:
            return True
        self.ended(conversation, "exit")
        return False

    def ended(self, conversation: Conversation, how: str, error: str | None = None) -> None:
        """An event is over."""
        conversation.ended, conversation.error = how, error
        self._told(conversation)

    # -- MsgPack:1

    def answered(self, method: Any, argument: Any, failure: Any, result: Any) -> None:
        """A call of MsgPack:1 has its answer."""
        if method == START_INSTANCE and failure is None:
            self.started(result["Id"], argument["Name"], argument["Config"])
        elif method == HANDLE_EVENT:
            begun = self.begin(argument["InstanceId"], argument["EventName"], MSGPACK)
            if begun is not None:
                self._advance(begun, failure, result)
        elif isinstance(argument, dict) and argument.get("EventId") in self._events:
            found = self._events.pop(argument["EventId"])
            found.calls[-1].answer = argument.get("Data")
            self._advance(found, failure, result)

    def _advance(self, conversation: Conversation, failure: Any, result: Any) -> None:
        if failure is not None:
            self.ended(conversation, "failed", str(failure))
            return
        data = result["Data"]
        if data == "ret":
            self.ended(conversation, "ret")
            return
        args = data.get("Args")
        listed = args if isinstance(args, list) else [] if args is None else [args]
        if self.called(conversation, Call(data["Method"], listed)):
            self._events[result["EventId"]] = conversation
            if len(self._events) > WAITING:
                self._events.popitem(last=False)


_SCALARS: Final = frozenset({"Bool", "Int", "Number", "String", "ByteString"})


def _answer(message: str, data: bytes) -> Any:
    """What a plugin gets with a result message of ProtoBuf:1."""
    fields = decode(message, data)
    if message in _SCALARS:
        return fields["v"]
    if message == "Value":
        return None if "null_value" in fields else bridge.from_value(fields)
    if message == "Struct":
        return bridge.from_struct(fields)
    if message == "RawBodyResult":
        path = fields.get("body_filepath")
        return _body(path) if path else fields.get("content")
    return {key: value for key, value in fields.items() if value or message != "Empty"} or None


def _body(path: str) -> bytes | None:
    """A body that nginx has in a file, as long as this may be read."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


class Ear:
    """Hears one connection.

    :param listener: who is told.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._start = b""
        self._line: _MessagePack | _ProtoBuf | None = None

    def heard(self, data: bytes, from_kong: bool) -> None:
        """Some bytes were said."""
        if self._line is None and from_kong:
            self._start += data
            if len(self._start) < _HEADER:
                return
            kind = _MessagePack if is_messagepack(self._start[:_HEADER]) else _ProtoBuf
            self._line, data = kind(self._listener), self._start
        if self._line is not None:
            self._line.heard(data, from_kong)


class _MessagePack:
    """A connection in MsgPack:1."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._unpackers = {
            side: msgpack.Unpacker(
                raw=False, unicode_errors="surrogateescape", strict_map_key=False
            )
            for side in (True, False)
        }
        self._asked: dict[Any, tuple[Any, Any]] = {}

    def heard(self, data: bytes, from_kong: bool) -> None:
        unpacker = self._unpackers[from_kong]
        unpacker.feed(data)
        for message in unpacker:
            if from_kong:
                _, number, method, arguments = message
                self._asked[number] = method, arguments[0]
            elif message[0] == 1 and message[1] in self._asked:
                self._listener.answered(*self._asked.pop(message[1]), *message[2:])


class _ProtoBuf:
    """A connection in ProtoBuf:1: a call, its callbacks, its end, and the next call."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._read = {True: bytearray(), False: bytearray()}
        self._call: dict[str, Any] | None = None
        self._event: Conversation | None = None
        self._name: str | None = None
        self._waits: Call | None = None

    def heard(self, data: bytes, from_kong: bool) -> None:
        read = self._read[from_kong]
        read += data
        while len(read) >= _HEADER:
            end = _HEADER + int.from_bytes(read[:_HEADER], "little")
            if len(read) < end:
                return
            frame = bytes(read[_HEADER:end])
            del read[:end]
            if from_kong:
                self._from_kong(frame)
            else:
                self._from_server(frame)

    def _from_kong(self, frame: bytes) -> None:
        if self._waits is not None:
            call, self._waits = self._waits, None
            message = IN_PROTOBUF[call.method].result
            call.answer = _answer(message, frame)
            return
        self._call = decode("RpcCall", frame)
        found = self._call.get("cmd_handle_event")
        if found is not None:
            self._event = self._listener.begin(
                (PROTOBUF, found["instance_id"]), found["event_name"], PROTOBUF
            )

    def _from_server(self, frame: bytes) -> None:
        handling = self._call is not None and self._call.get("cmd_handle_event") is not None
        if not handling:
            self._returned(frame)
        elif self._name is None:
            self._name = frame.decode()
        elif self._name:
            name, self._name = self._name, None
            call = Call(name, list(bridge.arguments(name, frame)))
            if self._event is None or self._listener.called(self._event, call):
                self._waits = call
        else:
            self._name = self._call = None
            event, self._event = self._event, None
            if event is not None:
                self._listener.ended(event, "ret")

    def _returned(self, frame: bytes) -> None:
        call, self._call = self._call, None
        begun = None if call is None else call.get("cmd_start_instance")
        status = decode("RpcReturn", frame).get("instance_status")
        if begun is not None and status is not None:
            config = begun["config"]
            self._listener.started((PROTOBUF, status["instance_id"]), begun["name"], config)
