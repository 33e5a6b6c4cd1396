"""A plugin server made of Python generators, to test the simulated Kong without a real one.

A handler is a generator function: it yields ``(function, *args)`` for each callback and gets what Kong
sent back; a :class:`Failed` is thrown into it for a ``StepError``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator
from typing import Any

from pluginserver.spec.protocols import MSGPACK
from pluginserver.testing.transports.base import HandlerFailure, nothing
from pluginserver.testing.transports.protobuf import Calls
from pluginserver.testing.transports.wire import NoAnswer, RemoteError

Handler = Callable[[], Generator[tuple[Any, ...], Any, None]]


class Failed(Exception):
    """What a handler gets for a ``StepError``."""


def does(*calls: tuple[Any, ...]) -> Handler:
    """A handler that makes these calls, one after another."""

    def handler() -> Generator[tuple[Any, ...], Any, None]:
        for function, *args in calls:
            yield function, *args

    return handler


class Scripted:
    """A transport to a plugin server whose plugins are generators.

    :param plugins: for each name its handlers by phase.
    """

    def __init__(self, **plugins: dict[str, Handler]) -> None:
        self.plugins = plugins
        self.timeout = 5.0
        self.on_notification: Callable[[Any, Any], None] = lambda _label, _argument: None
        self.calls: list[tuple[Any, Any]] = []
        self.priorities: dict[str, int] = {}
        self.schemas: dict[str, dict[str, Any]] = {}
        self.restarts = 0
        self.abandoned: list[int] = []
        self.closed = False
        self._ids = itertools.count(1)
        self._instances: dict[int, str] = {}
        self._events: dict[int, Generator[tuple[Any, ...], Any, None]] = {}

    @property
    def methods(self) -> list[Any]:
        return [method for method, _ in self.calls]

    def load(self, source: Any) -> str:
        return str(source)

    def protocol(self, _plugin: str) -> str:
        return MSGPACK

    @property
    def protobuf(self) -> Calls:
        raise AssertionError("a script speaks MsgPack:1")

    def call(self, method: Any, argument: Any) -> Any:
        self.calls.append((method, argument))
        match method:
            case "plugin.GetPluginInfo":
                return self._describe(argument)
            case "plugin.StartInstance":
                number = next(self._ids)
                self._instances[number] = argument["Name"]
                return {"Name": argument["Name"], "Id": number, "Config": {}, "StartTime": 0}
            case "plugin.CloseInstance":
                if self._instances.pop(argument, None) is None:
                    raise RemoteError(f"No plugin instance {argument}")
                return {"Id": argument}
            case "plugin.HandleEvent":
                return self._begin(argument)
            case _:
                return self._step(method, argument)

    def _describe(self, name: str) -> Any:
        if name not in self.plugins:
            raise RemoteError(f"no plugin {name}")
        return {
            "Name": name,
            "Version": "1.0.0",
            "Priority": self.priorities.get(name, 0),
            "Phases": list(self.plugins[name]),
            "Schema": self.schemas.get(name, {}),
        }

    def _begin(self, argument: dict[str, Any]) -> Any:
        name = self._instances.get(argument["InstanceId"])
        if name is None:
            raise RemoteError(f"No plugin instance {argument['InstanceId']}")
        event_id = next(self._ids)
        self._events[event_id] = self.plugins[name][argument["EventName"]]()
        return self._advance(event_id, next)

    def _step(self, method: Any, argument: dict[str, Any]) -> Any:
        event_id = argument["EventId"]
        if event_id not in self._events:
            raise RemoteError(f"No running event {event_id}")
        data = argument.get("Data")
        if method == "plugin.StepError":
            return self._advance(event_id, lambda handler: handler.throw(Failed(data)))
        return self._advance(event_id, lambda handler: handler.send(data))

    def _advance(self, event_id: int, act: Callable[[Any], Any]) -> Any:
        try:
            function, *args = act(self._events[event_id])
        except StopIteration:
            del self._events[event_id]
            return {"EventId": event_id, "Data": "ret"}
        except Failed as error:
            del self._events[event_id]
            raise RemoteError(f"failed: {error}") from None
        if isinstance(function, BaseException):
            raise function
        return {"EventId": event_id, "Data": {"Method": function, "Args": args or None}}

    def break_off(self, method: Any, argument: Any) -> None:
        self.calls.append((method, argument))
        raise NoAnswer("closed")

    def abandon(self, event_id: int) -> None:
        self.abandoned.append(event_id)

    def handler_failures(self) -> list[HandlerFailure]:
        return []

    def restart(self, meanwhile: Callable[[], None] = nothing) -> None:
        meanwhile()
        self.restarts += 1
        self._instances.clear()
        self._events.clear()
        self.on_notification("serverPid", self.restarts)

    def reload(self, overlap: Callable[[], None] = nothing) -> None:
        overlap()

    def close(self) -> None:
        self.closed = True
