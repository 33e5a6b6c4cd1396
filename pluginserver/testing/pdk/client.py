"""``kong.client``: who called; ``kong.router``: where the request is going.

Rules kept here:

* no consumer and no credential is nil, an empty table stands for an empty entity.
"""

from __future__ import annotations

from typing import Any

from ...spec.formats import UUID
from ..kong.lua import LuaError, type_name
from ..kong.state import Failure, State
from .node import is_trusted
from .table import pdk, want_string


@pdk("kong.client.get_ip")
def get_ip(state: State) -> str:
    return state.request.client_ip


@pdk("kong.client.get_forwarded_ip")
def get_forwarded_ip(state: State) -> str:
    forwarded = state.headers.get("x-real-ip")
    if forwarded and is_trusted(state, state.request.client_ip):
        return forwarded
    return state.request.client_ip


@pdk("kong.client.get_port", "kong.client.get_forwarded_port")
def get_port(state: State) -> int:
    return state.request.client_port


@pdk("kong.client.get_credential")
def get_credential(state: State) -> Any:
    return state.credential


@pdk("kong.client.get_consumer")
def get_consumer(state: State) -> Any:
    return state.consumer


@pdk("kong.client.load_consumer")
def load_consumer(state: State, consumer_id: Any, search_by_username: Any = None) -> Any:
    identity = want_string(consumer_id, "consumer_id")
    by_id = UUID.fullmatch(identity) is not None
    if not by_id and not search_by_username:
        raise LuaError("cannot load a consumer with an id that is not a uuid")
    for consumer in state.node.consumers.values():
        if (by_id and consumer.data["id"] == identity) or (
            search_by_username and consumer.data.get("username") == identity
        ):
            return consumer.data
    return None


@pdk("kong.client.authenticate")
def authenticate(state: State, consumer: Any = None, credential: Any = None) -> None:
    for what, value in (("consumer", consumer), ("credential", credential)):
        if value is not None and not isinstance(value, (list, dict)):
            raise LuaError(f"{what} must be a table or nil")
    if consumer is None and credential is None:
        raise LuaError("either credential or consumer must be provided")
    state.change("context", "consumer", state.consumer, consumer)
    state.change("context", "credential", state.credential, credential)
    state.consumer = _entity(consumer)
    state.credential = _entity(credential)


def _entity(value: Any) -> dict[str, Any] | None:
    return {} if isinstance(value, list) else value


@pdk("kong.client.get_protocol")
def get_protocol(state: State, allow_terminated: Any = None) -> Any:
    if state.route is None:
        return Failure("No active route found")
    protocols = state.route.data["protocols"]
    if len(protocols) == 1:
        return protocols[0]
    scheme = state.request.scheme
    forwarded = state.headers.get("x-forwarded-proto")
    if allow_terminated and forwarded and is_trusted(state, state.request.client_ip):
        scheme = forwarded.lower()
    return "https" if scheme == "https" else "http"


@pdk("kong.client.tls.request_client_certificate", "kong.client.tls.disable_session_reuse")
def tls_setting(state: State) -> Any:
    return True if state.tls else Failure("no TLS connection")


@pdk("kong.client.tls.get_full_client_certificate_chain")
def get_full_client_certificate_chain(state: State) -> Any:
    return state.tls.client_certificate if state.tls else None


@pdk("kong.client.tls.set_client_verify")
def set_client_verify(state: State, verify: Any) -> None:
    if not isinstance(verify, str):
        raise LuaError(f"argument must be a string: got {type_name(verify)}")
    if verify not in ("SUCCESS", "NONE") and not verify.startswith("FAILED:"):
        raise LuaError(
            f"unknown client verify value: {verify}, accept: SUCCESS, NONE, FAILED:reason"
        )
    state.change("context", "client verify", state.client_verify, verify)
    state.client_verify = verify


@pdk("kong.router.get_route")
def get_route(state: State) -> Any:
    return None if state.route is None else state.route.data


@pdk("kong.router.get_service")
def get_service(state: State) -> Any:
    return None if state.service is None else state.service.data
