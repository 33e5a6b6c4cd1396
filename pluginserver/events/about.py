"""Which event runs here, as the fields of a record of the log.

Rules kept here:

* no round trip is made for it: Kong's id of the request is told where the handler has read its header.
"""

from __future__ import annotations

from typing import Any, Final

from greenlet import getcurrent

from .event import Event, Runner
from .habits import HEADERS
from .trips import Trips

REQUEST_ID: Final = "x-kong-request-id"
"""The header in which Kong 3.5 and later tell the id of a request."""

_GET_HEADER: Final = "kong.request.get_header"


def running() -> dict[str, Any]:
    """The fields of the event whose handler calls: ``plugin``, ``phase``, ``instance``, ``event``, and
    ``request``, Kong's id of it, where that is known; empty outside of one."""
    runner = getcurrent()
    if type(runner) is not Runner or runner.event is None:
        return {}
    return about(runner.event)


def about(event: Event) -> dict[str, Any]:
    """The same of any event."""
    handler = event.handler
    fields = {
        "plugin": handler.plugin,
        "phase": handler.phase,
        "instance": handler.instance_id,
        "event": event.id,
    }
    request = request_id(event)
    return fields if request is None else {**fields, "request": request}


def request_id(event: Event) -> str | None:
    """Kong's id of the request; None where the event has not read it."""
    trips = event.trips
    if type(trips) is Trips:
        headers = trips.maps[HEADERS]
        found = None if headers is None else headers[1].get(REQUEST_ID)
        if found and len(found) == 1:
            return _text(found[0])
        for key, answer in trips.answers.items():
            if type(key) is tuple and _reads_it(key[0], key[1:]):
                return _text(answer)
    elif trips is not None and _reads_it(trips[0], trips[1]):
        return _text(trips[2])
    return None


def _reads_it(method: str, args: tuple[Any, ...]) -> bool:
    return (
        method == _GET_HEADER
        and len(args) == 1
        and type(args[0]) is str
        and args[0].lower() == REQUEST_ID
    )


def _text(value: Any) -> str | None:
    return value if type(value) is str else None
