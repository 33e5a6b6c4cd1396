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
    from .entities import Binding as Binding
    from .entities import Entity as Entity
    from .faults import Fault as Fault
    from .faults import Faults as Faults
    from .gateway import Gateway as Gateway
    from .headers import Headers as Headers
    from .inprocess import InProcess as InProcess
    from .life import HandshakeFailed as HandshakeFailed
    from .messages import TLS as TLS
    from .messages import Request as Request
    from .messages import Response as Response
    from .messages import ServiceRequest as ServiceRequest
    from .messages import make_request as make_request
    from .problems import PluginBug as PluginBug
    from .quirks import Quirks as Quirks
    from .record import Callback as Callback
    from .record import Change as Change
    from .record import Exchange as Exchange
    from .record import LogLine as LogLine
    from .record import Problem as Problem
    from .record import Run as Run
    from .transcripts import transcript as transcript
    from .transport import GatewayError as GatewayError

_PLACES = {
    "Binding": "entities",
    "Callback": "record",
    "Change": "record",
    "Entity": "entities",
    "Exchange": "record",
    "Fault": "faults",
    "Faults": "faults",
    "Gateway": "gateway",
    "GatewayError": "transport",
    "HandshakeFailed": "life",
    "Headers": "headers",
    "InProcess": "inprocess",
    "LogLine": "record",
    "PluginBug": "problems",
    "Problem": "record",
    "Quirks": "quirks",
    "Request": "messages",
    "Response": "messages",
    "Run": "record",
    "ServiceRequest": "messages",
    "TLS": "messages",
    "make_request": "messages",
    "transcript": "transcripts",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> object:
    from importlib import import_module

    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{place}", __name__), name)
