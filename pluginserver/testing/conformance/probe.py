"""A plugin server under test, and Kong's part of the talk with it.

Rules kept here:

* an answer that Kong could not use is :class:`Wrong`, whatever was asked;
* what a check starts is noted, so that :meth:`Probe.tidy` can close it;
* every call ends: an answer is waited for only as long as the server's time-out.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from ...spec.methods import (
    CLOSE_INSTANCE,
    GET_PLUGIN_INFO,
    GET_STATUS,
    HANDLE_EVENT,
    START_INSTANCE,
    STEP,
)
from ...spec.phases import PHASES
from ...spec.protocols import MSGPACK, ON_THE_WIRE
from ..gateway import Gateway
from ..kong import lua
from ..kong.messages import make_request
from ..kong.state import Exit, Failure, State
from ..pdk import MISSING
from ..pdk import call as call_function
from ..record.exchange import Exchange
from ..transports.base import GatewayError
from ..transports.protobuf import FrameConnection
from ..transports.sockets import Socket
from ..transports.wire import ClientConnection, NoAnswer, RemoteError, encode
from .line import Line
from .verdict import Skipped as Skipped
from .verdict import Wrong as Wrong
from .verdict import short as short
from .verdict import want as want


@attrs.define(eq=False)
class Probe:
    """The server under test.

    :param server: the way to it.
    :param plugin: the name of a plugin that it has.
    :param config: a configuration for that plugin.
    :param phase: a phase in which the plugin makes a callback at the least.
    :param phases: all phases of the plugin.
    :param protocols: the protocols that are checked.
    """

    server: Socket
    plugin: str
    config: dict[str, Any]
    phase: str
    phases: frozenset[str]
    protocols: frozenset[str] = frozenset(ON_THE_WIRE)
    _message_ids: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))
    started: list[int] = attrs.field(factory=list)
    """The instances that were started in ProtoBuf:1 and are not closed yet."""
    _instances: list[Any] = attrs.field(factory=list)
    _speaks_protobuf: bool | None = None

    @classmethod
    def of(
        cls,
        server: Socket,
        plugin: str | None,
        config: dict[str, Any],
        phase: str | None = None,
        protocols: frozenset[str] = frozenset(ON_THE_WIRE),
    ) -> Probe:
        """A probe with what is not given asked of the server, in MsgPack:1: ProtoBuf:1 does not tell it.

        :raises GatewayError: when the server has no plugin, or the plugin no such phase.
        """
        if MSGPACK not in protocols and plugin is not None and phase is not None:
            return cls(server, plugin, config, phase, frozenset({phase}), protocols)
        if plugin is None:
            plugins = server.call(GET_STATUS, "")["Plugins"]
            if not plugins:
                raise GatewayError("the server has loaded no plugin: name one with --plugin")
            plugin = sorted(plugins)[0]
        phases = frozenset(server.call(GET_PLUGIN_INFO, plugin)["Phases"])
        if phase is None:
            answering = [one for one in ("access", "rewrite", "log", *PHASES) if one in phases]
            phase = answering[0] if answering else ""
        if phase not in phases:
            raise GatewayError(f"the plugin {plugin} has no phase {phase or 'at all'}")
        return cls(server, plugin, config, phase, phases, protocols)

    # -- talking

    @contextmanager
    def connection(self) -> Iterator[ClientConnection]:
        """A connection of its own."""
        connection = ClientConnection(str(self.server.path), self.server.timeout)
        try:
            yield connection
        finally:
            connection.close()

    def request(self, method: Any, argument: Any) -> tuple[int, bytes]:
        """A request's message id and bytes."""
        message_id = next(self._message_ids)
        return message_id, encode([0, message_id, method, [argument]])

    def reply(self, connection: ClientConnection) -> tuple[Any, Any, Any]:
        """The next response's message id, error and result; notifications are passed over."""
        while True:
            message = connection.receive(self.server.timeout)
            want(isinstance(message, list) and bool(message), f"{short(message)} is not a frame")
            if message[0] == 2:
                continue
            want(message[0] == 1 and len(message) == 4, f"{short(message)} is not a response")
            return message[1], message[2], message[3]

    def ask(self, method: Any, argument: Any, connection: ClientConnection | None = None) -> Any:
        """Call a method and give its result.

        :raises RemoteError: for the server's error.
        :raises Wrong: for an answer that Kong could not use.
        """
        if connection is None:
            with self.connection() as own:
                return self.ask(method, argument, own)
        message_id, data = self.request(method, argument)
        connection.send(data, self.server.timeout)
        answered, error, result = self.reply(connection)
        want(answered == message_id, f"the answer to {message_id} has the id {short(answered)}")
        if error is not None:
            want(isinstance(error, (str, bytes)), f"the error {short(error)} is not a string")
            raise RemoteError(lua.received(error))
        return result

    def error(self, method: Any, argument: Any, connection: ClientConnection | None = None) -> str:
        """The error that a call must have."""
        try:
            result = self.ask(method, argument, connection)
        except RemoteError as error:
            return str(error)
        raise Wrong(
            f"{short(method)} with {short(argument)} gave {short(result)} instead of an error"
        )

    def refuses(self, method: Any, argument: Any, text: str) -> None:
        """A call must have this error, and its connection stay usable."""
        with self.connection() as connection:
            found = self.error(method, argument, connection)
            want(found == text, f"the error is {found!r} instead of {text!r}")
            self.ask(GET_STATUS, "", connection)

    def alive(self) -> None:
        """The server must run an event to its end, in MsgPack:1 if that is checked."""
        if MSGPACK in self.protocols:
            self.finish(*self.begin(self.start()))
        else:
            with self.line() as line:
                line.play(line.start())

    @contextmanager
    def line(self) -> Iterator[Line]:
        """A connection of its own in ProtoBuf:1.

        :raises Skipped: when the server does not speak it, and it is not all that is checked.
        """
        if self._speaks_protobuf is None:
            self._speaks_protobuf = self._try_protobuf()
        if not self._speaks_protobuf and MSGPACK in self.protocols:
            raise Skipped("the server does not speak ProtoBuf:1")
        with self._line() as line:
            yield line

    @contextmanager
    def _line(self) -> Iterator[Line]:
        connection = FrameConnection(str(self.server.path), self.server.timeout)
        try:
            yield Line(self, connection)
        finally:
            connection.close()

    def _try_protobuf(self) -> bool:
        try:
            with self._line() as line:
                line.close_instance(line.start())
        except (NoAnswer, Wrong, lua.LuaError):
            return False
        return True

    # -- instances and events

    def config_text(self) -> str:
        """The configuration as Kong sends it, with its own keys."""
        own = {
            "__seq__": 1,
            "__key__": f"plugins:{self.plugin}",
            "__plugin_id": "x",
            "__ws_id": "w",
        }
        return json.dumps({**self.config, **own})

    def start(self, config: Any = None) -> Any:
        """Start an instance.

        :returns: its id.
        """
        argument = {"Name": self.plugin, "Config": config or self.config_text()}
        instance = self.ask(START_INSTANCE, argument)["Id"]
        self.adopt(instance)
        return instance

    def adopt(self, instance: Any) -> None:
        """Note an instance that was started otherwise, for :meth:`tidy`."""
        self._instances.append(instance)

    def close(self, instance: Any) -> Any:
        """Close an instance."""
        if instance in self._instances:
            self._instances.remove(instance)
        return self.ask(CLOSE_INSTANCE, instance)

    def tidy(self) -> None:
        """Close what a check has left open."""
        while self._instances:
            try:
                self.close(self._instances[-1])
            except (RemoteError, NoAnswer, Wrong, lua.LuaError):
                pass
        while self.started:
            try:
                with self._line() as line:
                    line.close_instance(self.started[-1])
            except (NoAnswer, Wrong):
                pass

    def begin(self, instance: Any, connection: ClientConnection | None = None) -> tuple[Any, Any]:
        """Start an event.

        :returns: its id, and its data: a callback, or ``"ret"``.
        """
        argument = {"EventName": self.phase, "InstanceId": instance}
        return self.event(self.ask(HANDLE_EVENT, argument, connection))

    def event(self, result: Any) -> tuple[Any, Any]:
        """The id and the data of an event's answer, which must have the right shape."""
        want(isinstance(result, dict), f"the answer {short(result)} is not a map")
        want({"EventId", "Data"} <= result.keys(), f"the answer has the keys {sorted(result)}")
        data = result["Data"]
        if data == "ret":
            return result["EventId"], data
        want(
            isinstance(data, dict) and isinstance(data.get("Method"), str),
            f"Data is {short(data)}, neither a callback nor 'ret'",
        )
        want(
            isinstance(data.get("Args"), (list, type(None))),
            f"Args is {short(data.get('Args'))}, neither a list nor nil",
        )
        return result["EventId"], data

    def first_callback(self) -> tuple[Any, Any]:
        """Start an event that must wait in a callback.

        :raises Skipped: when the plugin makes none.
        """
        event, data = self.begin(self.start())
        if data == "ret" or data["Method"] == "kong.response.exit":
            raise Skipped(f"{self.plugin} makes no callback in {self.phase}")
        return event, data

    def step(
        self,
        event: Any,
        data: Any,
        connection: ClientConnection | None = None,
        method: Any = STEP,
    ) -> tuple[Any, Any]:
        """Answer a callback with what Kong would."""
        argument = {"EventId": event}
        value = self.answer(data)
        if value is not None:
            argument["Data"] = value
        found = self.event(self.ask(method, argument, connection))
        want(found[0] == event, f"the step of event {event} was answered for {short(found[0])}")
        return found

    def finish(self, event: Any, data: Any) -> None:
        """Answer an event's callbacks until its end, each on a connection of its own."""
        for _ in range(1000):
            if data == "ret" or data["Method"] in ("kong.response.exit", "kong.response.error"):
                return
            event, data = self.step(event, data)
        raise Wrong("the event made a thousand callbacks")

    def answer(self, data: Any) -> Any:
        """What Kong answers to a callback."""
        gateway = Gateway(self.server)
        state = self.state(gateway)
        args, _ = lua.arguments(data.get("Args"), gateway.quirks)
        try:
            value = call_function(state, data["Method"], args)
        except (Exit, lua.LuaError):
            return None
        if value is MISSING or isinstance(value, Failure):
            return None
        return lua.sent(value, gateway.quirks)

    def state(self, gateway: Gateway) -> State:
        """A request's state in a Kong of its own."""
        service = gateway.service("service")
        state = State(gateway.node, Exchange("0" * 32, time.time(), make_request("GET", "/?a=1")))
        state.phase, state.service = self.phase, service
        state.route = gateway.route("/", service=service)
        return state


def at_once(number: int, one: Callable[[], object]) -> None:
    """Do the same on so many threads.

    :param one: what each does; it raises when a server did not do its part.
    :raises Wrong: when that failed on any of them.
    """
    failures: list[str] = []

    def run() -> None:
        try:
            one()
        except (Wrong, RemoteError, NoAnswer, lua.LuaError) as error:
            failures.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    want(not failures, f"{len(failures)} of {number} failed, the first: {failures[:1]}")
