"""The gateway's HTTP side: real requests in, real responses out.

Rules kept here:

* what a client sent reaches the gateway byte by byte: header names, values and their order, the target
  as it was sent, the body whatever its encoding says;
* what the gateway answers reaches the client the same way, bytes that are not UTF-8 included; only the
  framing (``Content-Length``, ``Connection``, ``Transfer-Encoding``) is made here;
* requests run in threads of their own: the simulated Kong is synchronous, and plugins may block;
* the client has its response before the ``log`` phase begins.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from ..testing import Exchange, Gateway, Headers, Request, Response
from ..testing.kong.headers import same
from ..testing.kong.upstream import HOP_BY_HOP
from .page.site import BASE

THREADS: Final = 128
"""Requests that run at the same time; further ones wait for a thread."""

LINE: Final = 65536
"""Bytes of a request line or header; nginx takes 8 KiB by default, plugins may want to see more."""

HEADERS: Final = 1000
"""Headers of a request."""

NO_BODY: Final = frozenset({*range(100, 200), 204, 304})
"""Statuses whose responses have no body, and here no ``Content-Length`` either."""

Site = Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]
"""Answers the requests for the page, given their path."""

_AUTHORITY: Final = re.compile(r"^[^/?]*")


class HttpServer:
    """Takes HTTP requests, and hands them to the page or to the gateway.

    :param gateway: the simulated Kong.
    :param site: answers the requests for the page.
    :param failed: told of an error of the gateway's own.
    """

    def __init__(
        self, gateway: Gateway, site: Site, failed: Callable[[BaseException], None]
    ) -> None:
        self._gateway = gateway
        self._site = site
        self._failed = failed
        self._threads = ThreadPoolExecutor(THREADS, "pluginserver-dev")
        self._port = 0
        self._runner = web.ServerRunner(
            web.Server(
                self._handle,
                access_log=None,
                logger=_silent(),
                auto_decompress=False,
                max_line_size=LINE,
                max_field_size=LINE,
                max_headers=HEADERS,
            ),
            shutdown_timeout=1.0,
        )

    async def start(self, host: str, port: int) -> int:
        """Listen.

        :param port: 0 for one that is free.
        :returns: the port.
        :raises OSError: when the port cannot be had.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self._port = int(self._runner.addresses[0][1])
        return self._port

    async def stop(self) -> None:
        """Stop listening; requests that are under way are given up."""
        await self._runner.cleanup()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            target = origin_form(request.raw_path)
            path = target.partition("?")[0]
            if path == BASE or path.startswith(f"{BASE}/"):
                return await self._site(request, path)
            return await self._proxy(request, target)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            self._failed(error)
            return web.json_response({"message": "The development gateway failed"}, status=500)

    async def _proxy(self, request: web.BaseRequest, target: str) -> web.StreamResponse:
        if request.method == hdrs.METH_CONNECT:
            return web.Response(status=405, text="This gateway does not make tunnels.\n")
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await request.content.read()
        response = await self._answer(self._request(request, target, body))
        return GatewayResponse(response, request)

    async def _answer(self, request: Request) -> Response:
        """Run a request in a thread, up to its response; the ``log`` phase goes on alone."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Response] = loop.create_future()

        def settle(response: Response) -> None:
            if not answer.done():
                answer.set_result(response)

        def over(run: asyncio.Future[Exchange]) -> None:
            error = None if run.cancelled() else run.exception()
            if error is not None and answer.done():
                self._failed(error)
            elif not answer.done():
                answer.set_exception(error or ConnectionError("the gateway gave no response"))

        def respond(response: Response) -> None:
            loop.call_soon_threadsafe(settle, response)

        loop.run_in_executor(
            self._threads, self._gateway.handle, request, respond
        ).add_done_callback(over)
        return await answer

    def _request(self, request: web.BaseRequest, target: str, body: bytes) -> Request:
        peer = request.transport and request.transport.get_extra_info("peername")
        address, port = peer[:2] if peer else ("127.0.0.1", 0)
        headers = Headers([(_text(name), _text(value)) for name, value in request.raw_headers])
        if hdrs.HOST not in headers:
            headers.add("Host", "")
        return Request(
            method=request.method,
            target=target,
            headers=headers,
            body=body,
            port=self._port,
            http_version=float(f"{request.version.major}.{request.version.minor}"),
            client_ip=address,
            client_port=port,
        )


class GatewayResponse(web.StreamResponse):
    """A response whose bytes are those that the gateway made.

    *aiohttp* writes a head as UTF-8, which bytes that are not UTF-8 do not survive, and adds a content
    type and its own name.  So this class writes head and body itself, with the three public methods by
    which *aiohttp* sends any response: :meth:`prepare`, :meth:`write_eof` and :attr:`keep_alive`.

    :param response: what the gateway answers.
    :param request: what it answers to.
    """

    def __init__(self, response: Response, request: web.BaseRequest) -> None:
        super().__init__(status=response.status)
        self._to = request
        self._persistent = request.keep_alive
        version = (request.version.major, request.version.minor)
        head = response_head(response, self.reason, request.method, version, self._persistent)
        empty = request.method == hdrs.METH_HEAD or response.status in NO_BODY
        self._data = head if empty else head + response.body

    @property
    def keep_alive(self) -> bool:
        """Whether further requests may come on the connection: as the client asked for."""
        return self._persistent

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Nothing is sent before :meth:`write_eof`."""
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the whole response.

        :param data: more of the body; *aiohttp* gives none.
        :raises ConnectionError: when the client is gone.
        """
        await self._to.writer.write(self._data + data)
        await self._to.writer.write_eof()


def response_head(
    response: Response, reason: str, method: str, version: tuple[int, int], keep_alive: bool
) -> bytes:
    """A response's status line and headers, with the framing that its body needs.

    :param response: the response; its body is complete, so that its length is known.
    :param reason: the words of its status.
    :param method: the request's method: a response to ``HEAD`` keeps the length that it was given.
    :param version: the request's version of HTTP.
    :param keep_alive: whether the connection stays open.
    """
    given = [pair for pair in response.headers.pairs() if same(pair[0]) not in HOP_BY_HOP]
    length = [pair for pair in given if same(pair[0]) == "content-length"]
    lines = [f"HTTP/{version[0]}.{version[1]} {response.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in given if same(name) != "content-length"]
    if response.status not in NO_BODY:
        if method != hdrs.METH_HEAD or (response.body and not length):
            length = [(hdrs.CONTENT_LENGTH, str(len(response.body)))]
        lines += [f"{name}: {value}" for name, value in length]
    if not any(same(name) == "date" for name, _ in given):
        lines.append(f"{hdrs.DATE}: {formatdate(usegmt=True)}")
    if keep_alive and version == (1, 0):
        lines.append(f"{hdrs.CONNECTION}: keep-alive")
    elif not keep_alive and version == (1, 1):
        lines.append(f"{hdrs.CONNECTION}: close")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def origin_form(target: str) -> str:
    """A request's target as path and query, whatever form it was sent in."""
    if target.startswith("/"):
        return target
    _, absolute, rest = target.partition("://")
    if not absolute:
        return f"/{target}"
    path = _AUTHORITY.sub("", rest)
    return path if path.startswith("/") else f"/{path}"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _silent() -> logging.Logger:
    """*aiohttp* reports what clients send wrongly; the clients are told, the terminal need not be."""
    logger = logging.Logger("pluginserver.dev")
    logger.addHandler(logging.NullHandler())
    return logger
