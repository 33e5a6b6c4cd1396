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
from typing import Any, Protocol

from ..errors import RPCError
from ..events.event import Event, Handler
from ..events.placement import Placement
from ..pdk import kong
from ..plugins.registry import Plugin


class Instance:
    """One plugin with one configuration.

    :param instance_id: the number that Kong names it by.
    :param plugin: the plugin's name.
    :param config: its public configuration, as JSON values.
    :param handlers: its handlers by phase.
    :param text: its configuration as Kong sent it.
    :param started: when it was started, in seconds since 1970; default: now.
    """

    __slots__ = ("_config", "handlers", "id", "plugin", "started", "text")

    def __init__(
        self,
        instance_id: int,
        plugin: str,
        config: Callable[[], dict[str, Any]],
        handlers: dict[str, Handler],
        text: str | bytes,
        started: int | None = None,
    ) -> None:
        self.id = instance_id
        self.plugin = plugin
        self.handlers = handlers
        self.text = text
        self.started = int(time.time()) if started is None else started
        self._config = config

    def status(self) -> dict[str, Any]:
        """What ``StartInstance``, ``InstanceStatus`` and ``CloseInstance`` answer."""
        return {
            "Name": self.plugin,
            "Id": self.id,
            "Config": self._config(),
            "StartTime": self.started,
        }


class Follower(Protocol):
    """Who is told of every instance that starts or is closed: a server that is about to take over."""

    def started(self, instance: Instance) -> None:
        """Told before Kong is.

        :raises RPCError: when the follower cannot start it.
        """

    def closed(self, instance_id: int) -> None:
        """Told before Kong is."""


class Instances:
    """The instances of one server.

    :param first_id: where their ids start.
    :param failed: told of every exception that a handler raises.
    """

    def __init__(self, first_id: int, failed: Callable[[Event, BaseException], None]) -> None:
        self.follower: Follower | None = None
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
        :raises RPCError: when the follower cannot start the same.
        """
        instance = self._start(plugin, config, None, None)
        if self.follower is not None:
            self.follower.started(instance)
        return instance

    def start_again(
        self, plugin: Plugin, config: str | bytes, instance_id: int, started: int
    ) -> None:
        """Start what another server has started; nothing is done for an id that is there already.

        :param started: when it was started there, in seconds since 1970.
        :raises ConfigError: when the configuration does not fit.
        """
        if instance_id not in self._by_id:
            self._start(plugin, config, instance_id, started)

    def _start(
        self, plugin: Plugin, config: str | bytes, instance_id: int | None, started: int | None
    ) -> Instance:
        configured = plugin.configure(config)
        with self._lock:
            number = next(self._ids) if instance_id is None else instance_id
            handlers = {
                phase: Handler(
                    plugin.name,
                    number,
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
            instance = Instance(
                number, plugin.name, configured.public_config, handlers, config, started
            )
            self._by_id[number] = instance
            self._last_start[plugin.name] = instance.started
        return instance

    def all(self) -> list[Instance]:
        """The instances that there are."""
        return list(self._by_id.values())

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
        if self.follower is not None:
            self.follower.closed(instance_id)
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
    return RPCError(f"No plugin instance {instance_id!r:.40}")
