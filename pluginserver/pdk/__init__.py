"""The PDK: Kong's functions, for plugins in Python.

A handler gets an object whose namespaces and functions have Kong's own names.  There is one such
object, :data:`kong`: a call finds the event whose handler makes it, so that nothing is made for each
event.

Rules kept here:

* a call that Kong would throw on raises before anything is sent (see :mod:`.values`,
  :mod:`pluginserver.spec.functions`): Kong would end the request, and never tell the handler;
* an argument that is not given has Kong's default, also when another argument follows it;
* a function adds as little as it can to :func:`pluginserver.events.callbacks.callback`: a check and a call.
"""

from __future__ import annotations

from typing import Any, Final

from ..events.callbacks import callback, finish
from ..spec.functions import FUNCTIONS
from . import log as _log
from .client import Client
from .cluster import Cluster
from .ctx import Ctx
from .enterprise import EnterpriseEdition, WebSocket
from .ip import IP
from .log import Log
from .namespace import Namespace
from .nginx import Nginx
from .node import Node
from .plugin import PluginInfo
from .request import Request
from .response import Response
from .results import fresh
from .router import Router
from .service import ServiceNamespace
from .telemetry import Telemetry
from .values import check_arguments, check_text
from .vault import Vault

__all__ = ["Kong", "kong"]


class Kong(Namespace):
    """Kong, as the handlers of a plugin see it."""

    __slots__ = ()

    NAME = "kong"

    client: Final = Client()
    cluster: Final = Cluster()
    ctx: Final = Ctx()
    enterprise_edition: Final = EnterpriseEdition()
    ip: Final = IP()
    log: Final = Log(_log.level_of_environment())
    nginx: Final = Nginx()
    node: Final = Node()
    plugin: Final = PluginInfo()
    request: Final = Request()
    response: Final = Response()
    router: Final = Router()
    service: Final = ServiceNamespace()
    telemetry: Final = Telemetry()
    vault: Final = Vault()
    websocket: Final = WebSocket()

    def call(self, name: str, *args: object) -> Any:
        """Call any function of Kong's by its name, one that is not listed here for example.

        :param name: the full name, such as ``"kong.request.get_header"``.
        :param args: text, bytes, numbers, booleans, and lists and mappings of these.
        :returns: what Kong sent, as it came; None when it sent nothing, which is also its answer for
            a function that it does not have.

        A function that ends the request, such as ``kong.response.exit``, does not come back.

        :raises ValueError: for a None with which Kong would cut off the arguments that follow it.
        """
        sent = check_arguments(args)
        function = FUNCTIONS.get(check_text(name, "name"))
        if function is not None and function.never_returns:
            finish(name, *sent)
        return fresh(callback(name, *sent))


kong: Final = Kong()
"""The object that every handler gets."""
