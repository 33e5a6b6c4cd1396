"""Kong's PDK functions as data: where each may be called, and what kind of step answers it.

Kong throws when a function is called in a phase that does not offer it.  The client then gets a
500, and the event never hears of it.  So a call is looked up here before it is sent.

Rules kept here:

* the phases are those in which the function worked on Kong 3.10 through its own client, not those
  that Kong's documentation names for Lua plugins; what was seen to fail is left out;
* a name that is not listed is never refused: a newer Kong may have it;
* a function that cannot work from outside of Kong in any phase is listed with the reason;
* an answer is remembered only where its row names a kind: the last column has the kind, or ``!`` and the
  kinds that the functions change.  ``""`` is asked each time, and changes nothing that is remembered;
* what is not listed changes everything (:func:`changed_by`).

Kong 3.16's metrics are not listed: ``kong.metrics`` gives out Lua objects, which do not cross the
wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from .methods import STEP_OF
from .phases import LETTERS, PHASES


@attrs.frozen
class Function:
    """A function of Kong's PDK.

    :param name: the full name, as it goes on the wire.
    :param phases: the phases in which a plugin server can call it.
    :param step: the name of the RPC method with which Kong answers.
    :param since: the Kong version that brought it, when that is later than 3.0.
    :param enterprise: only Kong Enterprise has it.
    :param never_returns: Kong sends no answer, the request is over.
    :param unusable: why it can be called in no phase; empty for one that can.
    :param remembered: the kind of its answer, one of :data:`KINDS`, when an event may remember it; empty for
        a function that Kong is asked each time.
    :param changes: the kinds of answers that a call of it makes an event forget.
    """

    name: str
    phases: frozenset[str]
    step: str = "Step"
    since: str | None = None
    enterprise: bool = False
    never_returns: bool = False
    unusable: str = ""
    remembered: str = ""
    changes: frozenset[str] = frozenset()


KINDS: Final = ("fixed", "client", "request", "response", "route")
"""The kinds of answers that can be remembered: an answer is forgotten when something of its kind changes.

``fixed`` is what nothing changes while an event runs but what may change anything.
"""

_SINCE: Final = {
    "kong.service.request.clear_query_arg": "3.9",
    "kong.telemetry.log": "3.8",
}

LATER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "kong.request.get_raw_forwarded_path": "3.11",
        "kong.request.get_id": "3.12",
        "kong.client.get_aws_vpce_id": "3.12",
        "kong.service.request.set_authentication_headers": "3.13",
        "kong.client.get_token": "3.14",
        "kong.client.set_token": "3.14",
        "kong.client.get_jwt_token_header": "3.14",
        "kong.client.get_jwt_token_payload": "3.14",
        "kong.request.get_raw_headers": "3.15",
    }
)
"""The functions that came after Kong 3.10, all in Kong Enterprise, and the version that surely has each.

They have no method of their own: ``kong.call`` calls them by their names.
"""

PATIENT: Final = frozenset(
    {
        "kong.request.get_raw_body",
        "kong.request.get_body",
        "kong.client.load_consumer",
        "kong.vault.get",
        "kong.vault.update",
    }
)
"""Calls in which Kong itself waits: for a client, a database or a vault."""

_NEVER_RETURN: Final = frozenset({"kong.response.exit", "kong.response.error"})

_ANY: Final = "CRAPSL"

_TABLE: Final = (
    # namespace, functions, phases, memory: see _memory
    ("kong", "log", _ANY, ""),
    ("kong.client", "get_ip get_forwarded_ip get_port get_forwarded_port", "CRAP", "fixed"),
    ("kong.client", "get_credential get_consumer", "APL", "client"),
    ("kong.client", "load_consumer", "APL", ""),
    ("kong.client", "authenticate", "A", "!client request"),
    ("kong.client", "get_protocol", "APS", "request"),
    ("kong.client.tls", "request_client_certificate disable_session_reuse", "C", "!client"),
    ("kong.client.tls", "get_full_client_certificate_chain", "RAP", ""),
    ("kong.client.tls", "set_client_verify", "RAP", "!client"),
    ("kong.cluster", "get_id", _ANY, ""),
    ("kong.ctx.shared", "get set", _ANY, ""),
    ("kong.ip", "is_trusted", _ANY, "fixed"),
    ("kong.log", "debug info notice warn err crit alert emerg deprecation inspect", _ANY, ""),
    ("kong.log", "set_serialize_value", "RAPL", ""),
    ("kong.log", "serialize", "L", ""),
    ("kong.nginx", "get_var", "RAPS", ""),
    ("kong.nginx", "get_tls1_version_str", "RAP", "fixed"),
    ("kong.nginx", "get_ctx get_statistics", _ANY, ""),
    ("kong.nginx", "set_ctx", _ANY, "!fixed client request response route"),
    ("kong.nginx", "get_subsystem", _ANY, "fixed"),
    ("kong.nginx", "req_start_time", "RAPL", "fixed"),
    ("kong.node", "get_id get_hostname get_memory_stats", _ANY, ""),
    ("kong.plugin", "get_id", "RAPL", "fixed"),
    ("kong.request", "get_scheme get_host", "RAP", "request"),
    ("kong.request", "get_port", "CRAPS", "request"),
    ("kong.request", "get_forwarded_scheme get_forwarded_host", "RAP", "request"),
    ("kong.request", "get_forwarded_port", "RAP", "request"),
    ("kong.request", "get_forwarded_path get_forwarded_prefix", "RAP", "request"),
    ("kong.request", "get_http_version get_method", "RAP", "request"),
    ("kong.request", "get_path get_raw_path get_path_with_query", "RAP", "request"),
    ("kong.request", "get_raw_query get_query_arg get_query", "RAP", "request"),
    ("kong.request", "get_header get_headers", "RAPL", "request"),
    ("kong.request", "get_raw_body get_body", "RAP", ""),
    ("kong.request", "get_start_time get_uri_captures", "RAPL", "request"),
    ("kong.response", "get_status get_header get_headers get_source", "PL", "response"),
    ("kong.response", "set_status set_header add_header", "RAP", "!response"),
    ("kong.response", "clear_header set_headers", "RAP", "!response"),
    ("kong.response", "exit", "RAPS", ""),
    ("kong.response", "error", "RAP", ""),
    ("kong.router", "get_route get_service", "APL", "route"),
    ("kong.service", "set_upstream set_target set_retries set_timeouts", "A", "!route"),
    ("kong.service", "set_tls_verify set_tls_verify_depth", "RAS", "!route"),
    ("kong.service.request", "enable_buffering", "RA", "!request"),
    ("kong.service.request", "set_scheme set_path set_raw_body set_header", "RA", "!request"),
    ("kong.service.request", "set_raw_query set_method set_query", "RA", "!request"),
    ("kong.service.request", "clear_query_arg add_header clear_header", "RA", "!request"),
    ("kong.service.request", "set_headers set_body", "RA", "!request"),
    ("kong.service.request", "disable_tls", "S", "!request"),
    ("kong.service.response", "get_status", "P", "response"),
    ("kong.service.response", "get_header get_headers", "PL", "response"),
    ("kong.service.response", "get_raw_body get_body", "P", ""),
    ("kong.telemetry", "log", _ANY, ""),
    ("kong.vault", "get is_reference parse_reference update", _ANY, ""),
)

_ENTERPRISE: Final = (
    ("kong.client", "get_consumer_group get_consumer_groups", "APL", ""),
    ("kong.client", "set_authenticated_consumer_group", "APL", "!client request"),
    ("kong.client", "set_authenticated_consumer_groups", "APL", "!client request"),
    ("kong.client", "authenticate_consumer_group_by_consumer_id", "A", "!client request"),
    ("kong.enterprise_edition.jwe", "decode decrypt encrypt", _ANY, ""),
)

_BODY_FILTER: Final = (
    "works only in Kong's own body_filter phase: use {} in the response phase instead"
)
_LUA_OBJECT: Final = (
    "takes an object of Lua, which cannot be sent: set it on the service in Kong's configuration"
)
_UNUSABLE: Final = {
    "kong.response.get_raw_body": _BODY_FILTER.format("kong.service.response.get_raw_body"),
    "kong.response.set_raw_body": _BODY_FILTER.format("kong.response.exit"),
    "kong.service.set_tls_cert_key": _LUA_OBJECT,
    "kong.service.set_tls_verify_store": _LUA_OBJECT,
}

_WEBSOCKET: Final = "works only in Kong's WebSocket phases, which no plugin server gets"
_WEBSOCKET_FUNCTIONS: Final = (
    ("kong.websocket.client", "get_frame set_frame_data set_status", "", ""),
    ("kong.websocket.client", "drop_frame close set_max_payload_size", "", ""),
    ("kong.websocket.upstream", "get_frame set_frame_data set_status", "", ""),
    ("kong.websocket.upstream", "drop_frame close set_max_payload_size", "", ""),
)


def _memory(column: str) -> tuple[str, frozenset[str]]:
    """What a row says of remembering: the kind of its functions' answers, and the kinds that they change."""
    kinds = frozenset(column.lstrip("!").split())
    assert kinds <= {*KINDS}, column
    return ("", kinds) if column.startswith("!") else (column, frozenset())


def _functions(
    rows: tuple[tuple[str, str, str, str], ...], enterprise: bool = False, unusable: str = ""
) -> Iterator[Function]:
    for namespace, names, letters, column in rows:
        phases = frozenset(LETTERS[letter] for letter in letters)
        remembered, changes = _memory(column)
        for short in names.split():
            name = f"{namespace}.{short}"
            yield Function(
                name,
                phases,
                step=STEP_OF.get(name, "Step"),
                since=_SINCE.get(name),
                enterprise=enterprise,
                never_returns=name in _NEVER_RETURN,
                unusable=unusable,
                remembered=remembered,
                changes=changes,
            )


def _all() -> Iterator[Function]:
    yield from _functions(_TABLE)
    yield from _functions(_ENTERPRISE, enterprise=True)
    yield from _functions(_WEBSOCKET_FUNCTIONS, enterprise=True, unusable=_WEBSOCKET)
    for name, why in _UNUSABLE.items():
        yield Function(name, frozenset(), unusable=why)


FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {function.name: function for function in _all()}
)
"""Every function that is known, by its full name."""


def changed_by(name: str) -> frozenset[str]:
    """The kinds of answers that a call makes an event forget: all for a function that is not known."""
    function = FUNCTIONS.get(name)
    return frozenset(KINDS) if function is None else function.changes


def forgotten_by(name: str) -> list[str]:
    """The known functions that make an event forget this one's answers; none if it is never remembered."""
    kind = FUNCTIONS[name].remembered
    return [one.name for one in FUNCTIONS.values() if kind and kind in one.changes]


FORBIDDEN: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        phase: frozenset(
            name for name, function in FUNCTIONS.items() if phase not in function.phases
        )
        for phase in PHASES
    }
)
"""For each phase, the names of the known functions that Kong would throw on in it."""
