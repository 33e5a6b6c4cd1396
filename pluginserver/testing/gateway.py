"""The simulated gateway: Kong for a test, with plugins, routes and services set up by it.

A :class:`Gateway` is one nginx worker of one Kong.  It may be used by several threads at once, each
with a request of its own; over the in-process transport a request runs in its thread from the first
phase to the last.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final
from uuid import uuid4

from ..spec.validators import fault as schema_fault
from .kong.client import Bridge
from .kong.faults import Faults
from .kong.messages import Request, Response, ServiceRequest, make_request
from .kong.phases import HandshakeFailed, Life
from .kong.quirks import Quirks
from .kong.router import ROUTE_DEFAULTS, SERVICE_DEFAULTS, Binding, Entity, make
from .kong.state import State
from .kong.upstream import Upstream, echo
from .record.diagnostics import PluginBug
from .record.exchange import Callback, Exchange, LogLine
from .record.transcript import transcript
from .transports.base import GatewayError, PluginInfo, Source, Transport, describe
from .transports.connect import Server, connect

READ_TIMEOUT: Final = 60.0
"""Seconds: Kong's ``lua_socket_read_timeout``."""

KEPT: Final = 1000
"""Exchanges and log lines that a gateway remembers."""

Observer = Callable[[str, Exchange, Any], None]
"""Told what happens, when it does: the kind, the exchange, and the thing itself.

Kinds: ``"request"`` (the exchange begins), ``"run"`` and ``"ran"`` (a phase of a plugin begins, is
over: a :class:`~pluginserver.testing.Run`), ``"callback"`` (it is answered or throws: a
:class:`~pluginserver.testing.Callback`), ``"service"`` (a request leaves for the service: a
:class:`~pluginserver.testing.ServiceRequest`), ``"log"`` (a :class:`~pluginserver.testing.LogLine`),
``"response"`` (the client has its response, the log phase is to come: a
:class:`~pluginserver.testing.Response`), ``"end"`` (all is over: the exchange again).
"""


class Gateway:
    """A Kong to test plugins against.

    :param server: the plugin server: see :data:`~.transports.connect.Server`; or a transport.
    :param root: where relative paths of plugins begin.
    :param quirks: which of Kong's habits are played.
    :param timeout: how long an answer of a plugin may take, in seconds.
    :param raise_bugs: let :meth:`request` and its like raise :class:`PluginBug` when a plugin did
        something that fails behind Kong.
    :param keep: how many exchanges and log lines are remembered.
    """

    def __init__(
        self,
        server: Server | Transport = "in-process",
        *,
        root: str | os.PathLike[str] = ".",
        quirks: Quirks | None = None,
        timeout: float = READ_TIMEOUT,
        raise_bugs: bool = True,
        keep: int = KEPT,
    ) -> None:
        self.quirks = quirks or Quirks()
        self.raise_bugs = raise_bugs
        self.transport: Transport = (
            connect(server, root=root, quirks=self.quirks, timeout=timeout)
            if isinstance(server, (str, os.PathLike, Sequence))
            else server
        )
        self.faults = Faults()
        self.observers: list[Observer] = []
        """Called with everything that happens, in the thread of its request."""
        self.exchanges: deque[Exchange] = deque(maxlen=keep)
        """The last exchanges, the latest at the end."""
        self.logs: deque[LogLine] = deque(maxlen=keep)
        """Kong's log: the lines of all exchanges."""
        self.requests = 0
        """How many requests there were."""

        self.bindings: list[Binding] = []
        self.routes: list[Entity] = []
        self.services_by_id: dict[str, Entity] = {}
        self.consumers: dict[str, Entity] = {}
        """The consumers by id."""
        self.upstream: Upstream = echo
        """What stands behind every service that has no upstream of its own."""
        self.upstreams: dict[str, Upstream] = {}
        """Upstream entities by name, for ``kong.service.set_upstream``."""
        self.functions: dict[str, Callable[..., Any]] = {}
        """PDK functions of your own by full name, called with the arguments; they come before Kong's."""
        self.vars: dict[str, Any] = {}
        """nginx variables, for ``kong.nginx.get_var``; they come before Kong's own."""
        self.ctx: dict[Any, Any] = {}
        """What ``kong.nginx.get_ctx`` finds at the beginning of each request."""
        self.shared: dict[Any, Any] = {}
        """What ``kong.ctx.shared`` holds at the beginning of each request."""
        self.vault: dict[str, str] = {}
        """Secrets, as ``{"env/my-secret": "value"}`` for ``{vault://env/my-secret}``."""
        self.trusted_ips: list[str] = []
        """Addresses and networks whose ``X-Forwarded-*`` headers are believed."""
        self.workspace_id = str(uuid4())
        self.node_id = str(uuid4())
        self.cluster_id = str(uuid4())
        self.hostname = socket.gethostname()
        self.worker_pid = 1
        self._upstreams_of: dict[str, Upstream] = {}
        self._lock = threading.Lock()
        self._bridge = Bridge(self)
        self.transport.on_notification = self._bridge.notified

    def __enter__(self) -> Gateway:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the plugins' instances and let go of the plugin server."""
        self._bridge.close_all()
        self.transport.close()

    # -- setting up

    def plugin(self, source: Source, /, **config: Any) -> Binding:
        """Put a plugin on the gateway: every request meets it.

        To put it on a route, a service or a consumer, call ``plugin`` of that.

        :param source: the path of the plugin's file or package, relative to the gateway's root; a
            module; a class; or, for a server that is not ours, the plugin's name.
        :param config: its configuration, completed with the schema's defaults as Kong does.
        :returns: what can be configured anew or removed.
        :raises GatewayError: when there is no such plugin, or the configuration does not fit.
        """
        return self.bind(source, config)

    def bind(
        self,
        source: Source,
        config: Mapping[str, Any] | None = None,
        *,
        route: Entity | None = None,
        service: Entity | None = None,
        consumer: Entity | None = None,
    ) -> Binding:
        """Put a plugin on any combination of route, service and consumer.

        :raises GatewayError: as :meth:`plugin`; also when the plugin is there already.
        """
        info = describe(self.transport, self.transport.load(source))
        binding = Binding(self, info, self.complete(info, config or {}), route, service, consumer)
        if any(one.name == info.name and one.scope == binding.scope for one in self.bindings):
            raise GatewayError(
                f"{info.name} is on this already: change it with configure() of what plugin() returned"
            )
        self.bindings.append(binding)
        return binding

    def unbind(self, binding: Binding) -> None:
        """Take a plugin off; its instance is closed."""
        with suppress(ValueError):
            self.bindings.remove(binding)
        self._bridge.close(binding)

    def service(
        self, name: str = "service", /, *, upstream: Upstream | None = None, **data: Any
    ) -> Entity:
        """Set up a service.

        :param name: its name, which is its host too unless given.
        :param upstream: what stands behind it; the gateway's upstream when not given.
        :param data: further attributes, as in Kong: ``host``, ``port``, ``path``, ``protocol`` …
        """
        entity = make(self, "service", SERVICE_DEFAULTS, {"name": name, "host": name, **data})
        self.services_by_id[entity.id] = entity
        if upstream is not None:
            self._upstreams_of[entity.id] = upstream
        return entity

    def route(
        self, path: str | None = None, /, *, service: Entity | None = None, **data: Any
    ) -> Entity:
        """Set up a route.  The first one takes the place of the route that fits every request.

        :param path: its path; more go as ``paths=[...]``.
        :param service: where it leads; a service of its own when not given.
        :param data: further attributes, as in Kong: ``hosts``, ``methods``, ``strip_path`` …
        """
        linked = service or self.service(str(data.get("name", "service")))
        given = {"service": {"id": linked.id}, **data}
        if path is not None:
            given["paths"] = [path, *given.get("paths", [])]
        if self.routes and self.routes[0].data.get("name") == _DEFAULT:
            self.routes.clear()
        entity = make(self, "route", ROUTE_DEFAULTS, given)
        self.routes.append(entity)
        return entity

    def consumer(self, username: str, /, **data: Any) -> Entity:
        """Set up a consumer: ``custom_id``, ``tags`` … as in Kong."""
        entity = make(self, "consumer", {}, {"username": username, **data})
        self.consumers[entity.id] = entity
        return entity

    # -- requests

    def request(self, method: str, url: str = "/", **more: Any) -> Response:
        """Send a request and wait until everything about it is over.

        :param method: the HTTP method.
        :param url: a path, or a whole URL.
        :param more: what :func:`~pluginserver.testing.make_request` takes: ``headers``, ``query``,
            ``body``, ``json``, ``form``, ``client_ip``, ``tls`` …; and ``raise_bugs`` to overrule
            the gateway's.
        :returns: what the client got.
        :raises PluginBug: when a plugin did something that fails behind Kong, and no fault was
            injected; the exception in the handler is its cause, where it is known.
        :raises HandshakeFailed: when a plugin failed in ``certificate``.
        """
        raise_bugs = more.pop("raise_bugs", self.raise_bugs)
        state = self._start(make_request(method, url, **more))
        try:
            self._serve(state)
        finally:
            exchange = state.exchange
            if raise_bugs and exchange.problems and not state.faulty:
                raise PluginBug(exchange) from exchange.problems[0].error
        if exchange.response is None:
            raise HandshakeFailed("the TLS handshake failed: see the exchange's logs")
        return exchange.response

    def get(self, url: str = "/", **more: Any) -> Response:
        """Send a GET request: see :meth:`request`."""
        return self.request("GET", url, **more)

    def post(self, url: str = "/", **more: Any) -> Response:
        """Send a POST request: see :meth:`request`."""
        return self.request("POST", url, **more)

    def put(self, url: str = "/", **more: Any) -> Response:
        """Send a PUT request: see :meth:`request`."""
        return self.request("PUT", url, **more)

    def patch(self, url: str = "/", **more: Any) -> Response:
        """Send a PATCH request: see :meth:`request`."""
        return self.request("PATCH", url, **more)

    def delete(self, url: str = "/", **more: Any) -> Response:
        """Send a DELETE request: see :meth:`request`."""
        return self.request("DELETE", url, **more)

    def handle(
        self, request: Request, respond: Callable[[Response], None] | None = None
    ) -> Exchange:
        """Run a request through the gateway; for whoever speaks HTTP to real clients.

        It raises nothing for what plugins do: that is in the exchange.

        :param request: the request.
        :param respond: called with the response before the ``log`` phase; not called when the TLS
            handshake failed.
        :returns: the record of everything that happened.
        """
        return self._serve(self._start(request), respond)

    def _start(self, request: Request) -> State:
        if not self.routes:
            service = self.service("echo")
            self.route("/", service=service, name=_DEFAULT, strip_path=False)
        with self._lock:
            self.requests += 1
        exchange = Exchange(uuid4().hex, time.time(), request)
        self.exchanges.append(exchange)
        return State(self, exchange)

    def _serve(self, state: State, respond: Callable[[Response], None] | None = None) -> Exchange:
        exchange = state.exchange
        life = Life(self, self._bridge, state)
        self.notify("request", exchange, exchange)
        try:
            exchange.response = life.answer()
        except HandshakeFailed as error:
            state.log("crit", f"the TLS handshake failed: {error}", by_kong=True)
        exchange.source = state.source
        exchange.duration = state.elapsed
        if exchange.response is not None:
            self.notify("response", exchange, exchange.response)
            if respond is not None:
                respond(exchange.response)
            life.log()
        self.notify("end", exchange, exchange)
        return exchange

    # -- what happened

    @property
    def exchange(self) -> Exchange:
        """The last request's record.

        :raises GatewayError: when there was none.
        """
        if not self.exchanges:
            raise GatewayError("no request was sent yet")
        return self.exchanges[-1]

    @property
    def response(self) -> Response | None:
        """The last request's response."""
        return self.exchange.response

    @property
    def service_request(self) -> ServiceRequest:
        """What the service got with the last request.

        :raises AssertionError: when it got nothing.
        """
        found = self.exchange.service_request
        if found is None:
            raise AssertionError("the last request did not reach the service")
        return found

    @property
    def callbacks(self) -> list[Callback]:
        """The last request's callbacks, of all plugins, in order."""
        return self.exchange.callbacks

    @property
    def round_trips(self) -> int:
        """How many RPCs the last request's events took."""
        return self.exchange.round_trips

    @property
    def instances(self) -> dict[str, Any]:
        """The ids of the running instances by the id of what :meth:`plugin` returned."""
        return self._bridge.instances()

    def transcript(self) -> str:
        """All remembered exchanges as text."""
        return "\n".join(transcript(exchange) for exchange in self.exchanges)

    # -- for the other modules of this package

    def notify(self, kind: str, exchange: Exchange, thing: Any) -> None:
        """Tell the observers."""
        for observer in self.observers:
            observer(kind, exchange, thing)

    def take_log(self, line: LogLine, exchange: Exchange) -> None:
        """Write a line to Kong's log."""
        exchange.logs.append(line)
        self.logs.append(line)
        self.notify("log", exchange, line)

    def ordered(self) -> list[Binding]:
        """The bindings in the order in which Kong runs plugins."""
        return sorted(sorted(self.bindings, key=_name, reverse=True), key=_priority, reverse=True)

    def names_by_priority(self) -> list[str]:
        """The names of the plugins in the order in which Kong runs them."""
        return list(dict.fromkeys(binding.name for binding in self.ordered()))

    def upstream_of(self, service: Entity) -> Upstream:
        """What stands behind a service."""
        return self._upstreams_of.get(service.id, self.upstream)

    def complete(self, info: PluginInfo, config: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration with the schema's defaults, after the check that Kong makes.

        :raises GatewayError: when Kong would refuse it.
        """
        record = config_record(info.schema)
        if record is None:
            return dict(config)
        completed = with_defaults(record, config)
        found = schema_fault(record, completed, "config")
        if found:
            raise GatewayError(f"Kong refuses this configuration of {info.name}: {found}")
        return completed

    def resolved(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration with the secrets that its references name."""
        found: dict[str, Any] = {}
        out = {}
        for key, value in config.items():
            out[key] = value
            if isinstance(value, str) and _REFERENCE.fullmatch(value):
                found[key] = value
                out[key] = self.secret(value) or ""
        return {**out, "$refs": found} if found else out

    def secret(self, reference: str) -> str | None:
        """The secret that a reference such as ``{vault://env/name}`` names."""
        match = _REFERENCE.fullmatch(reference)
        return self.vault.get(match[1]) if match else None


_DEFAULT: Final = "default"
_REFERENCE: Final = re.compile(r"\{vault://([^?#}]+)[^}]*\}")


def _name(binding: Binding) -> str:
    return binding.name


def _priority(binding: Binding) -> int:
    return binding.info.priority


def config_record(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The ``config`` field of a plugin's schema, None when it has none."""
    for field in schema.get("fields", []):
        if isinstance(field.get("config"), dict):
            return dict(field["config"])
    return None


def with_defaults(record: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A record's values with the defaults of its fields, nested ones too."""
    out = dict(given)
    for one in record.get("fields", []):
        for name, field in one.items():
            if out.get(name) is None and "default" in field:
                out[name] = field["default"]
            if field["type"] == "record" and isinstance(out.get(name), dict):
                out[name] = with_defaults(field, out[name])
            elif field["type"] == "record" and out.get(name) is None and field.get("required"):
                out[name] = with_defaults(field, {})
    return out
