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
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar
from uuid import uuid4

from ..spec.protocols import ON_THE_WIRE
from .cassettes.replay import Replays
from .entities import DEFAULT_ROUTE, Entities
from .kong.client import KongClient
from .kong.clock import Clock
from .kong.configuration import complete
from .kong.messages import STREAMS, TLS, Request, Response, ServiceRequest, make_request
from .kong.node import KEPT, Node
from .kong.phases import HandshakeFailed, RequestCycle, known_phases
from .kong.quirks import Quirks
from .kong.router import Binding, Entity
from .kong.state import State
from .kong.stream import StreamCycle
from .kong.version import KongVersion
from .record import diagnostics
from .record.diagnostics import PluginBug
from .record.exchange import Callback, Exchange, LogLine
from .record.strays import Strays
from .record.transcript import transcript
from .transports.base import GatewayError, Source, Transport, describe
from .transports.connect import Server, connect
from .transports.sockets import elsewhere
from .verbs import Verbs

READ_TIMEOUT: Final = 60.0
"""Seconds: Kong's ``lua_socket_read_timeout``."""

T = TypeVar("T")


class Gateway(Verbs, Entities, Replays):
    """A Kong to test plugins against.

    :param server: the plugin server: see :data:`~.transports.connect.Server`; or a transport.
    :param root: where relative paths of plugins and cassettes begin.
    :param quirks: which of Kong's habits are played.
    :param timeout: how long an answer of a plugin may take, in seconds.
    :param raise_bugs: let :meth:`request` and its like raise :class:`PluginBug` when a plugin did
        something that fails behind Kong.
    :param keep: how many exchanges and log lines are remembered.
    :param protocol: the protocol in which all plugins are served, ``"msgpack"`` or ``"protobuf"``; None for
        the one that each plugin asks for, by ``protocol`` in its module.
    :param round_trips: ``"plain"``, so that the record has every PDK call that a plugin made; ``"fewer"``
        has our own server spare those that need not travel, as it does behind Kong.
    :param kong: the version of Kong that is played, such as ``"3.9"`` or ``"3.14"``; the newest that is open
        source unless given.
    :raises GatewayError: when there is no such server, protocol or version.
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
        kong: str | None = None,
    ) -> None:
        if protocol is not None and protocol not in ON_THE_WIRE:
            raise GatewayError(f"{protocol!r} is not a protocol: say {' or '.join(ON_THE_WIRE)}")
        self.protocol = protocol
        """The protocol in which plugins are served; None for the one that each asks for."""
        super().__init__(Node(quirks, keep, KongVersion.parse(kong)))
        self.root = Path(root)
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
        self._workers = [self._client]
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
        for worker in self._workers:
            worker.close_all()
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

    # -- the plugin server's life

    def restart(self, meanwhile: Callable[[], T] | None = None) -> T | None:
        """Stop the plugin server and start it again, as when it crashed.

        Kong starts its instances again and closes none.

        :param meanwhile: called while the server is down.  Requests then pass without the plugins whose
            instances Kong knows (up to 3.13, in MsgPack:1), and are a 500 for others.
        :returns: what ``meanwhile`` did.
        :raises GatewayError: when the server is not the gateway's to restart.
        """
        done: list[T] = []

        def down() -> None:
            self.node.server_down = True
            try:
                if meanwhile is not None:
                    done.append(meanwhile())
            finally:
                self.node.server_down = False

        self.transport.restart(down)
        return done[0] if done else None

    def reload(self, meanwhile: Callable[[], T] | None = None) -> T | None:
        """Do what ``kong reload`` does: a new nginx worker takes over; the old one ends what is under way.

        The new worker knows no instance, and the old one closes none of its own.  A plugin server that
        Kong started (``"in-process"``, ``"command:LINE"``) is replaced, and both run for a time.

        :param meanwhile: called while both run.
        :returns: what ``meanwhile`` did.
        """
        done: list[T] = []

        def overlap() -> None:
            self.node.begin_worker()
            self._client = KongClient(self.node, self.transport)
            self._workers.append(self._client)
            self.transport.on_notification = self._client.notified
            if meanwhile is not None:
                done.append(meanwhile())

        self.transport.reload(overlap)
        return done[0] if done else None

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
        return self._send(make_request(method, url, **more), raise_bugs, phases)

    def _send(
        self, request: Request, raise_bugs: bool, phases: Collection[str] | None = None
    ) -> Response:
        state = self._start(request)
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

    def connect(
        self,
        port: int = 9000,
        *,
        client_ip: str = "127.0.0.1",
        client_port: int = 40000,
        tls: TLS | None = None,
        raise_bugs: bool | None = None,
    ) -> Response:
        """Connect to the stream subsystem, for plugins that have ``preread``.

        :param port: the gateway's port that is connected to.
        :param tls: the TLS connection; None for one without TLS.
        :param raise_bugs: as for :meth:`request`.
        :returns: status 200 when the connection was passed on to the service; else what ended it, with the
            status and the body of ``kong.response.exit``, or 500.
        :raises PluginBug: as :meth:`request`.
        :raises HandshakeFailed: as :meth:`request`.
        """
        scheme = STREAMS[tls is not None]
        given = Request(
            method=scheme.upper(), target="", scheme=scheme, port=port,
            client_ip=client_ip, client_port=client_port, tls=tls,
        )  # fmt: skip
        return self._send(given, self.raise_bugs if raise_bugs is None else raise_bugs)

    def _start(self, request: Request) -> State:
        if not self.routes:
            service = self.service("echo")
            self.route("/", service=service, name=DEFAULT_ROUTE, strip_path=False)
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
        kind = StreamCycle if state.request.scheme in STREAMS else RequestCycle
        cycle = kind(self.node, self._client, state)
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
