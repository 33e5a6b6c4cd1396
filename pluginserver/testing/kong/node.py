"""The data of one Kong node: what is set up on it, what it knows of itself, what it remembers.

A request's state, the PDK, the client, the phases and the face of the gateway all hold the same
:class:`Node`.  Rules kept here:

* a node knows no plugin server and runs no request: it is what those who do have in common;
* its collections may be changed at any time, also while requests run: each is read when it is
  needed;
* observers are called in the thread of their request.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias
from uuid import uuid4

from ..record.exchange import Exchange, LogLine
from . import secrets
from .faults import Faults
from .quirks import Quirks
from .router import Binding, Entity, rank
from .upstream import FakeUpstream, Upstream, echo
from .version import KongVersion

KEPT: Final = 1000
"""Exchanges and log lines that a gateway remembers."""

Observer: TypeAlias = "Callable[[str, Exchange, Any], None]"
"""Told what happens, when it does: the kind, the exchange, and the thing itself.

Kinds: ``"request"`` (the exchange begins), ``"run"`` and ``"ran"`` (a phase of a plugin begins, is
over: a :class:`~pluginserver.testing.Run`), ``"callback"`` (it is answered or throws: a
:class:`~pluginserver.testing.Callback`), ``"service"`` (a request leaves for the service: a
:class:`~pluginserver.testing.ServiceRequest`), ``"log"`` (a :class:`~pluginserver.testing.LogLine`),
``"response"`` (the client has its response, the log phase is to come: a
:class:`~pluginserver.testing.Response`), ``"end"`` (all is over: the exchange again).
"""


class Node:
    """One nginx worker of one Kong.

    :param quirks: which of Kong's habits are played.
    :param keep: how many exchanges and log lines are remembered.
    :param version: the Kong that it is; the newest that is open source unless given.
    """

    def __init__(
        self,
        quirks: Quirks | None = None,
        keep: int = KEPT,
        version: KongVersion | None = None,
    ) -> None:
        self.version = version or KongVersion.parse(None)
        self.quirks = quirks or Quirks()
        self.faults = Faults()
        self.observers: list[Observer] = []
        self.exchanges: deque[Exchange] = deque(maxlen=keep)
        self.all_logs: deque[LogLine] = deque(maxlen=keep)
        self.requests = 0

        self.bindings: list[Binding] = []
        self.routes: list[Entity] = []
        self.services_by_id: dict[str, Entity] = {}
        self.consumers: dict[str, Entity] = {}
        self.upstream = FakeUpstream(echo)
        self.upstreams: dict[str, Upstream] = {}
        self.service_upstreams: dict[str, Upstream] = {}
        """What stands behind the services that have an upstream of their own, by the service's id."""
        self.functions: dict[str, Callable[..., Any]] = {}
        self.vars: dict[str, Any] = {}
        self.ctx: dict[Any, Any] = {}
        self.shared: dict[Any, Any] = {}
        self.secrets: dict[str, str] = {}
        self.trusted_ips: list[str] = []
        self.workspace_id = str(uuid4())
        self.node_id = str(uuid4())
        self.cluster_id = str(uuid4())
        self.hostname = socket.gethostname()
        self.worker_pid = 1
        self.server_down = False
        """Whether a test has taken the plugin server down: what fails then is no plugin's bug."""
        self.log_prefixes: dict[str, str] = {}
        """The plugin that called each log function first, by the function's name."""
        self._lock = threading.Lock()

    # -- what happens

    def begin(self, exchange: Exchange) -> None:
        """Count a request and remember its record."""
        with self._lock:
            self.requests += 1
        self.exchanges.append(exchange)

    def notify(self, kind: str, exchange: Exchange, thing: Any) -> None:
        """Tell the observers."""
        for observer in self.observers:
            observer(kind, exchange, thing)

    def take_log(self, line: LogLine, exchange: Exchange) -> None:
        """Write a line to Kong's log."""
        exchange.logs.append(line)
        self.all_logs.append(line)
        self.notify("log", exchange, line)

    # -- what is set up

    def ordered(self) -> list[Binding]:
        """The bindings in the order in which Kong runs plugins."""
        return sorted(sorted(self.bindings, key=_name, reverse=True), key=_priority, reverse=True)

    def names_by_priority(self) -> list[str]:
        """The names of the plugins in the order in which Kong runs them."""
        return list(dict.fromkeys(binding.name for binding in self.ordered()))

    def applying(
        self, name: str, route: Entity | None, service: Entity | None, consumer: str | None
    ) -> Binding | None:
        """The configuration of a plugin that applies to a request, of several the most specific.

        :param consumer: the consumer's id.
        """
        fitting = [
            one
            for one in self.bindings
            if one.name == name
            and one.enabled
            and one.route in (None, route)
            and one.service in (None, service)
            and (one.consumer is None or one.consumer.id == consumer)
        ]
        return max(fitting, key=rank, default=None)

    def begin_worker(self) -> None:
        """Forget what an nginx worker keeps: another one has taken its place."""
        self.log_prefixes.clear()
        self.worker_pid += 1

    def upstream_of(self, service: Entity) -> Upstream | FakeUpstream:
        """What stands behind a service."""
        return self.service_upstreams.get(service.id, self.upstream)

    @property
    def fails_open(self) -> bool:
        """Whether a request goes on when its plugin's RPC fails in MsgPack:1."""
        habit = self.quirks.fail_open
        return self.version.fails_open if habit is None else habit

    def secret(self, reference: str) -> str | None:
        """The secret that a reference such as ``{vault://env/name}`` names, None when there is none."""
        return secrets.secret(self.secrets, reference)


def _name(binding: Binding) -> str:
    return binding.name


def _priority(binding: Binding) -> int:
    return binding.info.priority
