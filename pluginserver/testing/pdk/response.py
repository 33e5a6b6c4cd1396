"""``kong.response``: what the client will get.

Rules kept here:

* what ends the request raises :class:`~pluginserver.testing.kong.state.Exit`, and the headers set so far
  go with it;
* ``Transfer-Encoding`` cannot be set.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from ...spec.error_pages import accepted, page
from ..kong.headers import Headers
from ..kong.lua import LuaError, octets, to_json
from ..kong.messages import Response
from ..kong.state import Exit, State
from .request import gather
from .table import pdk, want_header, want_headers, want_limit, want_string

RESPONSE: Final = "response"
"""The word for the client's response in the record of changes."""


@pdk("kong.response.get_status")
def get_status(state: State) -> int:
    return state.status


@pdk("kong.response.get_header")
def get_header(state: State, name: Any) -> str | None:
    return state.response_headers.get(want_string(name, "header name"))


@pdk("kong.response.get_headers")
def get_headers(state: State, max_headers: Any = None) -> dict[str, Any]:
    return gather(state.response_headers.pairs(), want_limit(max_headers, "max_headers"))


@pdk("kong.response.get_source")
def get_source(state: State) -> str:
    return state.source


@pdk("kong.response.set_status")
def set_status(state: State, status: Any) -> None:
    status = _status(status)
    state.change(RESPONSE, "status", state.status or None, status)
    state.status = status


@pdk("kong.response.set_header")
def set_header(state: State, name: Any, value: Any) -> None:
    _set(state, name, want_header(name, value))


@pdk("kong.response.add_header")
def add_header(state: State, name: Any, value: Any) -> None:
    values = want_header(name, value)
    state.change_headers(RESPONSE, state.response_headers, name, values, replace=False)


@pdk("kong.response.clear_header")
def clear_header(state: State, name: Any) -> None:
    state.change_headers(RESPONSE, state.response_headers, want_string(name, "header name"), [])


@pdk("kong.response.set_headers")
def set_headers(state: State, headers: Any) -> None:
    for name, values in want_headers(headers).items():
        _set(state, name, values)


@pdk("kong.response.exit")
def exit(state: State, status: Any, body: Any = None, headers: Any = None) -> NoReturn:
    if state.phase == "preread" and status not in (200, 400, 403, 500, 502, 503):
        raise LuaError("unacceptable code, only 200, 400, 403, 500, 502 and 503 are accepted")
    status = _status(status)
    if body is not None and not isinstance(body, (str, list, dict)):
        raise LuaError("body must be a nil, string or table")
    if headers is not None and not isinstance(headers, (list, dict)):
        raise LuaError("headers must be a nil or table")
    given = want_headers(headers or {})
    raise Exit(answer(state, status, body, given), "exit")


@pdk("kong.response.error")
def error(state: State, status: Any, message: Any = None, headers: Any = None) -> NoReturn:
    if isinstance(status, bool) or not isinstance(status, int):
        raise LuaError("code must be a number")
    if not 400 <= status <= 599:
        raise LuaError("code must be a number between 400 and 599")
    if message is not None and not isinstance(message, (str, list, dict)):
        raise LuaError("message must be a nil, string or table")
    if headers is not None and not isinstance(headers, (list, dict)):
        raise LuaError("headers must be a nil or table")
    raise Exit(error_response(state, status, message, want_headers(headers or {})), "exit")


def _status(status: Any) -> int:
    if isinstance(status, bool) or not isinstance(status, (int, float)):
        raise LuaError("code must be a number")
    if not 100 <= status <= 599:
        raise LuaError("code must be a number between 100 and 599")
    return int(status)


def _set(state: State, name: str, values: list[Any]) -> None:
    if name.lower().replace("_", "-") == "transfer-encoding":
        state.log("warn", "manually setting Transfer-Encoding. Ignored.")
        return
    state.change_headers(RESPONSE, state.response_headers, name, values)


def answer(state: State, status: int, body: Any, headers: dict[str, list[Any]]) -> Response:
    """A response of Kong's own: the headers set so far, these, and a body of text or JSON."""
    for name, values in headers.items():
        _set(state, name, values)
    lines, given = state.response_headers, Headers(headers)
    if isinstance(body, (list, dict)):
        data = octets(to_json(body))
        if "content-type" not in given:
            lines.set("Content-Type", ["application/json; charset=utf-8"])
    else:
        data = octets(body or "")
    if "content-length" not in given:
        lines.set("Content-Length", [str(len(data))])
    return Response(status, data, lines)


def error_response(
    state: State, status: int, message: Any = None, headers: dict[str, list[Any]] | None = None
) -> Response:
    """Kong's error page: in the form that the headers name, else in the one that the client accepts.

    :raises LuaError: when the headers name a form of which Kong has no page.
    """
    if isinstance(message, (list, dict)):
        return answer(state, status, message, headers or {})
    named = (headers or {}).get("Content-Type")
    kind = str(named[0]) if named else accepted(",".join(state.headers.all("accept")))
    try:
        body = page(kind, status, message or "", state.exchange.id)
    except KeyError:
        raise LuaError("bad argument #1 to 'fmt' (string expected, got nil)") from None
    return answer(state, status, body, {"Content-Type": [kind], **(headers or {})})
