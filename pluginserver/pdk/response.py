"""``kong.response``: what the client gets.

Rules kept here:

* ``exit`` and ``error`` never come back: Kong answers the client and sends no more steps, and the
  handler is unwound, so that ``finally`` and ``with`` run;
* headers are never cut off by a body that is not given;
* JSON that Lua would change (null, an empty list, a long number) is made here and sent as text.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from ..errors import OutsideEventError
from ..events.callbacks import callback, current, finish
from ..spec.error_pages import MESSAGES
from ..spec.multimap import Headers
from . import results
from .headers import (
    HeadersInput,
    HeaderValue,
    comparable_name,
    header_map,
    header_name,
    header_value,
)
from .namespace import Namespace
from .request import MAX_ITEMS
from .results import whole
from .unusable import refuse
from .values import (
    Body,
    check_integer,
    check_raw,
    check_text,
    json_text,
    survives_lua,
    to_jsonable,
)

STREAM_STATUSES: Final = (200, 400, 403, 500, 502, 503)
"""The statuses with which Kong can end a TCP or TLS connection."""

CONTENT_TYPE: Final = "Content-Type"
JSON: Final = "application/json; charset=utf-8"

ERROR_TYPES: Final = ("application/json", "text/html", "application/xml", "text/plain")
"""The types of error pages that Kong can make; each may be followed by ``; charset=utf-8``."""


class Response(Namespace):
    """Functions about the response to the client."""

    __slots__ = ()

    NAME = "kong.response"

    def get_status(self) -> int:
        """The status of the response.

        Phases: response, log.
        """
        return whole(callback("kong.response.get_status"))

    def get_header(self, name: str) -> str | None:
        """The first value of a header of the response.

        :param name: case does not matter, and ``_`` is the same as ``-``.
        :returns: None when it is not there.

        Phases: response, log.
        """
        if type(name) is not str or not name.isascii():
            name = check_text(name, "name")
        return callback("kong.response.get_header", name)

    def get_headers(self, max_headers: int | None = None) -> Headers:
        """All headers of the response.

        :param max_headers: how many to read, from 1 to 1000; default: 100.

        Phases: response, log.
        """
        if max_headers is None:
            return results.headers(callback("kong.response.get_headers"))
        limit = check_integer(max_headers, "max_headers", 1, MAX_ITEMS)
        return results.headers(callback("kong.response.get_headers", limit))

    def get_source(self) -> str:
        """Where the response comes from.

        :returns: ``"service"``; ``"exit"`` when a plugin or Kong answered; ``"error"`` when
            something failed.

        Phases: response, log.
        """
        return callback("kong.response.get_source")

    def set_status(self, status: int) -> None:
        """Set the status of the response.

        :param status: from 100 to 599.

        Phases: rewrite, access, response.
        """
        callback("kong.response.set_status", check_integer(status, "status", 100, 599))

    def set_header(self, name: str, value: HeaderValue) -> None:
        """Set a header of the response, in place of all of that name.

        :param value: a list for several headers.  Line breaks are percent-encoded.

        Phases: rewrite, access, response.
        """
        if type(name) is not str or not name.isascii():
            name = header_name(name)
        if type(value) is not str or not value.isascii():
            value = header_value(name, value)
        callback("kong.response.set_header", name, value)

    def add_header(self, name: str, value: HeaderValue) -> None:
        """Add a header to the response, beside others of that name.

        Phases: rewrite, access, response.
        """
        name = header_name(name)
        callback("kong.response.add_header", name, header_value(name, value))

    def clear_header(self, name: str) -> None:
        """Remove all headers of that name from the response.

        Phases: rewrite, access, response.
        """
        callback("kong.response.clear_header", header_name(name))

    def set_headers(self, headers: HeadersInput) -> None:
        """Set several headers of the response; others stay.

        :param headers: for each what :meth:`set_header` takes.

        Phases: rewrite, access, response.
        """
        callback("kong.response.set_headers", header_map(headers))

    def exit(
        self, status: int, body: Body | None = None, headers: HeadersInput | None = None
    ) -> NoReturn:
        """Answer the client now; the request goes no further and the handler ends here.

        Phases that follow still run, as do plugins in them.

        :param status: from 100 to 599; in ``preread`` one of 200, 400, 403, 500, 502, 503.
        :param body: text (sent as UTF-8), bytes, or a mapping, list or attrs object, which is sent
            as JSON with the header ``Content-Type: application/json; charset=utf-8`` unless there
            is another in ``headers``.
        :param headers: for each what :meth:`set_header` takes.

        Phases: rewrite, access, response, preread.
        """
        check_integer(status, "status", 100, 599)
        if status not in STREAM_STATUSES and _in_stream():
            raise ValueError(
                f"status must be one of {', '.join(map(str, STREAM_STATUSES))} in preread, "
                f"not {status}"
            )
        sent = {} if headers is None else header_map(headers)
        content = "" if body is None else _body(body, "body")
        if isinstance(content, _MadeJSON):
            content = content.json
            if not any(comparable_name(name) == "content-type" for name in sent):
                sent[CONTENT_TYPE] = JSON
        if sent:
            finish("kong.response.exit", status, content, sent)
        if body is None:
            finish("kong.response.exit", status)
        finish("kong.response.exit", status, content)

    def error(
        self, status: int, message: Body | None = None, headers: HeadersInput | None = None
    ) -> NoReturn:
        """Answer the client with one of Kong's error pages; the handler ends here.

        The page is JSON, HTML, XML or plain text: as the header ``Content-Type`` says when it is
        given, else as the client accepts it.

        :param status: from 400 to 599.
        :param message: what went wrong, as :meth:`exit` takes a body; default: Kong's text for
            the status.
        :param headers: for each what :meth:`set_header` takes.

        Phases: rewrite, access, response.
        """
        check_integer(status, "status", 400, 599)
        sent = _error_headers(headers)
        if message is not None:
            content = _body(message, "message")
            if isinstance(content, _MadeJSON):
                content = content.json
        elif sent:
            content = MESSAGES.get(status) or f"The upstream server responded with {status}"
        else:
            finish("kong.response.error", status)
        if sent:
            finish("kong.response.error", status, content, sent)
        finish("kong.response.error", status, content)

    def get_raw_body(self) -> NoReturn:
        """Not usable: the response's body is ``kong.service.response.get_raw_body()``."""
        refuse("kong.response.get_raw_body")

    def set_raw_body(self, body: str | bytes) -> NoReturn:
        """Not usable: another body is sent with :meth:`exit`, in the response phase."""
        refuse("kong.response.set_raw_body")


class _MadeJSON:
    """JSON that is made here, because Lua would make other JSON of the same value."""

    __slots__ = ("json",)

    def __init__(self, json: str) -> None:
        self.json = json


def _in_stream() -> bool:
    try:
        return current().handler.phase == "preread"
    except OutsideEventError:
        return False


def _body(value: object, what: str) -> Any:
    """A body in the form in which it is sent."""
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return check_raw(value, what)
    converted = to_jsonable(value, what)
    return converted if survives_lua(converted) else _MadeJSON(json_text(converted))


def _error_headers(headers: HeadersInput | None) -> dict[str, Any]:
    """The headers of an error page, with the content type spelt as Kong looks for it."""
    sent: dict[str, Any] = {} if headers is None else header_map(headers)
    for name in sent:
        if comparable_name(name) == "content-type":
            kind = sent.pop(name)
            base, _, parameter = str(kind).partition("; ")
            if base not in ERROR_TYPES or parameter not in ("", "charset=utf-8"):
                raise ValueError(
                    f"the value of header {name!r} must be one of {', '.join(ERROR_TYPES)}, "
                    f"not {kind!r}: Kong does not have other error pages"
                )
            sent[CONTENT_TYPE] = kind
            break
    return sent
