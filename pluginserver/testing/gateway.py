"""The simulated gateway: Kong for a test, with plugins, routes and services set up by it.

Rules kept here:

* :class:`Gateway` is the face that a test sees, and nothing else: the data are the
  :class:`~.kong.node.Node`'s, the talk with the plugin server is the :class:`~.kong.client.KongClient`'s,
  and what happens to a request is the :class:`~.kong.phases.RequestCycle`'s;
* it is one nginx worker of one Kong, and may be used by several threads at once, each with a request
  of its own; over the in-process transport a request runs in its thread from the first phase to the
  last.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final
from uuid import uuid4

from ..spec.protocols import ON_THE_WIRE
from .attributes import NodeAttributes
from .kong.client import KongClient
from .kong.clock import Clock
from .kong.configuration import complete
from .kong.messages import Request, Response, ServiceRequest, make_request
from .kong.node import KEPT, Node
from .kong.phases import HandshakeFailed, RequestCycle, known_phases
from .kong.quirks import Quirks
from .kong.router import ROUTE_DEFAULTS, SERVICE_DEFAULTS, Binding, Entity, make
from .kong.state import State
from .kong.upstream import Upstream
from .record import diagnostics
from .record.diagnostics import PluginBug
from .record.exchange import Callback, Exchange, LogLine
from .record.strays import Strays
from .record.transcript import transcript
from .transports.base import GatewayError, Source, Transport, describe
from .transports.connect import Server, connect
from .transports.sockets import elsewhere

READ_TIMEOUT: Final = 60.0
"""Seconds: Kong's ``lua_socket_read_timeout``."""

_DEFAULT: Final = "default"
"""The name of the route that fits every request, until a test sets one up."""


class Gateway(NodeAttributes):
    """A Kong to test plugins against.

    :param server: the plugin server: see :data:`~.transports.connect.Server`; or a transport.
    :param root: where relative paths of plugins begin.
    :param quirks: which of Kong's habits are played.
    :param timeout: how long an answer of a plugin may take, in seconds.
    :param raise_bugs: let :meth:`request` and its like raise :class:`PluginBug` when a plugin did
        something that fails behind Kong.
    :param keep: how many exchanges and log lines are remembered.
    :param protocol: the protocol in which all plugins are served, ``"msgpack"`` or ``"protobuf"``; None for
        the one that each plugin asks for, by ``protocol`` in its module.
    :param round_trips: ``"plain"``, so that the record has every PDK call that a plugin made; ``"fewer"``
        has our own server spare those that need not travel, as it does behind Kong.
    :raises GatewayError: when there is no such server or protocol.
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
        protocol: str | None = None,
        round_trips: str = "plain",
    ) -> None:
        if protocol is not None and protocol not in ON_THE_WIRE:
            raise GatewayError(f"{protocol!r} is not a protocol: say {' or '.join(ON_THE_WIRE)}")
        self.protocol = protocol
        """The protocol in which plugins are served; None for the one that each asks for."""
        super().__init__(Node(quirks, keep))
        self.raise_bugs = raise_bugs
        self.transport: Transport = (
            connect(
                server, root=root, quirks=self.quirks, timeout=timeout, round_trips=round_trips
            )
            if isinstance(server, (str, os.PathLike, Sequence))
            else server
        )
        self.strays = Strays()
        self.clock = Clock(elsewhere(self.transport))
        """The time that plugins are told: ``kong.clock.advance(60)`` lets a minute pass."""
        self._client = KongClient(self.node, self.transport)
        self.transport.on_notification = self._client.notified

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
        self.clock.close()
        self._client.close_all()
        self.transport.close()
        self.strays.close()

    # -- setting up

    def plugin(self, source: Source, /, **config: Any) -> Binding:
        """Put a plugin on the gateway: it applies to every request.

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
        protocol: str | None = None,
    ) -> Binding:
        """Put a plugin on any combination of route, service and consumer.

        :param protocol: in which it is served; None for the gateway's :attr:`protocol`.
        :raises GatewayError: as :meth:`plugin`; also when the plugin is there already.
        """
        info = describe(self.transport, self.transport.load(source), protocol or self.protocol)
        binding = Binding(self, info, complete(info, config or {}), route, service, consumer)
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
        self._client.close(binding)

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
            self.node.service_upstreams[entity.id] = upstream
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
            ``body``, ``json``, ``form``, ``client_ip``, ``tls`` …; ``raise_bugs`` to overrule the
            gateway's; and ``phases``, the only phases in which plugins run, such as ``["access"]``.
        :returns: what the client got.
        :raises PluginBug: when a plugin did something that fails behind Kong, and no fault was
            injected; the exception in the handler is its cause, where it is known.
        :raises HandshakeFailed: when a plugin failed in ``certificate``.
        """
        raise_bugs = more.pop("raise_bugs", self.raise_bugs)
        phases = known_phases(more.pop("phases", None))
        state = self._start(make_request(method, url, **more))
        state.only = phases
        try:
            self._serve(state)
        finally:
            exchange = state.exchange
            if raise_bugs and exchange.problems and not state.faulty:
                raise PluginBug(exchange) from exchange.problems[0].error
        if exchange.response is None:
            raise HandshakeFailed("the TLS handshake failed: see the exchange's logs")
        exchange.response.exchange = exchange
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
        exchange = Exchange(uuid4().hex, self.clock.time(), request)
        self.node.begin(exchange)
        return State(self.node, exchange)

    def _serve(self, state: State, respond: Callable[[Response], None] | None = None) -> Exchange:
        try:
            return self._run(state, respond)
        finally:
            state.end()

    def _run(self, state: State, respond: Callable[[Response], None] | None) -> Exchange:
        exchange = state.exchange
        cycle = RequestCycle(self.node, self._client, state)
        self.node.notify("request", exchange, exchange)
        try:
            exchange.response = cycle.answer()
        except HandshakeFailed as error:
            state.log("crit", f"the TLS handshake failed: {error}", by_kong=True)
        exchange.source = state.source
        exchange.duration = state.elapsed
        if exchange.response is not None:
            self.node.notify("response", exchange, exchange.response)
            if respond is not None:
                respond(exchange.response)
            cycle.log()
        diagnostics.stray_calls(state, self.strays.take())
        self.node.notify("end", exchange, exchange)
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
    def logs(self) -> list[LogLine]:
        """The last request's lines of Kong's log; none before there was one."""
        return list(self.exchanges[-1].logs) if self.exchanges else []

    @property
    def round_trips(self) -> int:
        """How many RPCs the last request's events took."""
        return self.exchange.round_trips

    @property
    def instances(self) -> dict[str, Any]:
        """The ids of the running instances by the id of what :meth:`plugin` returned."""
        return self._client.instances()

    def transcript(self) -> str:
        """All remembered exchanges as text."""
        return "\n".join(transcript(exchange) for exchange in self.exchanges)
