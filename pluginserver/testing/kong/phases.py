"""A request's cycle through Kong: certificate, rewrite, access, the service, response, log.

Rules kept here, as Kong has them:

* in ``certificate`` and ``rewrite`` only global plugins run, for there is no route yet;
* an exit in ``access`` ends the phase for the other plugins, but every plugin that applies to the request
  still gets its ``log``; an exit in ``rewrite`` leaves the log to the global plugins;
* with a plugin that has ``response``, or after ``enable_buffering``, the service's response is
  buffered and then handed to the ``response`` handlers; a response of Kong's own is not, nor is one
  over HTTP/2 or of an upgraded connection;
* what throws answers the client with 500 and Kong's error page in the form that it accepts; in ``log``
  nobody hears it.
"""

from __future__ import annotations

from collections.abc import Collection
from time import monotonic
from typing import Final

from ...spec.phases import PHASES
from ..pdk.node import is_trusted
from ..pdk.response import error_response
from ..transports.base import GatewayError
from .client import ClientGone, KongClient
from .headers import Headers, same
from .lua import LuaError
from .messages import Response, ServiceRequest
from .node import Node
from .router import Binding, Entity, find_route, upstream_path
from .state import Exit, State
from .upstream import HOP_BY_HOP, FakeUpstream, Upstream, send

CLIENT_CLOSED: Final = 499
"""nginx's status for a client that went away."""

_SINGLE: Final = frozenset(
    {"content-length", "content-type", "date", "etag", "last-modified", "location"}
)
"""Headers of which a response has one: the service's takes the place of what a plugin set before."""


class HandshakeFailed(Exception):
    """A plugin failed in ``certificate``: the client's TLS handshake fails, there is not a response."""


def known_phases(names: Collection[str] | None) -> Collection[str] | None:
    """The phases that a test has named.

    :raises GatewayError: when one of them is none.
    """
    for name in [names] if isinstance(names, str) else names or ():
        if name not in PHASES or isinstance(names, str):
            raise GatewayError(
                f"phases={names!r}: give a list of {', '.join(PHASES)}, such as ['access']"
            )
    return names


class RequestCycle:
    """One request's way through Kong's phases.

    :param node: the node that it runs on.
    :param client: runs the phases of plugins.
    :param state: the request.
    """

    def __init__(self, node: Node, client: KongClient, state: State) -> None:
        self._node = node
        self._client = client
        self._state = state
        self._applied: list[Binding] | None = None
        """The plugins that apply to the request; None before it has a route."""

    def answer(self) -> Response:
        """Everything up to the response.

        :raises HandshakeFailed: when there is none.
        """
        state = self._state
        try:
            if state.tls is not None:
                self._certificate()
            self._phase("rewrite", self._globals())
            response = self._access() or self._proxy()
        except Exit as given:
            state.source = given.source
            response = given.response
        except LuaError:
            response = self._unexpected()
        except ClientGone:
            response = Response(CLIENT_CLOSED)
        return self._finish(response)

    def log(self) -> None:
        """The ``log`` phase, after the client has its response."""
        applied = self._globals() if self._applied is None else self._applied
        for binding in applied:
            if self._state.has(binding, "log"):
                try:
                    self._client.run(self._state, binding, "log")
                except (LuaError, Exit, ClientGone):
                    continue

    def _certificate(self) -> None:
        try:
            self._phase("certificate", self._globals())
        except (Exit, LuaError, ClientGone) as error:
            raise HandshakeFailed(str(error)) from None

    def _globals(self) -> list[Binding]:
        return [one for one in self._node.ordered() if one.is_global and one.enabled]

    def _phase(self, phase: str, bindings: list[Binding]) -> None:
        for binding in bindings:
            if self._state.has(binding, phase):
                self._client.run(self._state, binding, phase)

    def _access(self) -> Response | None:
        """The router and the ``access`` phase; a response when the request ends there."""
        state = self._state
        match = find_route(self._node.routes, state.request)
        if match is None:
            state.source = "exit"
            return error_response(state, 404, "no Route matched with those values")
        self._take_route(match.route, match.prefix, match.captures)
        self._applied = []
        response: Response | None = None
        for name in self._node.names_by_priority():
            binding = self._applying(name)
            if binding is None:
                continue
            self._applied.append(binding)
            if state.has(binding, "response"):
                state.buffered = True
            if response is None and state.has(binding, "access"):
                try:
                    self._client.run(state, binding, "access")
                except Exit as given:
                    state.source = given.source
                    response = given.response
                except LuaError:
                    response = self._unexpected()
        if response is None and state.service is None:
            state.source = "exit"
            return error_response(state, 503, "no Service found with those values")
        return response

    def _take_route(
        self, route: Entity, prefix: str | None, captures: dict[int | str, str]
    ) -> None:
        state = self._state
        state.route = route
        state.captures = captures
        linked = route.data.get("service")
        state.service = self._node.services_by_id.get(linked["id"]) if linked else None
        strip = bool(route.data["strip_path"])
        if strip and prefix not in (None, "/"):
            state.stripped_prefix = prefix
        base = state.service.data.get("path") if state.service else None
        state.upstream_path = state.upstream_path or upstream_path(
            base or "/", prefix, strip, state.request.path, route.data["path_handling"]
        )
        if state.service and state.upstream_scheme is None:
            state.upstream_scheme = state.service.data["protocol"]
        if route.data["preserve_host"] and state.upstream_host is None:
            state.upstream_host = state.request.headers.get("host")

    def _applying(self, name: str) -> Binding | None:
        """The configuration of a plugin that applies to this request."""
        state = self._state
        consumer = None if state.consumer is None else state.consumer.get("id")
        return self._node.applying(name, state.route, state.service, consumer)

    def _proxy(self) -> Response:
        """The service's response, after the ``response`` handlers where there are any."""
        state, exchange = self._state, self._state.exchange
        self._settle_buffering()
        request = exchange.service_request = self._service_request()
        exchange.service_start = state.elapsed
        self._node.notify("service", exchange, request)
        began = monotonic()
        try:
            response = send(self._upstream(), request)
        except (ConnectionError, TimeoutError) as error:
            late = isinstance(error, TimeoutError)
            state.log(
                "err", f"upstream {'timed out' if late else 'failed'}: {error}", by_kong=True
            )
            return error_response(state, 504 if late else 502)
        finally:
            exchange.service_duration = monotonic() - began
        exchange.service_response = state.service_response = response
        state.source = "service"
        state.status = response.status
        self._pass_headers(response.headers)
        if not state.buffered:
            return Response(state.status, response.body, state.response_headers)
        try:
            self._phase("response", self._applied or [])
        except LuaError:
            return self._unexpected()
        return Response(state.status, response.body, state.response_headers)

    def _settle_buffering(self) -> None:
        """Kong buffers nothing for HTTP/2 and for WebSockets: then there is no ``response`` phase."""
        state = self._state
        upgrade = state.request.headers.get("upgrade", "").lower()
        if state.request.http_version >= 2:
            why = f"incompatible HTTP version ({state.request.http_version:g})"
        elif upgrade == "websocket":
            why = f"connection upgrade ({upgrade})"
        else:
            return
        if state.buffered:
            state.buffered = False
            state.log("notice", f"response buffering was turned off: {why}", by_kong=True)

    def _pass_headers(self, headers: Headers) -> None:
        lines = self._state.response_headers
        cleared: set[str] = set()
        for name, value in headers.pairs():
            key = same(name)
            if key in HOP_BY_HOP:
                continue
            if (self._state.buffered or key in _SINGLE) and key not in cleared:
                lines.remove(name)
                cleared.add(key)
            lines.add(name, value)

    def _upstream(self) -> Upstream | FakeUpstream:
        state = self._state
        if state.target is not None and state.target[0] in self._node.upstreams:
            return self._node.upstreams[state.target[0]]
        assert state.service is not None
        return self._node.upstream_of(state.service)

    def _service_request(self) -> ServiceRequest:
        state = self._state
        assert state.service is not None and state.upstream_path is not None
        service = state.service.data
        host, port = state.target or (service["host"], service["port"])
        port = port or service["port"]
        connection = ",".join(state.headers.all("connection")).split(",")
        dropped = HOP_BY_HOP | {same(name.strip()) for name in connection}
        headers = Headers([pair for pair in state.headers.pairs() if same(pair[0]) not in dropped])
        named = host if port in (80, 443) else f"{host}:{port}"
        headers.set("Host", [state.upstream_host or named])
        self._forwarded(headers)
        headers.set("X-Kong-Request-Id", [state.exchange.id])
        timeouts = state.timeouts or tuple(
            service[f"{what}_timeout"] for what in ("connect", "write", "read")
        )
        return ServiceRequest(
            method=state.method,
            scheme=state.upstream_scheme or service["protocol"],
            host=host,
            port=port,
            path=state.upstream_path,
            query=state.query,
            headers=headers,
            body=state.body,
            retries=service["retries"] if state.retries is None else state.retries,
            timeouts=timeouts,
            tls_verify=state.tls_verify,
        )

    def _forwarded(self, headers: Headers) -> None:
        state, request = self._state, self._state.request
        trusted = is_trusted(state, request.client_ip)
        earlier = headers.get("x-forwarded-for")
        headers.set(
            "X-Forwarded-For",
            [f"{earlier}, {request.client_ip}" if earlier else request.client_ip],
        )
        for name, value in (
            ("X-Forwarded-Proto", request.scheme),
            ("X-Forwarded-Host", request.host),
            ("X-Forwarded-Port", str(request.port)),
            ("X-Forwarded-Path", request.path),
        ):
            if not (trusted and name in headers):
                headers.set(name, [value])
        if state.stripped_prefix and not (trusted and "X-Forwarded-Prefix" in headers):
            headers.set("X-Forwarded-Prefix", [state.stripped_prefix])
        headers.set("X-Real-IP", [request.client_ip])

    def _unexpected(self) -> Response:
        state = self._state
        state.source = "error"
        return error_response(state, 500)

    def _finish(self, response: Response) -> Response:
        """Put Kong's own headers on, and note what the client got."""
        state = self._state
        state.status = response.status
        latency = str(int(state.elapsed * 1000))
        lines = response.headers
        if state.source == "service":
            lines.add("Via", f"1.1 {self._node.version.server}")
            upstream = int(state.exchange.service_duration * 1000)
            lines.set("X-Kong-Upstream-Latency", [str(upstream)])
            lines.set("X-Kong-Proxy-Latency", [latency])
        else:
            lines.set("X-Kong-Response-Latency", [latency])
            lines.set("Server", [self._node.version.server])
        lines.set("X-Kong-Request-Id", [state.exchange.id])
        state.response_headers = Headers(lines)
        return response
