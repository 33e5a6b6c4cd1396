"""What stands behind the simulated gateway: an echo, a function, or a real HTTP server.

Rules kept here:

* headers of one connection alone are neither sent nor passed on;
* a service that is down is a :class:`ConnectionError` or a :class:`TimeoutError`, nothing else.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from .headers import Headers, same
from .messages import Response, ServiceRequest

Upstream: TypeAlias = "Callable[[ServiceRequest], Any] | str"
"""A function of the request, or the URL of an HTTP server.

The function returns a :class:`Response`, or a status, a body (str or bytes), or anything that is
JSON; it raises :class:`ConnectionError` or :class:`TimeoutError` to play a service that is down.
"""

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to one connection and are not passed on."""


class FakeUpstream:
    """A service that remembers what it was asked.

    :param answer: how it answers.
    """

    def __init__(self, answer: Upstream) -> None:
        self.answer = answer
        """How it answers from now on: a function of the request, or the URL of a real server."""
        self.requests: list[ServiceRequest] = []
        """What it was asked, in order; the requests of all services that have no upstream of their own."""

    def fails(self, text: str = "connection refused") -> None:
        """Let it be down: Kong answers 502.

        :param text: what Kong's log says of it.
        """

        def refuse(_request: ServiceRequest) -> Response:
            raise ConnectionError(text)

        self.answer = refuse

    def hangs(self) -> None:
        """Let it never answer: Kong gives up, in a test at once, and answers 504."""

        def wait(_request: ServiceRequest) -> Response:
            raise TimeoutError("the service has not answered within the read time-out")

        self.answer = wait

    def chunks(self, *parts: str | bytes, status: int = 200) -> None:
        """Let it answer in chunks, without ``Content-Length``, as a service that does not know the length.

        :param parts: the chunks.
        :param status: the status code.
        """
        body = b"".join(one.encode() if isinstance(one, str) else one for one in parts)
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Transfer-Encoding", "chunked")]
        self.answer = lambda _request: Response(status, body, headers)


def echo(request: ServiceRequest) -> Response:
    """Answer with the request as JSON: method, url, path, query, headers, body."""
    shown = {
        "method": request.method,
        "url": request.url,
        "path": request.path,
        "query": request.query,
        "headers": {
            name: values[0] if len(values) == 1 else values
            for name, values in request.headers.lists().items()
        },
        "body": request.body.decode("utf-8", "replace"),
    }
    data = json.dumps(shown).encode()
    return Response(200, data, [("Content-Type", "application/json")])


def as_response(value: Any) -> Response:
    """A :class:`Response` from what an upstream function returned."""
    if isinstance(value, Response):
        return Response(value.status, value.body, value.headers)
    if isinstance(value, int) and not isinstance(value, bool):
        return Response(value)
    if isinstance(value, (str, bytes)):
        return Response(200, value, [("Content-Type", "text/plain; charset=utf-8")])
    return Response(200, json.dumps(value), [("Content-Type", "application/json")])


def send(upstream: Upstream | FakeUpstream, request: ServiceRequest) -> Response:
    """Send a request to the service and wait for its response.

    :raises ConnectionError: when it cannot be reached.
    :raises TimeoutError: when it does not answer in time.
    """
    if isinstance(upstream, FakeUpstream):
        upstream.requests.append(request)
        upstream = upstream.answer
    response = (
        over_http(upstream, request)
        if isinstance(upstream, str)
        else as_response(upstream(request))
    )
    headers = response.headers
    has_length = "content-length" in headers or "transfer-encoding" in headers
    if not has_length and request.method != "HEAD":
        headers.add("Content-Length", str(len(response.body)))
    return response


def over_http(url: str, request: ServiceRequest) -> Response:
    """Send a request to a real server at ``url``, whose path comes before the request's.

    :raises ConnectionError: when it cannot be reached.
    :raises TimeoutError: when it does not answer in time.
    """
    parts = urlsplit(url)
    timeout = request.timeouts[2] / 1000
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        if not request.tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(parts.netloc, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        target = parts.path.rstrip("/") + request.target
        connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.pairs():
            if same(name) not in HOP_BY_HOP and same(name) != "content-length":
                connection.putheader(name, value.encode("utf-8", "surrogateescape"))
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body or None)
        answer = connection.getresponse()
        kept = Headers(
            [
                (name, value.encode("latin-1").decode("utf-8", "surrogateescape"))
                for name, value in answer.getheaders()
                if same(name) not in HOP_BY_HOP
            ]
        )
        return Response(answer.status, answer.read(), kept)
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(f"{url}: {error}") from error
    finally:
        connection.close()
