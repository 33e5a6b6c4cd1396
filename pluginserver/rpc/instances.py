"""Instances: plugins configured by Kong, each an object with an id that lives across events.

Rules kept here:

* an instance exists from the answer to ``StartInstance`` to ``CloseInstance``, whatever becomes of
  the connection that it was asked for on; events that run when it is closed go on to their end;
* an id is never used twice, not even by a later run of the server;
* looking up a handler takes no lock: every event does it.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import RPCError
from ..events.event import Event, Handler
from ..events.placement import Placement
from ..pdk import kong
from ..plugins.registry import Plugin
from .shown import shown


class Instance:
    """One plugin with one configuration.

    :param instance_id: the number that Kong names it by.
    :param plugin: the plugin's name.
    :param config: its public configuration, as JSON values.
    :param handlers: its handlers by phase.
    """

    __slots__ = ("_config", "handlers", "id", "plugin", "started")

    def __init__(
        self,
        instance_id: int,
        plugin: str,
        config: Callable[[], dict[str, Any]],
        handlers: dict[str, Handler],
    ) -> None:
        self.id = instance_id
        self.plugin = plugin
        self.handlers = handlers
        self.started = int(time.time())
        self._config = config

    def status(self) -> dict[str, Any]:
        """What ``StartInstance``, ``InstanceStatus`` and ``CloseInstance`` answer."""
        return {
            "Name": self.plugin,
            "Id": self.id,
            "Config": self._config(),
            "StartTime": self.started,
        }


class Instances:
    """The instances of one server.

    :param first_id: where their ids start.
    :param failed: told of every exception that a handler raises.
    """

    def __init__(self, first_id: int, failed: Callable[[Event, BaseException], None]) -> None:
        self._ids = itertools.count(first_id)
        self._failed = failed
        self._lock = threading.Lock()
        self._by_id: dict[int, Instance] = {}
        self._placements: dict[tuple[str, str], Placement] = {}
        self._last_start: dict[str, int] = {}
        self._last_close: dict[str, int] = {}

    def start(self, plugin: Plugin, config: str | bytes) -> Instance:
        """Configure a plugin.

        :param config: a JSON object.
        :raises ConfigError: when the configuration does not fit; nothing is started then.
        """
        configured = plugin.configure(config)
        with self._lock:
            instance_id = next(self._ids)
            handlers = {
                phase: Handler(
                    plugin.name,
                    instance_id,
                    phase,
                    partial(method, kong),
                    self._failed,
                    fail_open=plugin.on_error == "continue",
                    placement=self._placements.setdefault(
                        (plugin.name, phase), Placement(plugin.threads)
                    ),
                )
                for phase, method in configured.handlers().items()
            }
            instance = Instance(instance_id, plugin.name, configured.public_config, handlers)
            self._by_id[instance_id] = instance
            self._last_start[plugin.name] = instance.started
        return instance

    def get(self, instance_id: int) -> Instance:
        """The instance with that id.

        :raises RPCError: when there is none, in the words that make Kong start a new one.
        """
        try:
            return self._by_id[instance_id]
        except KeyError:
            raise _none(instance_id) from None

    def handler(self, instance_id: int, phase: str) -> Handler:
        """The handler of one phase of one instance.

        :raises RPCError: when there is no such instance, or it has no such handler.
        :raises TypeError: for an argument that cannot be a key.
        """
        instance = self._by_id.get(instance_id)
        if instance is None:
            raise _none(instance_id)
        handler = instance.handlers.get(phase)
        if handler is None:
            raise RPCError(f"undefined method {phase} on plugin {instance.plugin}")
        return handler

    def close(self, instance_id: int) -> Instance:
        """Take an instance out; what runs goes on.

        :returns: the instance as it was.
        :raises RPCError: when there is none.
        """
        with self._lock:
            instance = self._by_id.pop(instance_id, None)
            if instance is None:
                raise _none(instance_id)
            self._last_close[instance.plugin] = int(time.time())
        return instance

    def of_plugin(self, name: str) -> dict[str, Any]:
        """The part of ``GetStatus`` that tells of one plugin's instances; times are seconds, 0 for
        never."""
        return {
            "Instances": [
                instance.status()
                for instance in list(self._by_id.values())
                if instance.plugin == name
            ],
            "LastStartInstance": self._last_start.get(name, 0),
            "LastCloseInstance": self._last_close.get(name, 0),
        }


def _none(instance_id: object) -> RPCError:
    return RPCError(f"No plugin instance {shown(instance_id, 40)}")
