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

import os
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from ..errors import PluginServerError, RPCError
from ..plugins.registry import Plugins
from .instances import Instances

HANDLE_EVENT: Final = "plugin.HandleEvent"
STEP_ERROR: Final = "plugin.StepError"
STEPS: Final = frozenset(
    {
        "plugin.Step",
        STEP_ERROR,
        "plugin.StepMultiMap",
        "plugin.StepCredential",
        "plugin.StepRoute",
        "plugin.StepService",
        "plugin.StepConsumer",
        "plugin.StepMemoryStats",
    }
)
_STEP_KEYS: Final = frozenset({"EventId", "Data"})


class Kind(Enum):
    """What a request asks for; the comments say what comes with it."""

    START = 1  # the Handler to start, None
    STEP = 2  # the event's id, the callback's answer
    RAISE = 3  # the event's id, the text that the callback raises
    CONTROL = 4  # a function, its argument


START: Final = Kind.START
STEP: Final = Kind.STEP
RAISE: Final = Kind.RAISE
CONTROL: Final = Kind.CONTROL


class Methods:
    """All that can be called, for one server.

    :param plugins: the server's plugins.
    :param instances: their instances.
    """

    def __init__(self, plugins: Plugins, instances: Instances) -> None:
        self._plugins = plugins
        self._instances = instances
        self._control: dict[str, Callable[[Any], object]] = {
            "plugin.SetPluginDir": self._set_plugin_dir,
            "plugin.GetPluginInfo": self._get_plugin_info,
            "plugin.GetStatus": self._get_status,
            "plugin.StartInstance": self._start_instance,
            "plugin.InstanceStatus": self._instance_status,
            "plugin.CloseInstance": self._close_instance,
        }

    def read(self, method: Any, params: Any) -> tuple[Kind, Any, Any]:
        """Understand a request, without doing anything yet.

        :returns: its kind, and what :class:`Kind` says of it.
        :raises RPCError: when it cannot be understood, or names an instance that is not there.
        """
        if type(params) is not list and params is not None:
            raise RPCError(f"params must be an array of one argument, got {_shown(params)}")
        argument = params[0] if params else None
        if type(argument) is dict:
            if "EventId" in argument:
                if (type(method) is str and method in STEPS) or argument.keys() <= _STEP_KEYS:
                    return _step(method, argument)
            elif method == HANDLE_EVENT and "InstanceId" in argument:
                return self._start(argument)
            elif bytes in map(type, argument):
                plain = {_text(key): value for key, value in argument.items()}
                return self.read(_text(method), [plain])
        method = _text(method)
        if method == HANDLE_EVENT:
            return self._start(_record(method, argument))
        if type(method) is str and method in STEPS:
            return _step(method, _record(method, argument))
        function = self._control.get(method) if type(method) is str else None
        if function is None:
            raise _no_method(method)
        return CONTROL, function, argument

    def _start(self, argument: dict[Any, Any]) -> tuple[Kind, Any, Any]:
        instance_id = argument.get("InstanceId") or 0
        phase = argument.get("EventName") or ""
        if type(phase) is not str:
            phase = _string("EventName", phase)
        try:
            return START, self._instances.handler(instance_id, phase), None
        except TypeError:
            _integer("InstanceId", instance_id)
            raise

    def _set_plugin_dir(self, argument: Any) -> object:
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

    def _start_instance(self, argument: Any) -> object:
        record = _record("plugin.StartInstance", argument)
        plugin = self._plugins.get(_string("Name", record.get("Name")))
        config = record.get("Config")
        if config is not None and not isinstance(config, (str, bytes)):
            raise RPCError(f"Decoding config: a JSON text is wanted, got {_shown(config)}")
        return self._instances.start(plugin, config or "{}").status()

    def _instance_status(self, argument: Any) -> object:
        return self._instances.get(_integer("the instance's id", argument)).status()

    def _close_instance(self, argument: Any) -> object:
        return self._instances.close(_integer("the instance's id", argument)).status()


def first_id() -> int:
    """A number that no earlier run of any server used for an id, below 2**53 until the year 2255.

    Kong may remember ids of a run before a crash; counting from zero, as go-pluginserver does,
    lets a stale id reach another configuration's instance.
    """
    return time.time_ns() // 1000


def control(function: Callable[[Any], object], argument: Any) -> object:
    """Call a control method.

    :raises RPCError: for every error that a client can cause.
    """
    try:
        return function(argument)
    except RPCError:
        raise
    except PluginServerError as error:
        raise RPCError(str(error)) from error


def _step(method: Any, argument: dict[Any, Any]) -> tuple[Kind, Any, Any]:
    event_id = argument.get("EventId") or 0
    data = argument.get("Data")
    if type(event_id) is not int:
        _integer("EventId", event_id)
    if method == STEP_ERROR and (data is None or isinstance(data, (str, bytes))):
        return RAISE, event_id, _text(data or "")
    return STEP, event_id, data


def _no_method(method: Any) -> RPCError:
    if not isinstance(method, str):
        return RPCError(f"rpc: service/method request ill-formed: {_shown(method)}")
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
    return value


def _integer(what: str, value: Any) -> int:
    if value is None:
        return 0
    if type(value) is not int:
        raise RPCError(f"{what} must be an integer, got {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    return f"{value!r:.80} ({type(value).__name__})"
