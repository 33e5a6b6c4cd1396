"""``kong.response``: what the client will get.

Rules kept here:

* what ends the request raises :class:`~pluginserver.testing.kong.state.Exit`, and the headers set so far
  go with it;
* ``Transfer-Encoding`` cannot be set.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from ...pdk.response import MESSAGES
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
    words = message or MESSAGES.get(status) or f"The upstream server responded with {status}"
    named = (headers or {}).get("Content-Type")
    kind = str(named[0]) if named else _accepted(",".join(state.headers.all("accept")))
    media = kind.removesuffix(_UTF8)
    if media not in _PAGES:
        raise LuaError("bad argument #1 to 'fmt' (string expected, got nil)")
    if media == _JSON:
        words = json.dumps(words, ensure_ascii=False)
    body = _PAGES[media].format(words=words, identity=state.exchange.id)
    return answer(state, status, body, {"Content-Type": [kind], **(headers or {})})


def _accepted(accept: str) -> str:
    """The content type that an ``Accept`` header asks for: the first one of the highest quality.

    What Kong has no page for counts as JSON.
    """
    best, found = 0.0, _JSON
    for choice in accept.split(","):
        match = _CHOICE.match(choice.strip())
        quality = float(match["quality"] or 1) if match else 0.0
        if match and quality > best:
            best = quality
            media = match["media"]
            found = media if media in _PAGES else _RANGES.get(media, _JSON)
    return found + _UTF8


_CHOICE: Final = re.compile(
    r"""(?P<media> (?: [a-z0-9][-a-z0-9!#$&^_+.]+ | \* ) / (?: [a-z0-9][-a-z0-9!#$&^_+.]+ | \* ) )
    (?: \s*;\s* q=(?P<quality> 1(?:\.0{0,3})? | 0(?:\.\d{0,3})? )
      | \s*;\s* [a-z0-9][-a-z0-9!#$&^_+.]+ (?:=[^;]*)? )*""",
    re.IGNORECASE | re.VERBOSE,
)
"""One choice of an ``Accept`` header."""

_UTF8: Final = "; charset=utf-8"
_JSON: Final = "application/json"
_RANGES: Final = {"text/*": "text/plain"}
"""Which page a range of media types gets, when that is not JSON."""

_PAGES: Final = {
    _JSON: '{{\n  "message":{words},\n  "request_id":"{identity}"\n}}',
    "text/plain": "{words}\nrequest_id: {identity}\n",
    "text/html": (
        '<!doctype html>\n<html>\n  <head>\n    <meta charset="utf-8">\n    <title>Error</title>\n'
        "  </head>\n  <body>\n    <h1>Error</h1>\n    <p>{words}.</p>\n"
        "    <p>request_id: {identity}</p>\n  </body>\n</html>\n"
    ),
    "application/xml": (
        '<?xml version="1.0" encoding="UTF-8"?>\n<error>\n  <message>{words}</message>\n'
        "  <requestid>{identity}</requestid>\n</error>\n"
    ),
}
