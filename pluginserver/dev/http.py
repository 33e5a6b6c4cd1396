"""The gateway's HTTP side: real requests in, real responses out.

Rules kept here:

* what a client sent reaches the gateway byte by byte: header names, values and their order, the target
  as it was sent, the body whatever its encoding says;
* what the gateway answers reaches the client the same way, bytes that are no UTF-8 included; only the
  framing (``Content-Length``, ``Connection``, ``Transfer-Encoding``) is HTTP's own affair;
* requests run in threads of their own: the simulated Kong is synchronous, and plugins may block;
* the client has its response before the ``log`` phase begins.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from aiohttp import hdrs, web

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

Site = Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]
"""Answers the requests for the page, given their path."""

_AUTHORITY: Final = re.compile(r"^[^/?]*")


class Front:
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
            return web.Response(status=405, text="This gateway makes no tunnels.\n")
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await request.content.read()
        response = await self._answer(self._request(request, target, body))
        return Answer(response, request.method)

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
                answer.set_exception(error or ConnectionError("there is no response"))

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


class Answer(web.Response):
    """A response whose head is written as the gateway made it.

    *aiohttp* writes heads as UTF-8, which leaves out bytes that are none, and adds a content type and
    its own name; the gateway has said all there is to say.

    :param response: what the gateway answers.
    :param method: the request's.
    """

    def __init__(self, response: Response, method: str) -> None:
        framing = {"content-length"} if method != hdrs.METH_HEAD else set()
        self._pairs = [
            (name, value)
            for name, value in response.headers.pairs()
            if same(name) not in HOP_BY_HOP and same(name) not in framing
        ]
        super().__init__(status=response.status, body=response.body, headers=self._pairs)

    async def _write_headers(self) -> None:
        request: Any = self._req
        named = {same(name) for name, _ in self._pairs}
        lines = [
            f"HTTP/{request.version.major}.{request.version.minor} {self.status} {self.reason}"
        ]
        lines += [f"{name}: {value}" for name, value in self._pairs]
        for name in (hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING, hdrs.CONNECTION, hdrs.DATE):
            if name in self.headers and same(name) not in named:
                lines.append(f"{name}: {self.headers[name]}")
        head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
        if request.transport is not None:
            request.transport.write(head)


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
