"""A Kong to test plugins against.

The first test of a plugin needs nothing but pytest and the fixture ``kong``::

    def test_greets(kong):
        kong.plugin("examples/hello.py", message="hi")
        response = kong.get("/", headers={"host": "example.com"})
        assert response.headers["x-hello"] == "hi to example.com"

``kong`` is a :class:`Gateway`; without pytest it is made by hand, and closed by ``with``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .gateway import Gateway as Gateway
    from .kong.faults import Fault as Fault
    from .kong.faults import Faults as Faults
    from .kong.headers import Headers as Headers
    from .kong.messages import TLS as TLS
    from .kong.messages import Request as Request
    from .kong.messages import Response as Response
    from .kong.messages import ServiceRequest as ServiceRequest
    from .kong.messages import make_request as make_request
    from .kong.phases import HandshakeFailed as HandshakeFailed
    from .kong.quirks import Quirks as Quirks
    from .kong.router import Binding as Binding
    from .kong.router import Entity as Entity
    from .record.diagnostics import PluginBug as PluginBug
    from .record.exchange import Callback as Callback
    from .record.exchange import Change as Change
    from .record.exchange import Exchange as Exchange
    from .record.exchange import LogLine as LogLine
    from .record.exchange import Problem as Problem
    from .record.exchange import Run as Run
    from .record.transcript import transcript as transcript
    from .transports.base import GatewayError as GatewayError
    from .transports.inprocess import InProcess as InProcess

_PLACES = {
    "Binding": "kong.router",
    "Callback": "record.exchange",
    "Change": "record.exchange",
    "Entity": "kong.router",
    "Exchange": "record.exchange",
    "Fault": "kong.faults",
    "Faults": "kong.faults",
    "Gateway": "gateway",
    "GatewayError": "transports.base",
    "HandshakeFailed": "kong.phases",
    "Headers": "kong.headers",
    "InProcess": "transports.inprocess",
    "LogLine": "record.exchange",
    "PluginBug": "record.diagnostics",
    "Problem": "record.exchange",
    "Quirks": "kong.quirks",
    "Request": "kong.messages",
    "Response": "kong.messages",
    "Run": "record.exchange",
    "ServiceRequest": "kong.messages",
    "TLS": "kong.messages",
    "make_request": "kong.messages",
    "transcript": "record.transcript",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> object:
    from importlib import import_module

    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{place}", __name__), name)
