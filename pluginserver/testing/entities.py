"""What a test sets up on a gateway beside plugins: services, routes, consumers."""

from __future__ import annotations

from typing import Any, Final, cast

from .attributes import NodeAttributes
from .kong.router import ROUTE_DEFAULTS, SERVICE_DEFAULTS, Administration, Entity, make
from .kong.upstream import Upstream

DEFAULT_ROUTE: Final = "default"
"""The name of the route that fits every request, until a test sets one up."""


class Entities(NodeAttributes):
    """Sets up what requests are matched with."""

    def service(
        self, name: str = "service", /, *, upstream: Upstream | None = None, **data: Any
    ) -> Entity:
        """Set up a service.

        :param name: its name, which is its host too unless given.
        :param upstream: what stands behind it; the gateway's upstream when not given.
        :param data: further attributes, as in Kong: ``host``, ``port``, ``path``, ``protocol`` …
        """
        entity = make(
            cast("Administration", self),
            "service",
            SERVICE_DEFAULTS,
            {"name": name, "host": name, **data},
        )
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
        if self.routes and self.routes[0].data.get("name") == DEFAULT_ROUTE:
            self.routes.clear()
        entity = make(cast("Administration", self), "route", ROUTE_DEFAULTS, given)
        self.routes.append(entity)
        return entity

    def consumer(self, username: str, /, **data: Any) -> Entity:
        """Set up a consumer: ``custom_id``, ``tags`` … as in Kong."""
        entity = make(cast("Administration", self), "consumer", {}, {"username": username, **data})
        self.consumers[entity.id] = entity
        return entity
