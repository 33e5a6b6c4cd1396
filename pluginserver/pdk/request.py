"""``kong.request``: what the client sent, with what plugins have changed in it so far.

Rules kept here:

* a body is read whole, also one that nginx wrote to a file: its limit is always sent, as Kong fails the
  request without one;
* an argument that is not given never cuts off one that is.
"""

from __future__ import annotations

from typing import Any, Final

from ..events.callbacks import callback
from ..spec.limits import EXACT
from ..spec.multimap import Headers, Query, QueryValue
from . import results
from .namespace import Namespace
from .results import as_map, fresh, whole
from .values import check_integer, check_text

MAX_ITEMS: Final = 1000
"""The highest limit of headers or arguments that Kong takes; default: 100."""

FORM_ARGUMENTS: Final = 100
"""How many arguments of a form Kong reads by default."""


class Request(Namespace):
    """Functions about the client's request."""

    __slots__ = ()

    NAME = "kong.request"

    def get_scheme(self) -> str:
        """``"http"`` or ``"https"``, as the request came to Kong.

        Phases: rewrite, access, response.
        """
        return callback("kong.request.get_scheme")

    def get_host(self) -> str:
        """The host that the request is for, in lower case, without the port.

        It does not change when a plugin sets the header ``Host``.

        Phases: rewrite, access, response.
        """
        return callback("kong.request.get_host")

    def get_port(self) -> int:
        """The port of Kong that the request came to.

        Phases: certificate, rewrite, access, response, preread.
        """
        return whole(callback("kong.request.get_port"))

    def get_forwarded_scheme(self) -> str:
        """Like :meth:`get_scheme`, but believes ``X-Forwarded-Proto`` of a trusted address.

        Phases: rewrite, access, response.
        """
        return callback("kong.request.get_forwarded_scheme")

    def get_forwarded_host(self) -> str:
        """Like :meth:`get_host`, but believes ``X-Forwarded-Host`` of a trusted address.

        Phases: rewrite, access, response.
        """
        return callback("kong.request.get_forwarded_host")

    def get_forwarded_port(self) -> int:
        """Like :meth:`get_port`, but believes ``X-Forwarded-Port`` of a trusted address.

        Phases: rewrite, access, response.
        """
        return whole(callback("kong.request.get_forwarded_port"))

    def get_forwarded_path(self) -> str | None:
        """Like :meth:`get_path`, but believes ``X-Forwarded-Path`` of a trusted address.

        Phases: rewrite, access, response.
        """
        return callback("kong.request.get_forwarded_path")

    def get_forwarded_prefix(self) -> str | None:
        """The part of the path that Kong strips, or ``X-Forwarded-Prefix`` of a trusted address.

        :returns: None when nothing is stripped.

        Phases: rewrite, access, response.
        """
        return callback("kong.request.get_forwarded_prefix")

    def get_http_version(self) -> float | None:
        """``1.0``, ``1.1``, ``2.0`` …

        Phases: rewrite, access, response.
        """
        answer = callback("kong.request.get_http_version")
        return None if answer is None else float(answer)

    def get_method(self) -> str:
        """The method, in upper case.

        Phases: rewrite, access, response.
        """
        return callback("kong.request.get_method")

    def get_path(self) -> str:
        """The path, without the query, decoded and normalised: ``/t/a%2Fb/d``.

        Phases: rewrite, access, response.
        """
        return callback("kong.request.get_path")

    def get_raw_path(self) -> str:
        """The path as it was sent, without the query: ``/t/%61%2Fb//c/../d``.

        Phases: rewrite, access, response.
        """
        return callback("kong.request.get_raw_path")

    def get_path_with_query(self) -> str:
        """The path and the query as they were sent: ``/t?`` keeps its question mark.

        Phases: rewrite, access, response.
        """
        return callback("kong.request.get_path_with_query")

    def get_raw_query(self) -> str:
        """The query as it was sent, without the question mark; ``""`` when there is none.

        Phases: rewrite, access, response.
        """
        return callback("kong.request.get_raw_query")

    def get_query_arg(self, name: str) -> QueryValue | None:
        """The first value of a query argument.

        :param name: case-sensitive.
        :returns: the decoded value, ``""`` for ``?name=``; True for ``?name``; None when the
            argument is not there.

        Phases: rewrite, access, response.
        """
        answer = callback("kong.request.get_query_arg", check_text(name, "name"))
        if isinstance(answer, list):
            answer = answer[0] if answer else True
        return answer

    def get_query(self, max_args: int | None = None) -> Query:
        """All query arguments, decoded.

        :param max_args: how many to read, from 1 to 1000; default: 100.

        Phases: rewrite, access, response.
        """
        if max_args is None:
            return results.query(callback("kong.request.get_query"))
        limit = check_integer(max_args, "max_args", 1, MAX_ITEMS)
        return results.query(callback("kong.request.get_query", limit))

    def get_header(self, name: str) -> str | None:
        """The first value of a header.

        :param name: case does not matter, and ``_`` is the same as ``-``.
        :returns: ``""`` for an empty header, None when it is not there.

        Phases: rewrite, access, response, log.
        """
        if type(name) is not str or not name.isascii():
            name = check_text(name, "name")
        return callback("kong.request.get_header", name)

    def get_headers(self, max_headers: int | None = None) -> Headers:
        """All headers.

        :param max_headers: how many to read, from 1 to 1000; default: 100.

        Phases: rewrite, access, response, log.
        """
        if max_headers is None:
            return results.headers(callback("kong.request.get_headers"))
        limit = check_integer(max_headers, "max_headers", 1, MAX_ITEMS)
        return results.headers(callback("kong.request.get_headers", limit))

    def get_raw_body(self, max_allowed_file_size: int = 0) -> bytes:
        """The body as it was sent.

        :param max_allowed_file_size: in bytes: Kong fails the request for a body that nginx wrote
            to a file and that is larger than this; default: 0, no limit.  Before Kong 3.8 it
            is ignored, and Kong fails for every body that nginx wrote to a file.
        :returns: ``b""`` when there is none.

        Phases: rewrite, access, response.
        """
        limit = check_integer(max_allowed_file_size, "max_allowed_file_size", 0, EXACT)
        return results.body(callback("kong.request.get_raw_body", limit))

    def get_body(
        self,
        mimetype: str | None = None,
        max_args: int | None = None,
        max_allowed_file_size: int = 0,
    ) -> dict[str, Any] | list[Any] | None:
        """The body, decoded: a form, multipart or JSON.

        :param mimetype: decode it as ``application/x-www-form-urlencoded``,
            ``multipart/form-data`` or ``application/json``; default: the request's
            ``Content-Type``.
        :param max_args: how many arguments of a form to read, from 1 to 1000; default: 100.
        :param max_allowed_file_size: in bytes: of a body that nginx wrote to a file and that is
            larger than this None comes back; default: 0, no limit.
        :returns: the fields of a form, each a text, True for one without a value, or a list of
            these; for JSON the object or array, with the numbers as Lua has them and an empty array
            as an empty dict; None when it cannot be decoded.

        Phases: rewrite, access, response.
        """
        # Kong could cut the arguments off at a None; it takes false as "not given".
        answer = callback(
            "kong.request.get_body",
            False if mimetype is None else check_text(mimetype, "mimetype"),
            FORM_ARGUMENTS
            if max_args is None
            else check_integer(max_args, "max_args", 1, MAX_ITEMS),
            check_integer(max_allowed_file_size, "max_allowed_file_size", 0, EXACT),
        )
        return results.map_or_list(answer)

    def get_start_time(self) -> int:
        """When Kong began to work on the request, in milliseconds since the epoch.

        Phases: rewrite, access, response, log.
        """
        answer = callback("kong.request.get_start_time")
        return int(answer) if isinstance(answer, float) else answer

    def get_uri_captures(self) -> dict[int | str, str]:
        """What the regular expression of the route's path captured.

        :returns: captures by name, and by number from 1; 0 is all that matched.  Empty when the
            path is not a regular expression.

        Phases: rewrite, access, response, log.
        """
        answer = as_map(fresh(callback("kong.request.get_uri_captures")))
        unnamed, named = answer.get("unnamed"), answer.get("named")
        if isinstance(unnamed, (list, dict)) and isinstance(named, (list, dict)):
            return {**as_map(unnamed), **as_map(named)}
        return answer
