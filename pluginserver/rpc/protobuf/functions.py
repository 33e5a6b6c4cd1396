"""What a PDK call is in ProtoBuf:1: of the functions that Kong has there, and of those that can be built.

The one table is :data:`_CALLS`.

Rules kept here:

* an answer that could be two things (a header that is empty, or not there) is told apart by one more call,
  and only then;
* a function that Kong does not have here is built from those that it has where the outcome is the same, or
  raises :class:`~pluginserver.errors.PDKError`;
* nothing is kept between the calls of one function but what its :class:`~.asks.Ask` holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from ...errors import PDKError
from ...events.outcome import ERROR, EXIT, LOG_ERROR, Outcome
from ...pdk.values import json_text
from ...spec import arguments
from ...spec.error_pages import UTF8, accepted, page
from ...spec.multimap import Headers
from ...spec.phases import ANSWERING
from ...spec.protobuf import missing
from ...spec.secrets import is_reference
from .asks import Args, Ask, Begin, Given, at, then
from .bodies import get_body, get_response_body, set_body
from .plain import PLAIN, body, with_text

LONG: Final = 100
"""Characters of a header's name from which on what is sent for it is not kept."""

MAX_LIMIT: Final = 1000
"""The most headers that Kong reads."""

UNEXPECTED: Final = json_text({"message": "An unexpected error occurred"})
"""The body of a response that closes a request."""


def ask(name: str, args: Args = ()) -> Ask | Given:
    """What is sent for a call, or what it gives at once.

    :param name: the function's full name.
    :raises PDKError: for a function that cannot be had.
    :raises WireError: for arguments that cannot be sent.
    """
    begin = _CALLS.get(name)
    if begin is None:
        raise PDKError(missing(name))
    return begin(args)


# -- the last words of an event


def last_words(outcome: Outcome, phase: str) -> Ask | None:
    """What Kong is asked for when an event has ended otherwise than by returning; None when it has not.

    There is no place for an error in this protocol: the request is closed by an ``exit`` of ours, or, in a
    phase that cannot answer, the error goes to Kong's log.

    :raises PDKError, WireError: for an ``exit`` that cannot be sent.
    """
    if outcome.error is not None:
        return PLAIN[LOG_ERROR]((outcome.error,))
    if outcome.call is None:
        return None
    name, args = outcome.call
    if outcome.how != "exited":
        return closing(phase, "")
    if name == EXIT and phase == "preread":
        return PLAIN[name](args[:2])  # a stream has no headers
    return _error(args) if name == ERROR else PLAIN[name](args)


def closing(phase: str, why: str) -> Ask:
    """What closes a request; in a phase that cannot answer only the log is told ``why``."""
    if phase not in ANSWERING:
        return PLAIN[LOG_ERROR]((why,))
    if phase == "preread":
        return PLAIN[EXIT]((500, UNEXPECTED))
    return PLAIN[EXIT]((500, UNEXPECTED, {"Content-Type": f"application/json{UTF8}"}))


# -- functions with a second call


def _get_header(name: str) -> Begin:
    """A header: empty ones and missing ones look alike, but not among all headers."""
    one, every = PLAIN[name], PLAIN[f"{name}s"]

    def ask_for(header: str) -> Ask:
        def go_on(value: Any) -> Any:
            return value or then(every((MAX_LIMIT,)), lambda all: Headers(all).get(header))

        return then(one((header,)), go_on)

    known = lru_cache(maxsize=256)(ask_for)

    def begin(args: Args) -> Ask:
        header = at(args, 0, "")
        usual = type(header) is str and len(header) < LONG
        return known(header) if usual else ask_for(header)

    return begin


_get_request_header: Final = _get_header("kong.request.get_header")


def _get_query_arg(args: Args) -> Ask:
    """An argument of the query: Kong fails the request for one without a value."""

    def go_on(found: Any) -> Any:
        values = found.get(at(args, 0))
        return values if values is None else values[0] if values else True

    return then(PLAIN["kong.request.get_query"](()), go_on)


def _get_raw_body(args: Args) -> Ask:
    frames = PLAIN["kong.request.get_raw_body"](()).frames
    return Ask(frames, lambda data: body(data, at(args, 0, 0)))


def _get_memory_stats(args: Args) -> Ask:
    if args:
        raise PDKError(
            "Kong's ProtoBuf:1 gives kong.node.get_memory_stats in bytes only: leave unit and scale out, or"
            " serve this plugin with protocol = 'msgpack'"
        )
    return PLAIN["kong.node.get_memory_stats"](())


# -- functions that are built


def _get_raw_path(_args: Args) -> Ask:
    return then(
        PLAIN["kong.request.get_path_with_query"](()), lambda found: found.partition("?")[0]
    )


def _get_start_time(_args: Args) -> Ask:
    """In milliseconds: Kong keeps it in its context, and takes nginx's own where it does not."""

    def go_on(found: Any) -> Any:
        if isinstance(found, (int, float)):
            return found
        return then(PLAIN["kong.nginx.req_start_time"](()), lambda seconds: int(seconds * 1000))

    return then(PLAIN["kong.nginx.get_ctx"](("KONG_PROCESSING_START",)), go_on)


def _forwarded(header: str, otherwise: Callable[[], Ask]) -> Begin:
    """What a trusted load balancer says in a header.

    :param otherwise: asks for what it is when there is none.
    """

    def begin(_args: Args) -> Ask:
        def go_on(trusted: Any) -> Any:
            if not trusted:
                return otherwise()
            found = _get_request_header((header,))
            return then(found, lambda value: otherwise() if value is None else value)

        def is_trusted(address: Any) -> Ask:
            return then(PLAIN["kong.ip.is_trusted"]((address,)), go_on)

        return then(PLAIN["kong.client.get_ip"](()), is_trusted)

    return begin


def _deprecation(args: Args) -> Ask:
    words = [str(one) for one in args if not isinstance(one, Mapping)]
    notes = next((one for one in args if isinstance(one, Mapping)), {})
    parts = [
        f"{phrase} {notes[name]}"
        for name, phrase in (
            ("after", "deprecated after"),
            ("removal", "scheduled for removal in"),
        )
        if name in notes
    ]
    text = "".join(words)
    return PLAIN["kong.log.warn"]((f"{text} ({', '.join(parts)})" if parts else text,))


def _inspect(args: Args) -> Ask:
    return PLAIN["kong.log.debug"]((" ".join(map(repr, args)),))


def _error(args: Args) -> Ask:
    """Kong's error page, in the form that the client accepts."""
    status, message, headers = at(args, 0), at(args, 1, ""), at(args, 2) or {}
    if isinstance(message, (Mapping, list, tuple)):
        return PLAIN[EXIT]((status, message, headers))

    def exit_with(kind: str) -> Ask:
        def go_on(identity: Any) -> Ask:
            text = (
                message.decode("utf-8", "surrogateescape")
                if isinstance(message, bytes)
                else message
            )
            content = page(kind, status, text, identity or "")
            return PLAIN[EXIT]((status, content, {"Content-Type": kind, **headers}))

        return then(PLAIN["kong.nginx.get_var"](("kong_request_id",)), go_on)

    if "Content-Type" in headers:
        return exit_with(headers["Content-Type"])
    found = PLAIN["kong.request.get_header"](("accept",))
    return then(found, lambda accept: exit_with(accepted(accept)))


def _get_plugin_id(_args: Args) -> Ask:
    return PLAIN["kong.nginx.get_ctx"](("plugin_id",))


def _is_reference(args: Args) -> Given:
    return Given(is_reference(with_text(at(args, 0))))


def _clear_query_arg(args: Args) -> Ask:
    def go_on(query: str) -> Any:
        if not query:
            return None
        left = arguments.without(query, with_text(at(args, 0, "")))
        return PLAIN["kong.service.request.set_raw_query"]((left,))

    return then(PLAIN["kong.request.get_raw_query"](()), go_on)


_CALLS: Final[dict[str, Callable[[Args], Ask | Given]]] = {
    **PLAIN,
    "kong.request.get_header": _get_request_header,
    "kong.response.get_header": _get_header("kong.response.get_header"),
    "kong.service.response.get_header": _get_header("kong.service.response.get_header"),
    "kong.request.get_query_arg": _get_query_arg,
    "kong.request.get_raw_body": _get_raw_body,
    "kong.node.get_memory_stats": _get_memory_stats,
    "kong.log": PLAIN["kong.log.notice"],
    "kong.log.emerg": PLAIN["kong.log.alert"],
    "kong.log.deprecation": _deprecation,
    "kong.log.inspect": _inspect,
    "kong.request.get_raw_path": _get_raw_path,
    "kong.request.get_start_time": _get_start_time,
    "kong.request.get_forwarded_path": _forwarded(
        "x-forwarded-path", lambda: PLAIN["kong.request.get_path"](())
    ),
    "kong.request.get_forwarded_prefix": _forwarded(
        "x-forwarded-prefix",
        lambda: PLAIN["kong.nginx.get_var"](("upstream_x_forwarded_prefix",)),
    ),
    "kong.response.error": _error,
    "kong.request.get_body": get_body,
    "kong.service.response.get_body": get_response_body,
    "kong.service.request.set_body": set_body,
    "kong.service.request.clear_query_arg": _clear_query_arg,
    "kong.plugin.get_id": _get_plugin_id,
    "kong.vault.is_reference": _is_reference,
}
"""Every function that can be had."""
