"""``kong.router``: where the request was routed to."""

from __future__ import annotations

from ..events.callbacks import callback
from ..spec.entities import Route, Service
from .namespace import Namespace
from .results import fresh


class Router(Namespace):
    """Functions about the route that matched."""

    __slots__ = ()

    NAME = "kong.router"

    def get_route(self) -> Route | None:
        """The route that matched.

        :returns: None when none did.

        Phases: access, response, log.
        """
        return Route.from_kong(fresh(callback("kong.router.get_route")))

    def get_service(self) -> Service | None:
        """The service that the request goes to.

        :returns: None when no route matched, or the route has no service.

        Phases: access, response, log.
        """
        return Service.from_kong(fresh(callback("kong.router.get_service")))
