"""The methods that a client can call, and how a request is understood.

Rules kept here:

* what is not in a table here cannot be called: no name from the wire ever reaches ``getattr``;
* str and bin are alike in names and keys, nil is the zero value, and keys that we do not know are
  ignored, as go-pluginserver does it;
* a *step* is known by its argument, not by its method: when a callback's result is a table with a
  key ``_method``, Kong sends that value, whatever it is, as the name of the method;
* every other mistake is an :class:`~pluginserver.errors.RPCError`: an answer, never a traceback.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from ..errors import MAX_TEXT, PDKError, RPCError, cut
from ..events.event import Event
from ..events.handler import Handler
from ..plugins.registry import Plugins
from ..runtime.requests import Peer, Request
from ..spec import methods as names
from ..spec.methods import HANDLE_EVENT, STEP_ERROR, STEPS
from . import replies
from .calls import Context, Control, EventCall, EventPong, new
from .clients import UNSEEN, Clients
from .frames import packer
from .instances import Instances, none
from .link import TAKE_OVER
from .shown import shown

MAX_NAME: Final = 4096
"""Characters of a plugin's name, a phase or a directory: what Linux takes for a path."""

_STEP_KEYS: Final = frozenset({"EventId", "Data"})


class Tasks(Protocol):
    """The events that wait for a step, and those that run."""

    @property
    def waiting(self) -> dict[int, Any]:
        """The events that wait for a step; to take one out is to claim it."""

    @property
    def pinged(self) -> dict[int, Any]:
        """The requests that wait for the step which answers a ping, by the event's number."""

    def is_running(self, number: int) -> bool:
        """Whether an event runs."""


class Predecessor(Protocol):
    """The server that this one has taken over from, in which events may still run."""

    def forward(self, peer: Peer, message_id: int, method: Any, argument: Any) -> bool:
        """Hand on a request that is about none of our events, and have its answer sent to ``peer``.

        :returns: False when it is not there any more.
        """


class Methods:
    """All that can be called, for one server.

    :param plugins: the server's plugins.
    :param instances: their instances.
    :param tasks: the events that steps can be for.
    :param ended: told of each event that is over, once, on the thread that owned it.
    :param clients: the processes that ask, when it is told which.
    :param fixed_directory: why no client may choose the plugins directory; None when one may.
    """

    def __init__(
        self,
        plugins: Plugins,
        instances: Instances,
        tasks: Tasks,
        ended: Callable[[Event], object] | None = None,
        clients: Clients | None = None,
        fixed_directory: str | None = None,
    ) -> None:
        self._plugins = plugins
        self._instances = instances
        self.tasks: Final = tasks
        """The events that wait for a step, and those that run."""
        self.claim: Final[Callable[[int, None], Any]] = tasks.waiting.pop
        """Takes an event that waits for a step; the second argument is what comes of none."""
        self.find: Final = instances.find
        self.ended: Final = ended
        self._clients = clients
        self._fixed_directory = fixed_directory
        self.turn_away: Callable[[Event], str] | None = None
        """Says why a new event is refused, and is told of it; None while they are served."""
        self.predecessor: Predecessor | None = None
        self.figures: Callable[[Callable[[dict[str, Any]], None]], None] | None = None
        """Gives what ``server.Status`` answers to its argument, once, on any thread; the leader calls."""
        self.take_over: Callable[[Peer, int, Any], None] | None = None
        """Answers who asks to take over; None when nobody may."""
        self._next_event_id = itertools.count(first_id()).__next__
        self._control: dict[str, Callable[[Any], object]] = {
            names.SET_PLUGIN_DIR: self._set_plugin_dir,
            names.GET_PLUGIN_INFO: self._get_plugin_info,
            names.GET_STATUS: self._get_status,
            names.INSTANCE_STATUS: self._instance_status,
            names.CLOSE_INSTANCE: self._close_instance,
        }

    def read(
        self, peer: Peer, message_id: int, method: Any, params: Any
    ) -> Request[Context] | None:
        """Understand a request, without doing anything yet; an event that it steps is claimed.

        :param peer: who is answered.
        :returns: the request, to be given to the thread that it is for; None when it has been answered.
        :raises RPCError: when it cannot be understood, or names what is not there.
        """
        if type(params) is not list and params is not None:
            raise RPCError(f"params must be an array of one argument, got {_shown(params)}")
        argument = params[0] if params else None
        if type(argument) is dict:
            if "EventId" in argument:
                if (type(method) is str and method in STEPS) or argument.keys() <= _STEP_KEYS:
                    return self._step(peer, message_id, method, argument)
            elif method == HANDLE_EVENT and "InstanceId" in argument:
                return self._start(peer, message_id, argument)
            elif bytes in map(type, argument):
                plain = {_text(key): value for key, value in argument.items()}
                return self.read(peer, message_id, _text(method), [plain])
        method = _text(method)
        if method == HANDLE_EVENT:
            return self._start(peer, message_id, _record(method, argument))
        if type(method) is str and method in STEPS:
            return self._step(peer, message_id, method, _record(method, argument))
        if method == TAKE_OVER and self.take_over is not None:
            self.take_over(peer, message_id, argument)
            return None
        if method == names.SERVER_STATUS and self.figures is not None:
            peer.expect()
            self.figures(partial(_answer, peer, message_id))
            return None
        function = self.control(method, peer.pid) if type(method) is str else None
        if function is None:
            raise _no_method(method)
        return Control(peer, message_id, function, argument)

    def _start(self, peer: Peer, message_id: int, argument: dict[Any, Any]) -> EventCall | None:
        instance_id = argument.get("InstanceId") or 0
        phase = argument.get("EventName") or ""
        if type(phase) is not str or len(phase) > MAX_NAME:
            phase = _string("EventName", phase)
        try:
            event = self.begin(instance_id, phase, self.ended)
        except TypeError:
            _integer("InstanceId", instance_id)
            raise
        call = EventCall.of(peer, message_id, event)
        if self.turn_away is not None:
            peer.send(call.refusal(self.turn_away(event)))
            event.end()
            return None
        return call

    def begin(
        self, instance_id: int, phase: str, ended: Callable[[Event], object] | None
    ) -> Event:
        """Make the event that a client begins; nothing is run yet.

        :param ended: told when it is over, on the thread that owned it.
        The caller asks :attr:`turn_away` afterwards; while that is set an instance that is closed is as good
        as another.

        :raises InstanceError: when there is no such instance, or it is retired, once.
        :raises RPCError: when it has no handler for that phase.
        :raises TypeError: for an argument that cannot be a key.
        """
        handler = self._instances.handler(instance_id, phase)
        event = self.enter(handler, ended)
        if handler.closed and self.turn_away is None:
            event.end()
            raise none(instance_id)
        return event

    def enter(self, handler: Handler, ended: Callable[[Event], object] | None) -> Event:
        """Make an event and put it among those of its handler; whether that is ``closed`` is to be looked at
        afterwards.

        :param ended: as in :meth:`begin`.
        """
        event = new(Event)
        Event.__init__(event, self._next_event_id(), handler, ended)
        handler.events[event] = None
        handler.used = True
        return event

    def control(self, method: str, pid: int) -> Callable[[Any], Any] | None:
        """What does the work of a method that is about no event; None when there is no such method.

        :param pid: the process that asks; 0 when the system does not show it.
        """
        if method == names.START_INSTANCE:
            return partial(self._start_instance, pid)
        return self._control.get(method)

    def _step(
        self, peer: Peer, message_id: int, method: Any, argument: dict[Any, Any]
    ) -> Request[Context] | None:
        event_id = argument.get("EventId") or 0
        data = argument.get("Data")
        if type(event_id) is not int:
            _integer("EventId", event_id)
        event: Event | None = self.claim(event_id, None)
        if event is None:
            pinged = self.tasks.pinged.pop(event_id, None)
            if pinged is not None:
                return EventPong(peer, message_id, pinged)
            if self.tasks.is_running(event_id):
                raise RPCError(f"event {event_id} is running: it does not wait for a step")
            if self.predecessor is not None and self.predecessor.forward(
                peer, message_id, method, argument
            ):
                return None
            raise RPCError(f"No running event {event_id}")
        if method == STEP_ERROR and (data is None or isinstance(data, (str, bytes))):
            error = PDKError(_text((data or "")[:MAX_TEXT]))
            return EventCall.of(peer, message_id, event, event.runner.throw, error)
        return EventCall.of(peer, message_id, event, event.runner.switch, data)

    def _set_plugin_dir(self, argument: Any) -> object:
        if self._fixed_directory is not None:
            raise RPCError(f"SetPluginDir is refused: {self._fixed_directory}")
        self._plugins.set_directory(_string("the directory", argument))
        return "ok"

    def _get_plugin_info(self, argument: Any) -> object:
        return self._plugins.get(_string("the plugin's name", argument)).describe()

    def _get_status(self, _argument: Any) -> object:
        return {
            "Pid": os.getpid(),
            "Plugins": {
                plugin.name: {
                    "Name": plugin.name,
                    "Modtime": int(plugin.modtime),
                    "LoadTime": int(plugin.load_time),
                    **self._instances.of_plugin(plugin.name),
                }
                for plugin in self._plugins.all()
            },
        }

    def _start_instance(self, pid: int, argument: Any) -> object:
        record = _record("plugin.StartInstance", argument)
        name = _string("Name", record.get("Name"))
        plugin = self._plugins.get(name)
        config = record.get("Config")
        if config is not None and not isinstance(config, (str, bytes)):
            raise RPCError(f"Decoding config: a JSON text is wanted, got {_shown(config)}")
        client = UNSEEN if self._clients is None else self._clients.get(pid)
        instance = self._instances.start(plugin, config or "{}", client)
        now = self._plugins.get(name)
        if now is not plugin:
            self._instances.retire([now])
        return instance.status()

    def _instance_status(self, argument: Any) -> object:
        return self._instances.get(_integer("the instance's id", argument)).status()

    def _close_instance(self, argument: Any) -> object:
        return self._instances.close(_integer("the instance's id", argument)).status()


def _answer(peer: Peer, message_id: int, value: Any) -> None:
    """Send the result of a request that was counted."""
    peer.answer(replies.result(packer(), message_id, value))


def first_id() -> int:
    """A number that no earlier run of any server used for an id, below 2**53 until the year 2255.

    Kong may remember ids of a run before a crash; counting from zero, as go-pluginserver does,
    lets a stale id reach another configuration's instance.
    """
    return time.time_ns() // 1000


def _no_method(method: Any) -> RPCError:
    if not isinstance(method, str):
        return RPCError(f"rpc: service/method request ill-formed: {_shown(method)}")
    method = cut(method)
    service, dot, _ = method.rpartition(".")
    if not dot:
        return RPCError(f"rpc: service/method request ill-formed: {method}")
    if service != "plugin":
        return RPCError(f"rpc: can't find service {method}")
    return RPCError(f"rpc: can't find method {method}")


def _text(value: Any) -> Any:
    """A str for bytes; anything else as it is."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value


def _record(method: str, argument: Any) -> dict[Any, Any]:
    if argument is None:
        return {}
    if not isinstance(argument, dict):
        raise RPCError(f"{method} takes a map, got {_shown(argument)}")
    return argument


def _string(what: str, value: Any) -> str:
    value = "" if value is None else _text(value)
    if not isinstance(value, str):
        raise RPCError(f"{what} must be a string, got {_shown(value)}")
    if len(value) > MAX_NAME:
        raise RPCError(f"{what} is {len(value)} characters long, and {MAX_NAME} are the most")
    return value


def _integer(what: str, value: Any) -> int:
    if value is None:
        return 0
    if type(value) is not int:
        raise RPCError(f"{what} must be an integer, got {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    return f"{shown(value, 80)} ({type(value).__name__})"
