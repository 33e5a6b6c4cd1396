"""A connection's cycle through Kong's stream subsystem: certificate, preread, the service, log.

Rules kept here, as Kong has them:

* a connection is routed by its port, its addresses and the name that TLS asks for; where a gateway has no
  route for streams at all, it goes to the service of the first route, which spares tests one (Kong finds
  none);
* every plugin that applies gets ``preread`` until one ends the connection, and all of them get ``log``;
* what is said over the connection no plugin sees: there are no bytes here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

from .client import ClientGone, KongClient
from .lua import LuaError
from .messages import STREAMS, Response
from .node import Node
from .phases import HandshakeFailed
from .router import Binding, Entity
from .state import Exit, State

PASSED: Final = 200
"""The status of a connection that was passed on to its service."""

FAILED: Final = 500


class StreamCycle:
    """One connection's way through Kong's phases.

    :param node: the node that it runs on.
    :param client: runs the phases of plugins.
    :param state: the connection; its request's scheme is ``"tcp"`` or ``"tls"``.
    """

    def __init__(self, node: Node, client: KongClient, state: State) -> None:
        self._node = node
        self._client = client
        self._state = state
        self._applied: list[Binding] = []

    def answer(self) -> Response:
        """Everything until the connection is passed on, or ended: nothing but a status and a body.

        :raises HandshakeFailed: when a plugin failed in ``certificate``.
        """
        state = self._state
        if state.tls is not None:
            self._certificate()
        state.phase = "preread"
        try:
            response = self._preread()
        except Exit as given:
            state.source, response = given.source, given.response
        except LuaError:
            state.source, response = "error", Response(FAILED)
        except ClientGone:
            response = Response(FAILED)
        state.status = response.status
        return response

    def log(self) -> None:
        """The ``log`` phase, after the connection has ended."""
        for binding in self._applied:
            if "log" in binding.info.phases:
                try:
                    self._client.run(self._state, binding, "log")
                except (LuaError, Exit, ClientGone):
                    continue

    def _certificate(self) -> None:
        for binding in self._node.ordered():
            if binding.is_global and binding.enabled and "certificate" in binding.info.phases:
                try:
                    self._client.run(self._state, binding, "certificate")
                except (Exit, LuaError, ClientGone) as error:
                    raise HandshakeFailed(str(error)) from None

    def _preread(self) -> Response:
        state, node = self._state, self._node
        route = _route(node.routes, state)
        if route is None:
            state.log("err", "no Route found with those values", by_kong=True)
            return Response(FAILED)
        linked = route.data.get("service")
        state.route = route
        state.service = node.services_by_id.get(linked["id"]) if linked else None
        found = [
            node.applying(name, route, state.service, None) for name in node.names_by_priority()
        ]
        self._applied = [one for one in found if one is not None]
        for binding in self._applied:
            if "preread" in binding.info.phases:
                self._client.run(state, binding, "preread")
        if state.service is None:
            state.log("err", "no Service found with those values", by_kong=True)
            return Response(FAILED)
        state.source = "service"
        return Response(PASSED)


def _route(routes: list[Entity], state: State) -> Entity | None:
    """The first route that a connection fits; the first of all where none is for streams."""
    streams = [one for one in routes if set(STREAMS) & set(one.data["protocols"])]
    if not streams:
        return routes[0]
    return next((one for one in streams if _fits(one.data, state)), None)


def _fits(route: Mapping[str, Any], state: State) -> bool:
    request = state.request
    names = route.get("snis")
    return (
        request.scheme in route["protocols"]
        and _among(route.get("sources"), request.client_ip, request.client_port)
        and _among(route.get("destinations"), None, request.port)
        and (not names or (state.tls is not None and state.tls.server_name in names))
    )


def _among(wanted: list[dict[str, Any]] | None, address: str | None, port: int) -> bool:
    """Whether one of some ``{"ip": ..., "port": ...}`` is met; an address that is not known meets any."""
    return not wanted or any(
        one.get("port") in (None, port)
        and (one.get("ip") is None or address is None or _inside(address, one["ip"]))
        for one in wanted
    )


def _inside(address: str, network: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
