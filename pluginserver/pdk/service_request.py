"""``kong.service.request``: the request that Kong sends to the service.

Rules kept here:

* what is set here shows at once in ``kong.request``;
* JSON that Lua would change (null, an empty list, a long number) is made here and sent as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from ..errors import PDKError
from ..events.callbacks import callback
from ..spec.multimap import QueryValue
from .headers import HeadersInput, HeaderValue, WireValue, header_map, header_name, header_value
from .namespace import Namespace
from .values import (
    check_choice,
    check_raw,
    check_text,
    json_text,
    survives_lua,
    to_jsonable,
    to_lua_map,
)

METHODS: Final = (
    "GET",
    "HEAD",
    "PUT",
    "POST",
    "DELETE",
    "OPTIONS",
    "MKCOL",
    "COPY",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
    "PATCH",
    "TRACE",
)
"""The methods that Kong can set."""

JSON: Final = "application/json"
BODY_TYPES: Final = ("application/x-www-form-urlencoded", JSON, "multipart/form-data")
"""The types of bodies that Kong can make."""

QueryInput: TypeAlias = "Mapping[str, QueryValue | bool | Sequence[QueryValue]]"
"""Query arguments: text, True for one without a value, or a list of these."""


class ServiceRequest(Namespace):
    """Functions about the request to the service."""

    __slots__ = ()

    NAME = "kong.service.request"

    def enable_buffering(self) -> None:
        """Let Kong read the whole response before a plugin's ``response`` sees it.

        A plugin that has a handler for ``response`` does not have to ask for it.

        Phases: rewrite, access.
        """
        callback("kong.service.request.enable_buffering")

    def set_scheme(self, scheme: str) -> None:
        """Set the scheme with which Kong calls the service.

        :param scheme: ``"http"`` or ``"https"``.

        Phases: rewrite, access.
        """
        callback(
            "kong.service.request.set_scheme", check_choice(scheme, "scheme", ("http", "https"))
        )

    def set_path(self, path: str) -> None:
        """Set the path; Kong escapes what needs it.

        :param path: begins with ``/`` and has no query.

        Phases: rewrite, access.
        """
        if not check_text(path, "path").startswith("/"):
            raise ValueError(f"path must begin with '/', not {path!r}")
        callback("kong.service.request.set_path", path)

    def set_raw_query(self, query: str) -> None:
        """Set the query, already escaped.

        :param query: without the question mark.

        Phases: rewrite, access.
        """
        callback("kong.service.request.set_raw_query", check_text(query, "query"))

    def set_method(self, method: str) -> None:
        """Set the method.

        :param method: one of :data:`METHODS`, in upper case.

        Phases: rewrite, access.
        """
        callback("kong.service.request.set_method", check_choice(method, "method", METHODS))

    def set_query(self, args: QueryInput) -> None:
        """Set the query; names and values are escaped, and sorted by name.

        :param args: a value is text, True for an argument without a value, False to leave the argument
            out, or a list of these.

        Phases: rewrite, access.
        """
        callback("kong.service.request.set_query", to_lua_map(args, "args"))

    def clear_query_arg(self, name: str) -> None:
        """Remove a query argument, wherever it occurs.

        Since Kong 3.9.

        Phases: rewrite, access.
        """
        callback("kong.service.request.clear_query_arg", check_text(name, "name"))

    def set_header(self, name: str, value: HeaderValue) -> None:
        """Set a header of the request, in place of all of that name.

        :param value: a list for several headers; ``Host`` takes one only.

        Phases: rewrite, access.
        """
        if type(name) is not str or not name.isascii():
            name = header_name(name)
        if type(value) is not str or not value.isascii():
            value = header_value(name, value)
            _check_host(name, value)
        callback("kong.service.request.set_header", name, value)

    def add_header(self, name: str, value: HeaderValue) -> None:
        """Add a header to the request, beside others of that name.

        :param value: a list for several headers; each is a call of its own.

        Phases: rewrite, access.
        """
        name = header_name(name)
        values = header_value(name, value)
        for item in values if isinstance(values, list) else (values,):
            callback("kong.service.request.add_header", name, item)

    def clear_header(self, name: str) -> None:
        """Remove all headers of that name from the request.

        Phases: rewrite, access.
        """
        callback("kong.service.request.clear_header", header_name(name))

    def set_headers(self, headers: HeadersInput) -> None:
        """Set several headers of the request; others stay.

        :param headers: for each what :meth:`set_header` takes.

        Phases: rewrite, access.
        """
        sent = header_map(headers)
        for name, value in sent.items():
            _check_host(name, value)
        callback("kong.service.request.set_headers", sent)

    def set_raw_body(self, body: str | bytes) -> None:
        """Set the body.

        :param body: bytes, or text, which is sent as UTF-8.

        Phases: rewrite, access.
        """
        callback("kong.service.request.set_raw_body", check_raw(body, "body"))

    def set_body(
        self, args: Mapping[str, Any] | attrs.AttrsInstance, mimetype: str | None = None
    ) -> bool | None:
        """Set the body to a form, multipart or JSON, and ``Content-Type`` with it.

        :param args: the fields of a form are text, True, or (not in multipart) lists of these.
        :param mimetype: one of :data:`BODY_TYPES`.  Default: the type of the request,
            which takes one more call to read.
        :returns: True, or None when the request has no type.
        :raises PDKError: when the request's type is not one of :data:`BODY_TYPES`: Kong would fail
            the request.

        Phases: rewrite, access.
        """
        if not isinstance(args, Mapping) and not attrs.has(type(args)):
            raise TypeError(f"args must be a mapping, not {type(args).__name__}")
        if mimetype is None:
            mimetype = callback("kong.request.get_header", "content-type")
            if mimetype is None:
                return None
            if _base(mimetype) not in BODY_TYPES:
                raise PDKError(
                    f"the request's type is {mimetype!r}, and Kong cannot make a body of that type: "
                    f"give mimetype, one of {', '.join(BODY_TYPES)}"
                )
        else:
            check_choice(_base(check_text(mimetype, "mimetype")), "mimetype", BODY_TYPES)
        if _base(mimetype) == JSON:
            value = to_jsonable(args, "args")
            if not survives_lua(value):
                callback("kong.service.request.set_raw_body", json_text(value))
                callback("kong.service.request.set_header", "Content-Type", mimetype)
                return True
        else:
            value = to_lua_map(args, "args")
        return callback("kong.service.request.set_body", value, mimetype)

    def disable_tls(self) -> bool | None:
        """Connect to the service without TLS.

        :returns: True, or None when it failed.

        Phases: preread.
        """
        return callback("kong.service.request.disable_tls")


def _base(mimetype: str) -> str:
    return mimetype.partition(";")[0]


def _check_host(name: str, value: HeaderValue | WireValue) -> None:
    if isinstance(value, list) and name.lower() == "host":
        raise ValueError("the header 'Host' takes one value, not a list")
