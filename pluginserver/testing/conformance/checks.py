"""The checks of the conformance suite: what Kong's protocol asks of a plugin server.

Rules kept here:

* a check knows nothing of the one before it, and leaves the server as it found it;
* it says what it saw and what it wanted, in one sentence;
* every check ends: whatever the server does, an answer is waited for only so long.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs

from .. import pdk
from ..gateway import Gateway
from ..kong import lua
from ..kong.messages import make_request
from ..kong.state import Exit, Failure, State
from ..record.exchange import Exchange
from ..transports.base import GatewayError
from ..transports.sockets import Command, Socket
from ..transports.wire import Connection, NoAnswer, RemoteError, encode

PHASES: Final = ("certificate", "rewrite", "access", "response", "preread", "log")
STEPS: Final = (
    "Step",
    "StepError",
    "StepMultiMap",
    "StepCredential",
    "StepRoute",
    "StepService",
    "StepConsumer",
    "StepMemoryStats",
)
NO_ID: Final = 987_654_321
"""An id that no instance and no event has."""


class Wrong(Exception):
    """The server does something else than it should; the text says what."""


class Skipped(Exception):
    """The check does not apply; the text says why."""


@attrs.frozen
class Check:
    """One check.

    :param group: what it belongs to.
    :param level: ``"must"``: Kong needs it; ``"should"``: a good server does it.
    :param text: what holds when it is ok.
    :param run: raises :class:`Wrong` when it does not hold, :class:`Skipped` when it does not apply.
    """

    group: str
    level: str
    text: str
    run: Callable[[Probe], None]


CHECKS: list[Check] = []
"""All checks, in the order in which they are run."""


def _check(group: str, level: str, text: str) -> Callable[[Callable[[Probe], None]], None]:
    def enter(run: Callable[[Probe], None]) -> None:
        CHECKS.append(Check(group, level, text, run))

    return enter


def _want(holds: bool, text: str) -> None:
    if not holds:
        raise Wrong(text)


def short(value: Any) -> str:
    """A value's ``repr``, cut."""
    return f"{value!r:.100}"


@attrs.define(eq=False)
class Probe:
    """The server under test.

    :param server: the way to it.
    :param plugin: the name of a plugin that it has.
    :param config: a configuration for that plugin.
    :param phase: a phase in which the plugin makes a callback at the least.
    :param phases: all phases of the plugin.
    """

    server: Socket
    plugin: str
    config: dict[str, Any]
    phase: str
    phases: frozenset[str]
    _message_ids: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))
    _instances: list[Any] = attrs.field(factory=list)

    @classmethod
    def of(
        cls, server: Socket, plugin: str | None, config: dict[str, Any], phase: str | None = None
    ) -> Probe:
        """A probe with what is not given asked of the server.

        :raises GatewayError: when the server has no plugin, or the plugin no such phase.
        """
        if plugin is None:
            plugins = server.call("plugin.GetStatus", "")["Plugins"]
            if not plugins:
                raise GatewayError("the server has loaded no plugin: name one with --plugin")
            plugin = sorted(plugins)[0]
        phases = frozenset(server.call("plugin.GetPluginInfo", plugin)["Phases"])
        if phase is None:
            answering = [one for one in ("access", "rewrite", "log", *PHASES) if one in phases]
            phase = answering[0] if answering else ""
        if phase not in phases:
            raise GatewayError(f"the plugin {plugin} has no phase {phase or 'at all'}")
        return cls(server, plugin, config, phase, phases)

    # -- talking

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection of its own."""
        connection = Connection(str(self.server.path), self.server.timeout)
        try:
            yield connection
        finally:
            connection.close()

    def request(self, method: Any, argument: Any) -> tuple[int, bytes]:
        """A request's message id and bytes."""
        message_id = next(self._message_ids)
        return message_id, encode([0, message_id, method, [argument]])

    def reply(self, connection: Connection) -> tuple[Any, Any, Any]:
        """The next response's message id, error and result; notifications are passed over."""
        while True:
            message = connection.receive(self.server.timeout)
            _want(isinstance(message, list) and bool(message), f"{short(message)} is no frame")
            if message[0] == 2:
                continue
            _want(message[0] == 1 and len(message) == 4, f"{short(message)} is no response")
            return message[1], message[2], message[3]

    def ask(self, method: Any, argument: Any, connection: Connection | None = None) -> Any:
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
        _want(answered == message_id, f"the answer to {message_id} has the id {short(answered)}")
        if error is not None:
            _want(isinstance(error, (str, bytes)), f"the error {short(error)} is no string")
            raise RemoteError(lua.received(error))
        return result

    def error(self, method: Any, argument: Any, connection: Connection | None = None) -> str:
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
            _want(found == text, f"the error is {found!r} instead of {text!r}")
            self.ask("plugin.GetStatus", "", connection)

    def alive(self) -> None:
        """The server must run an event to its end."""
        self.finish(*self.begin(self.start()))

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
        instance = self.ask("plugin.StartInstance", argument)["Id"]
        self._instances.append(instance)
        return instance

    def close(self, instance: Any) -> Any:
        """Close an instance."""
        if instance in self._instances:
            self._instances.remove(instance)
        return self.ask("plugin.CloseInstance", instance)

    def tidy(self) -> None:
        """Close what a check has left open."""
        while self._instances:
            try:
                self.close(self._instances[-1])
            except (RemoteError, NoAnswer, Wrong, lua.LuaError):
                pass

    def begin(self, instance: Any, connection: Connection | None = None) -> tuple[Any, Any]:
        """Start an event.

        :returns: its id, and its data: a callback, or ``"ret"``.
        """
        argument = {"EventName": self.phase, "InstanceId": instance}
        return self.event(self.ask("plugin.HandleEvent", argument, connection))

    def event(self, result: Any) -> tuple[Any, Any]:
        """The id and the data of an event's answer, which must have the right shape."""
        _want(isinstance(result, dict), f"the answer {short(result)} is no map")
        _want({"EventId", "Data"} <= result.keys(), f"the answer has the keys {sorted(result)}")
        data = result["Data"]
        if data == "ret":
            return result["EventId"], data
        _want(
            isinstance(data, dict) and isinstance(data.get("Method"), str),
            f"Data is {short(data)}, neither a callback nor 'ret'",
        )
        _want(
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
        connection: Connection | None = None,
        method: Any = "plugin.Step",
    ) -> tuple[Any, Any]:
        """Answer a callback with what Kong would."""
        argument = {"EventId": event}
        value = self.answer(data)
        if value is not None:
            argument["Data"] = value
        found = self.event(self.ask(method, argument, connection))
        _want(found[0] == event, f"the step of event {event} was answered for {short(found[0])}")
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
        service = gateway.service("service")
        state = State(gateway, Exchange("0" * 32, time.time(), make_request("GET", "/?a=1")))
        state.phase, state.service = self.phase, service
        state.route = gateway.route("/", service=service)
        args, _ = lua.arguments(data.get("Args"), gateway.quirks)
        try:
            value = pdk.call(state, data["Method"], args)
        except (Exit, lua.LuaError):
            return None
        if value is pdk.MISSING or isinstance(value, Failure):
            return None
        return lua.sent(value, gateway.quirks)


# -- what is told on connecting


@_check("connection", "must", "serverPid, if it is sent, is a bare number")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        connection.send(probe.request("plugin.GetStatus", "")[1], probe.server.timeout)
        message = connection.receive(probe.server.timeout)
        while message[0] == 2:
            if message[1] == "serverPid":
                number = isinstance(message[2], int) and not isinstance(message[2], bool)
                _want(number, f"serverPid is {short(message[2])}")
            message = connection.receive(probe.server.timeout)


@_check("connection", "should", "serverPid is sent on connecting")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        message = connection.receive(probe.server.timeout)
        _want(message[:2] == [2, "serverPid"], f"the first message is {short(message)}")


@_check("connection", "must", "a request is read one byte at a time")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        message_id, data = probe.request("plugin.GetPluginInfo", probe.plugin)
        for place in range(len(data)):
            connection.send(data[place : place + 1], probe.server.timeout)
        answered, error, _ = probe.reply(connection)
        _want((answered, error) == (message_id, None), f"the answer is {answered}, {error}")


@_check("connection", "should", "every one of several requests in one write is answered")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        requests = [probe.request("plugin.GetStatus", "") for _ in range(10)]
        connection.send(b"".join(data for _, data in requests), probe.server.timeout)
        answered = [probe.reply(connection)[0] for _ in requests]
        _want(sorted(answered) == [number for number, _ in requests], f"answered are {answered}")


@_check("connection", "must", "64 connections at once are served")
def _(probe: Probe) -> None:
    instance = probe.start()
    failures: list[str] = []

    def one() -> None:
        try:
            probe.finish(*probe.begin(instance))
        except (Wrong, RemoteError, NoAnswer, lua.LuaError) as error:
            failures.append(str(error))

    threads = [threading.Thread(target=one) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _want(not failures, f"{len(failures)} of 64 failed, the first: {failures[:1]}")


@_check("connection", "must", "a connection closed in mid-request harms nobody")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        _, data = probe.request("plugin.GetPluginInfo", probe.plugin)
        connection.send(data[: len(data) // 2], probe.server.timeout)
    with probe.connection() as connection:
        connection.send(data, probe.server.timeout)
    probe.alive()


def _closes(probe: Probe, data: bytes) -> None:
    """What is no request must end its own connection, and that one alone."""
    with probe.connection() as other:
        with probe.connection() as connection:
            connection.send(data, probe.server.timeout)
            try:
                while True:
                    connection.receive(probe.server.timeout)
            except NoAnswer as end:
                _want(not end.timed_out, "the connection is neither answered nor closed")
        probe.ask("plugin.GetStatus", "", other)


@_check("connection", "should", "bytes that are no MessagePack close their connection alone")
def _(probe: Probe) -> None:
    _closes(probe, b"\xc1")


@_check("connection", "should", "frames that are no request close their connection alone")
def _(probe: Probe) -> None:
    for frame in ([], [0, 1, "plugin.GetStatus"], [9, 1, "plugin.GetStatus", [""]], "x", 5):
        _closes(probe, encode(frame))


# -- methods


@_check("methods", "must", "GetPluginInfo describes the plugin")
def _(probe: Probe) -> None:
    info = probe.ask("plugin.GetPluginInfo", probe.plugin)
    _want(info["Name"] == probe.plugin, f"Name is {short(info['Name'])}")
    _want(isinstance(info["Version"], str), f"Version is {short(info['Version'])}")
    _want(isinstance(info["Priority"], int), f"Priority is {short(info['Priority'])}")
    _want(set(info["Phases"]) <= set(PHASES), f"Phases is {short(info['Phases'])}")
    schema = info["Schema"]
    _want(schema["name"] == probe.plugin, f"Schema.name is {short(schema['name'])}")
    records = [field["config"] for field in schema["fields"] if "config" in field]
    _want(len(records) == 1, f"Schema has {len(records)} fields named config")
    _want(records[0]["type"] == "record", f"config has the type {short(records[0]['type'])}")
    fields = records[0]["fields"]
    one_key = isinstance(fields, list) and all(len(field) == 1 for field in fields)
    _want(one_key, "config.fields is no list of maps with one key each")


@_check("methods", "must", "GetPluginInfo of an unknown plugin is an error")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        probe.error("plugin.GetPluginInfo", "no-such-plugin", connection)
        probe.ask("plugin.GetPluginInfo", probe.plugin, connection)


@_check("methods", "must", "GetStatus tells of plugins and instances, whatever its argument")
def _(probe: Probe) -> None:
    instance = probe.start()
    arguments: tuple[Any, ...] = ("", None, 0, {}, [])
    for argument in arguments:
        status = probe.ask("plugin.GetStatus", argument)
        _want(isinstance(status["Pid"], int), f"Pid is {short(status['Pid'])}")
        plugin = status["Plugins"][probe.plugin]
        for key in ("Modtime", "LoadTime", "LastStartInstance", "LastCloseInstance"):
            _want(isinstance(plugin[key], int), f"{key} is {short(plugin[key])}, no integer")
        found = [one for one in plugin["Instances"] if one["Id"] == instance]
        _want(len(found) == 1, f"instance {instance} is there {len(found)} times")


@_check("methods", "must", "StartInstance takes a JSON text as str and as bin")
def _(probe: Probe) -> None:
    text = probe.config_text()
    for config in (text, text.encode()):
        status = probe.ask("plugin.StartInstance", {"Name": probe.plugin, "Config": config})
        probe._instances.append(status["Id"])
        _want(status["Name"] == probe.plugin, f"Name is {short(status['Name'])}")
        _want(isinstance(status["Id"], int), f"Id is {short(status['Id'])}")
        _want(isinstance(status["StartTime"], int), f"StartTime is {short(status['StartTime'])}")
        _want("Config" in status, "there is no Config")


@_check("methods", "must", "unknown keys are ignored")
def _(probe: Probe) -> None:
    argument = {"Name": probe.plugin, "Config": probe.config_text(), "Unknown": [1, {"a": None}]}
    probe._instances.append(probe.ask("plugin.StartInstance", argument)["Id"])


@_check("methods", "must", "InstanceStatus and CloseInstance tell of the instance")
def _(probe: Probe) -> None:
    instance = probe.start()
    for status in (probe.ask("plugin.InstanceStatus", instance), probe.close(instance)):
        _want(
            status["Name"] == probe.plugin and status["Id"] == instance,
            f"the status is {short(status)}",
        )
    probe.refuses("plugin.InstanceStatus", instance, f"No plugin instance {instance}")


@_check("methods", "must", "ids are integers that a double holds exactly")
def _(probe: Probe) -> None:
    event, data = probe.begin(probe.start())
    probe.finish(event, data)
    for number in (probe.start(), event):
        _want(isinstance(number, int) and 0 <= number < lua.EXACT, f"the id is {short(number)}")


@_check("methods", "should", "an instance's id is not used again")
def _(probe: Probe) -> None:
    first = probe.start()
    probe.close(first)
    _want(probe.start() != first, f"the id {first} was given out again")


@_check("methods", "should", "ids are not those of the run before")
def _(probe: Probe) -> None:
    if not isinstance(probe.server, Command):
        raise Skipped("the server is not ours to restart")
    before = probe.start()
    probe.server.restart()
    after = probe.start()
    _want(after != before, f"both runs began with the id {before}")


@_check("methods", "must", "SetPluginDir answers 'ok'")
def _(probe: Probe) -> None:
    if not isinstance(probe.server, Command):
        raise Skipped("the server is somebody else's: its directory stays")
    with tempfile.TemporaryDirectory() as directory:
        answer = probe.ask("plugin.SetPluginDir", directory)
        _want(answer == "ok", f"the answer is {short(answer)}")
        probe.start()
    probe.server.restart()


@_check("methods", "should", "SetPluginDir refuses a directory that does not exist")
def _(probe: Probe) -> None:
    if not isinstance(probe.server, Command):
        raise Skipped("the server is somebody else's: its directory stays")
    try:
        probe.error("plugin.SetPluginDir", "/no/such/directory")
    finally:
        probe.server.restart()


# -- errors


@_check("errors", "must", "an unknown instance is 'No plugin instance N'")
def _(probe: Probe) -> None:
    text = f"No plugin instance {NO_ID}"
    probe.refuses("plugin.InstanceStatus", NO_ID, text)
    probe.refuses("plugin.CloseInstance", NO_ID, text)
    probe.refuses("plugin.HandleEvent", {"EventName": probe.phase, "InstanceId": NO_ID}, text)


@_check("errors", "must", "a phase without a handler is 'undefined method P on plugin N'")
def _(probe: Probe) -> None:
    missing = [phase for phase in PHASES if phase not in probe.phases]
    if not missing:
        raise Skipped(f"{probe.plugin} has a handler for every phase")
    argument = {"EventName": missing[0], "InstanceId": probe.start()}
    probe.refuses(
        "plugin.HandleEvent", argument, f"undefined method {missing[0]} on plugin {probe.plugin}"
    )


@_check("errors", "must", "a step of an unknown event is 'No running event N'")
def _(probe: Probe) -> None:
    for step in STEPS:
        data: Any = "text" if step in ("Step", "StepError") else {}
        argument = {"EventId": NO_ID, "Data": data}
        probe.refuses(f"plugin.{step}", argument, f"No running event {NO_ID}")


@_check("errors", "must", "unknown methods and services are errors in Go's words")
def _(probe: Probe) -> None:
    probe.refuses("plugin.NoSuchMethod", "", "rpc: can't find method plugin.NoSuchMethod")
    probe.refuses("other.GetStatus", "", "rpc: can't find service other.GetStatus")
    probe.refuses("GetStatus", "", "rpc: service/method request ill-formed: GetStatus")


@_check("errors", "should", "names that look like internals are unknown methods")
def _(probe: Probe) -> None:
    for name in ("__init__", "__class__", "_start", "call"):
        probe.refuses(f"plugin.{name}", "", f"rpc: can't find method plugin.{name}")


@_check("errors", "must", "a configuration that is no JSON begins 'Decoding config: '")
def _(probe: Probe) -> None:
    for config in ("{", "nonsense", "[1"):
        found = probe.error("plugin.StartInstance", {"Name": probe.plugin, "Config": config})
        _want(found.startswith("Decoding config: "), f"the error is {found!r}")


@_check("errors", "must", "starting an unknown plugin is an error")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        argument = {"Name": "no-such-plugin", "Config": "{}"}
        found = probe.error("plugin.StartInstance", argument, connection)
        _want("no plugin instance" not in found.lower(), f"Kong would retry for ever on {found!r}")
        probe.ask("plugin.GetStatus", "", connection)


@_check("errors", "should", "arguments of the wrong type are errors, never silence")
def _(probe: Probe) -> None:
    instance = probe.start()
    for method, argument in (
        ("plugin.StartInstance", [1]),
        ("plugin.StartInstance", {"Name": 5, "Config": "{}"}),
        ("plugin.HandleEvent", "text"),
        ("plugin.HandleEvent", {"EventName": 5, "InstanceId": instance}),
        ("plugin.HandleEvent", {"EventName": probe.phase, "InstanceId": "x"}),
        ("plugin.InstanceStatus", "x"),
        ("plugin.CloseInstance", {}),
        ("plugin.GetPluginInfo", {}),
        ("plugin.Step", {"EventId": "x"}),
        ("plugin.Step", 5),
    ):
        probe.error(method, argument)


# -- events


@_check("events", "must", "an event runs to its end, each step on another connection")
def _(probe: Probe) -> None:
    probe.alive()


@_check("events", "must", "an event survives the connection that it began on")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        event, data = probe.begin(probe.start(), connection)
    probe.finish(event, data)


@_check("events", "must", "events of one instance run at once")
def _(probe: Probe) -> None:
    instance = probe.start()
    events = [probe.begin(instance) for _ in range(20)]
    _want(len({event for event, _ in events}) == 20, "two events have one id")
    for event, data in reversed(events):
        probe.finish(event, data)


@_check("events", "must", "an event that is over takes no more steps")
def _(probe: Probe) -> None:
    event, data = probe.begin(probe.start())
    probe.finish(event, data)
    if data != "ret" and data["Method"].startswith("kong.response."):
        raise Skipped("the event ended with an exit, which some servers wait for")
    probe.refuses("plugin.Step", {"EventId": event}, f"No running event {event}")


@_check("events", "must", "running events go on when their instance is closed")
def _(probe: Probe) -> None:
    instance = probe.start()
    event, data = probe.begin(instance)
    probe.close(instance)
    probe.finish(event, data)
    argument = {"EventName": probe.phase, "InstanceId": instance}
    probe.refuses("plugin.HandleEvent", argument, f"No plugin instance {instance}")


@_check("events", "must", "a StepError does no harm")
def _(probe: Probe) -> None:
    event, _ = probe.first_callback()
    try:
        argument = {"EventId": event, "Data": "injected"}
        found = probe.event(probe.ask("plugin.StepError", argument))
        probe.finish(*found)
    except RemoteError:
        pass
    probe.alive()


@_check("events", "must", "a step without Data is nil")
def _(probe: Probe) -> None:
    event, _ = probe.first_callback()
    try:
        probe.finish(*probe.event(probe.ask("plugin.Step", {"EventId": event})))
    except RemoteError:
        pass
    probe.alive()


def _odd_method(probe: Probe, method: Any) -> None:
    event, data = probe.first_callback()
    probe.finish(*probe.step(event, data, method=method))


@_check("events", "should", "a step may come under any name (the quirk of _method)")
def _(probe: Probe) -> None:
    _odd_method(probe, "PUT")
    _odd_method(probe, "plugin.CloseInstance")


@_check("events", "should", "a step may come under a name that is a list (the quirk of _method)")
def _(probe: Probe) -> None:
    _odd_method(probe, ["a", "b"])


@_check("events", "must", "text that is no UTF-8 comes as str")
def _(probe: Probe) -> None:
    event, _ = probe.first_callback()
    argument = {"EventId": event, "Data": "caf\udce9"}
    try:
        probe.finish(*probe.event(probe.ask("plugin.Step", argument)))
    except RemoteError:
        pass
    probe.alive()


@_check("events", "should", "data of another type than the callback's gets an answer")
def _(probe: Probe) -> None:
    for method, data in (
        ("plugin.Step", {"a": {"b": [1, None, 2.5]}}),
        ("plugin.Step", b"\xff\x00"),
        ("plugin.Step", 2.0**60),
        ("plugin.StepMultiMap", {}),
        ("plugin.StepRoute", "no route"),
        ("plugin.StepMultiMap", {"a": "no list"}),
    ):
        event, _ = probe.first_callback()
        try:
            probe.finish(*probe.event(probe.ask(method, {"EventId": event, "Data": data})))
        except RemoteError:
            pass
    probe.alive()


@_check("events", "must", "of two steps for one event at once, at most one is taken")
def _(probe: Probe) -> None:
    event, data = probe.first_callback()
    value = probe.answer(data)
    argument = {"EventId": event, **({} if value is None else {"Data": value})}
    with probe.connection() as one, probe.connection() as two:
        for connection in (one, two):
            connection.send(probe.request("plugin.Step", argument)[1], probe.server.timeout)
        replies = [probe.reply(connection) for connection in (one, two)]
    taken = [result for _, error, result in replies if error is None]
    for result in taken[-1:]:
        if result["Data"] != "ret":
            try:
                probe.finish(*probe.event(result))
            except RemoteError:
                pass
    _want(bool(taken), f"none was taken: {short(replies)}")
    probe.alive()


@_check("events", "must", "events that Kong forgets keep nobody from going on")
def _(probe: Probe) -> None:
    instance = probe.start()
    for _ in range(300):
        probe.begin(instance)
    probe.alive()


@_check("events", "must", "a large answer of Kong comes through")
def _(probe: Probe) -> None:
    event, _ = probe.first_callback()
    argument = {"EventId": event, "Data": "x" * 2_000_000}
    try:
        probe.finish(*probe.event(probe.ask("plugin.Step", argument)))
    except RemoteError:
        pass
    probe.alive()


# -- the process


def _command(probe: Probe) -> Command:
    if not isinstance(probe.server, Command):
        raise Skipped("the server was not started by a command")
    return probe.server


@_check("process", "should", "SIGTERM ends it with status 0")
def _(probe: Probe) -> None:
    server = _command(probe)
    status = server.stop()
    server.start()
    _want(status == 0, f"the exit status is {status}")


@_check("process", "should", "the socket is gone after SIGTERM")
def _(probe: Probe) -> None:
    server = _command(probe)
    server.stop()
    left = os.path.exists(server.path)
    server.start()
    _want(not left, f"{server.path} is still there")


@_check("process", "must", "it starts where a killed one left its socket")
def _(probe: Probe) -> None:
    server = _command(probe)
    server.stop(kill=True)
    server.start()
    probe.alive()
