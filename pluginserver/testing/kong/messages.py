"""Plain HTTP messages: what a client sends, what a service is sent, what comes back.

They hold data and do nothing: whoever speaks real HTTP makes a :class:`Request`, hands it to the
gateway and writes the :class:`Response` out.

Rules kept here:

* nothing here knows a phase, a plugin or Kong's PDK;
* a URL, a query or a body is taken as given, never normalised.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import attrs

from ...spec import arguments
from .headers import Headers, HeadersInput

STREAMS: Final = ("tcp", "tls")
"""The schemes of what is no HTTP: a connection in Kong's stream subsystem."""

QueryInput: TypeAlias = "Mapping[str, Any] | str | None"
"""A query: its text, or a mapping of names to a value, True for a name alone, or a list of these."""


@attrs.frozen(kw_only=True)
class TLS:
    """The client's TLS connection.

    :param client_certificate: the client's whole certificate chain as PEM, None for none.
    :param server_name: the name that the client asked for (SNI).
    :param version: as OpenSSL names it.
    """

    client_certificate: str | None = None
    server_name: str | None = None
    version: str = "TLSv1.3"


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


@attrs.define(kw_only=True)
class Request:
    """A request as a client sends it to the gateway.

    :param method: in upper case.
    :param target: path and query as sent, such as ``"/t?a=1"``.
    :param headers: all of them, ``Host`` included.
    :param body: the body.
    :param scheme: ``"http"`` or ``"https"``; in the stream subsystem ``"tcp"`` or ``"tls"``.
    :param port: the gateway's port that it came to.
    :param http_version: 1.0, 1.1 or 2.0.
    :param client_ip: the address of whoever connected.
    :param client_port: the port of whoever connected.
    :param tls: the TLS connection; None makes an ordinary one when the scheme is ``"https"``.
    """

    method: str = "GET"
    target: str = "/"
    headers: Headers = attrs.field(factory=Headers, converter=Headers)
    body: bytes = attrs.field(default=b"", converter=_bytes)
    scheme: str = "http"
    port: int = 8000
    http_version: float = 1.1
    client_ip: str = "127.0.0.1"
    client_port: int = 40000
    tls: TLS | None = None

    @property
    def path(self) -> str:
        """The path as sent, without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query as sent, without its question mark."""
        return self.target.partition("?")[2]

    @property
    def host(self) -> str:
        """The ``Host`` header's name in lower case, without a port."""
        return host_name(self.headers.get("host", ""))


def host_name(host: str) -> str:
    """A ``Host`` header's name in lower case, without a port."""
    name = host.rpartition("@")[2].lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0]


def make_request(
    method: str,
    url: str = "/",
    *,
    headers: HeadersInput = None,
    query: QueryInput = None,
    body: str | bytes = b"",
    json: Any = None,
    form: QueryInput = None,
    **more: Any,
) -> Request:
    """A request from what is handy to write in a test.

    :param method: the HTTP method.
    :param url: a path, or a whole URL whose host becomes the ``Host`` header.
    :param headers: the headers; ``Host`` is ``localhost`` unless given here or in the URL.
    :param query: appended to what the URL has.
    :param body: the body as it is.
    :param json: a body sent as JSON, with its content type.
    :param form: a body sent as a form, with its content type.
    :param more: the further attributes of :class:`Request`.
    :raises ValueError: when more than one body is given, or the URL is neither a path nor an http URL.
    """
    if sum((bool(body), json is not None, form is not None)) > 1:
        raise ValueError("give one of body, json and form")
    lines = Headers(headers)
    host, url = _split(url, more)
    if "host" not in lines:
        lines = Headers([("host", host), *lines.pairs()])
    extra = encode_query(query)
    if extra:
        url += ("&" if "?" in url else "?") + extra
    if json is not None:
        body = _json_text(json)
        _default(lines, "content-type", "application/json")
    elif form is not None:
        body = encode_query(form)
        _default(lines, "content-type", "application/x-www-form-urlencoded")
    data = _bytes(body)
    if data:
        _default(lines, "content-length", str(len(data)))
    return Request(method=method.upper(), target=url, headers=lines, body=data, **more)


def _split(url: str, more: dict[str, Any]) -> tuple[str, str]:
    """The host and the target of a URL; the scheme and the port that it names go into ``more``."""
    if url.startswith("/"):
        return "localhost", url
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{url!r} is neither a path that begins with / nor an http URL")
    more.setdefault("scheme", parts.scheme)
    more.setdefault("port", parts.port or (8443 if parts.scheme == "https" else 8000))
    target = url.split(parts.netloc, 1)[1] or "/"
    return parts.netloc, target if target.startswith("/") else "/" + target


def _json_text(value: Any) -> str:
    return json.dumps(value)


def _default(headers: Headers, name: str, value: str) -> None:
    if name not in headers:
        headers.add(name, value)


def encode_query(query: QueryInput) -> str:
    """A query's text; entries in the order given.

    A value True is a name alone, False and None are no entry, as nginx's ``encode_args`` has it.
    """
    if query is None:
        return ""
    if isinstance(query, str):
        return query
    return arguments.encode(query)


def media_type(headers: Headers) -> str:
    """The content type in lower case without its parameters, ``""`` without one."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


@attrs.define
class Response:
    """A response: what the client gets, or what a service answered.

    :param status: the status code.
    :param body: bytes; a str is sent as UTF-8.
    :param headers: a mapping or pairs.
    """

    status: int = 200
    body: bytes = attrs.field(default=b"", converter=_bytes)
    headers: Headers = attrs.field(factory=Headers, converter=Headers)
    exchange: Any = attrs.field(
        default=None, init=False, eq=False, repr=False, metadata={"recorded": False}
    )
    """The record of the request that it answers, an :class:`~pluginserver.testing.Exchange`: of what a
    gateway's ``get``, ``post`` and so on have returned; None of any other."""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "surrogateescape")

    def json(self) -> Any:
        """The body's JSON.

        :raises ValueError: when it is none; the text shows the status and the body's beginning.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ValueError(
                f"the response's body is not JSON ({error}): status {self.status}, "
                f"body {self.body[:200]!r}"
            ) from None


@attrs.define(kw_only=True)
class ServiceRequest:
    """The request that the service got.

    :param method: the HTTP method.
    :param scheme: ``"http"`` or ``"https"``.
    :param host: where Kong connected to: a name or an address.
    :param port: the port it connected to.
    :param path: the path as sent.
    :param query: the query as sent, without its question mark.
    :param headers: all headers; ``Host`` is among them.
    :param body: the body.
    :param retries: how often another target is tried.
    :param timeouts: connect, write and read time-out in milliseconds.
    :param tls_verify: whether the service's certificate is checked; None for Kong's default.
    """

    method: str
    scheme: str
    host: str
    port: int
    path: str
    query: str
    headers: Headers
    body: bytes
    retries: int = 5
    timeouts: tuple[int, int, int] = (60000, 60000, 60000)
    tls_verify: bool | None = None

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.scheme}://{self.host}:{self.port}{self.target}"

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "surrogateescape")

    def json(self) -> Any:
        """The body's JSON.

        :raises ValueError: when it is none.
        """
        return json.loads(self.body)
