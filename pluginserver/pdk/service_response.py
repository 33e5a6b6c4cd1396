"""``kong.service.response``: what the service answered, before plugins changed it."""

from __future__ import annotations

from typing import Any

from ..events.callbacks import callback
from ..spec.multimap import Headers
from . import results
from .namespace import Namespace
from .request import FORM_ARGUMENTS, MAX_ITEMS
from .results import whole
from .values import check_integer, check_text


class ServiceResponse(Namespace):
    """Functions about the service's response."""

    __slots__ = ()

    NAME = "kong.service.response"

    def get_status(self) -> int | None:
        """The status of the service's response.

        :returns: None when the request did not reach a service.

        Phases: response.
        """
        return whole(callback("kong.service.response.get_status"))

    def get_header(self, name: str) -> str | None:
        """The first value of a header.

        :param name: case does not matter, and ``_`` is the same as ``-``.
        :returns: None when it is not there.

        Phases: response, log.
        """
        return callback("kong.service.response.get_header", check_text(name, "name"))

    def get_headers(self, max_headers: int | None = None) -> Headers:
        """All headers; always empty in ``response``, where ``kong.response.get_headers`` works.

        :param max_headers: how many to read, from 1 to 1000; default: 100.

        Phases: response, log.
        """
        if max_headers is None:
            return results.headers(callback("kong.service.response.get_headers"))
        limit = check_integer(max_headers, "max_headers", 1, MAX_ITEMS)
        return results.headers(callback("kong.service.response.get_headers", limit))

    def get_raw_body(self) -> bytes:
        """The body of the response; in a handler for ``response`` Kong has read it whole.

        Phases: response.
        """
        return results.body(callback("kong.service.response.get_raw_body"))

    def get_body(
        self, mimetype: str | None = None, max_args: int | None = None
    ) -> dict[str, Any] | list[Any] | None:
        """The body, decoded: a form, multipart or JSON.

        :param mimetype: decode it as ``application/x-www-form-urlencoded``,
            ``multipart/form-data`` or ``application/json``; default: the response's
            ``Content-Type``.
        :param max_args: how many arguments of a form to read, from 1 to 1000; default: 100.
        :returns: as ``kong.request.get_body``; None when it cannot be decoded.

        Phases: response.
        """
        # Kong could cut the arguments off at a None; it takes false as "not given".
        answer = callback(
            "kong.service.response.get_body",
            False if mimetype is None else check_text(mimetype, "mimetype"),
            FORM_ARGUMENTS
            if max_args is None
            else check_integer(max_args, "max_args", 1, MAX_ITEMS),
        )
        return results.map_or_list(answer)
