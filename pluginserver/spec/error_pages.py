"""The error pages that Kong makes: which one a client gets, and what is in it.

Rules kept here:

* the form is the first one of the highest quality that ``Accept`` names; what Kong has no page for is JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

UTF8: Final = "; charset=utf-8"
JSON: Final = "application/json"

PAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        JSON: '{{\n  "message":{words},\n  "request_id":"{identity}"\n}}',
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
)
"""The pages by their media types."""

MESSAGES: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "Bad request",
        401: "Unauthorized",
        402: "Payment required",
        403: "Forbidden",
        404: "Not found",
        405: "Method not allowed",
        406: "Not acceptable",
        407: "Proxy authentication required",
        408: "Request timeout",
        409: "Conflict",
        410: "Gone",
        411: "Length required",
        412: "Precondition failed",
        413: "Payload too large",
        414: "URI too long",
        415: "Unsupported media type",
        416: "Range not satisfiable",
        417: "Expectation failed",
        418: "I'm a teapot",
        421: "Misdirected request",
        422: "Unprocessable entity",
        423: "Locked",
        424: "Failed dependency",
        425: "Too early",
        426: "Upgrade required",
        428: "Precondition required",
        429: "Too many requests",
        431: "Request header fields too large",
        451: "Unavailable for legal reasons",
        494: "Request header or cookie too large",
        500: "An unexpected error occurred",
        501: "Not implemented",
        502: "An invalid response was received from the upstream server",
        503: "The upstream server is currently unavailable",
        504: "The upstream server is timing out",
        505: "HTTP version not supported",
        506: "Variant also negotiates",
        507: "Insufficient storage",
        508: "Loop detected",
        510: "Not extended",
        511: "Network authentication required",
    }
)
"""The text that Kong puts into an error response without a message."""

_RANGES: Final = {"text/*": "text/plain"}
"""Which page a range of media types gets, when that is not JSON."""

_CHOICE: Final = re.compile(
    r"""(?P<media> (?: [a-z0-9][-a-z0-9!#$&^_+.]+ | \* ) / (?: [a-z0-9][-a-z0-9!#$&^_+.]+ | \* ) )
    (?: \s*;\s* q=(?P<quality> 1(?:\.0{0,3})? | 0(?:\.\d{0,3})? )
      | \s*;\s* [a-z0-9][-a-z0-9!#$&^_+.]+ (?:=[^;]*)? )*""",
    re.IGNORECASE | re.VERBOSE,
)
"""One choice of an ``Accept`` header."""


def accepted(accept: str) -> str:
    """The content type that an ``Accept`` header asks for."""
    best, found = 0.0, JSON
    for choice in accept.split(","):
        match = _CHOICE.match(choice.strip())
        quality = float(match["quality"] or 1) if match else 0.0
        if match and quality > best:
            best = quality
            media = match["media"]
            found = media if media in PAGES else _RANGES.get(media, JSON)
    return found + UTF8


def page(kind: str, status: int, message: str, identity: str) -> str:
    """An error page.

    :param kind: its content type.
    :param message: what went wrong; ``""`` for Kong's text for the status.
    :param identity: the request's id.
    :raises KeyError: for a content type of which Kong has no page.
    """
    words = message or MESSAGES.get(status) or f"The upstream server responded with {status}"
    media = kind.removesuffix(UTF8)
    form = PAGES[media]
    return form.format(
        words=json.dumps(words, ensure_ascii=False) if media == JSON else words, identity=identity
    )
