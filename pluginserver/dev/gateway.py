"""The development gateway as a whole: plugin server, simulated Kong, HTTP, page, live reload.

Rules kept here:

* it puts the parts together, starts them and stops them; the parts do not know each other but for what
  they are given here;
* it is ready for requests, and sees every change of a file, when :func:`running`'s block begins;
* whatever ends it, no thread, socket, file or directory is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs

from ..errors import ListenError
from ..plugins.registry import Plugins
from ..server import PluginServer
from ..testing import Gateway, Response, ServiceRequest
from ..testing.cassettes.keep import Keeper
from ..testing.kong.upstream import over_http
from .again import Again
from .deployment import Deployment, Message
from .history import Errors, History
from .http import HttpServer
from .page import Site
from .settings import Settings
from .terminal import Terminal
from .watch import changes

GRACE: Final = 0.5
"""Seconds that running events get when the gateway stops."""


@attrs.frozen
class Options:
    """What the gateway is started with.

    :param sources: plugin files, packages and directories.
    :param settings: how the plugins are configured.
    :param settings_file: the file that this was read from, to be read again when it changes.
    :param upstream: the URL of what stands behind the gateway; None for the echo.
    :param host: the name or address to listen on.
    :param port: the port; 0 for one that is free.
    :param kong: the version of Kong that is played; None for the newest that is open source.
    :param record: the directory in which each request is stored; None for none.
    :param replay: run the last request again when a plugin has changed.
    """

    sources: Sequence[Path]
    settings: Settings = attrs.field(factory=Settings)
    settings_file: Path | None = None
    upstream: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    kong: str | None = None
    record: Path | None = None
    replay: bool = False


@attrs.frozen
class DevGateway:
    """A running development gateway: see :func:`running`.

    :param url: where it is.
    :param deployment: its plugins.
    :param history: the last requests.
    :param messages: what was wrong with plugins at the start.
    """

    url: str
    deployment: Deployment
    history: History
    messages: Sequence[Message]


@contextlib.asynccontextmanager
async def running(options: Options, terminal: Terminal) -> AsyncIterator[DevGateway]:
    """Run the gateway as long as the block does; it is ready for requests when the block begins.

    :param options: what to start.
    :param terminal: where to tell what happens.
    :raises ListenError: when the port cannot be had.
    """
    loop = asyncio.get_running_loop()
    directory = Path(tempfile.mkdtemp(prefix="pluginserver-dev-"))
    stop = asyncio.Event()
    errors = Errors()
    history = History(errors)
    plugins = Plugins(options.sources, entry_points=False)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        stack.callback(plugins.close)
        await loop.run_in_executor(None, plugins.refresh)
        server = PluginServer(
            directory / "plugins.sock", plugins, on_error=errors.report, round_trips="plain"
        )
        await loop.run_in_executor(None, server.start)
        stack.push_async_callback(loop.run_in_executor, None, server.stop, GRACE)
        gateway = Gateway(server.socket_path, keep=1, kong=options.kong)
        stack.callback(gateway.close)
        put_service(gateway, options.upstream)
        _observe(options, gateway, history, terminal)
        deployment = Deployment(gateway, plugins, options.settings, options.settings_file)
        messages = await loop.run_in_executor(None, deployment.start)
        again = Again(gateway, history, terminal.failed)
        site = Site(
            history, deployment.status, options.upstream or "an echo", options.host, again.run
        )
        history.on_change.append(lambda: _wake(loop, site))
        http = HttpServer(gateway, site.handle, terminal.failed)
        stack.push_async_callback(http.stop)
        stack.callback(site.close)
        port = await _listen(http, options)
        watched = asyncio.Event()
        following = _follow(options, deployment, history, terminal, stop, watched, again)
        watching = asyncio.create_task(following)
        stack.push_async_callback(_finish, watching, stop)
        await watched.wait()
        url = f"http://{_reachable(options.host)}:{port}"
        yield DevGateway(url, deployment, history, messages)


def _observe(options: Options, gateway: Gateway, history: History, terminal: Terminal) -> None:
    """Have each request remembered, told, and stored where that is asked for."""
    gateway.observers.append(history.observe)
    history.on_end.append(terminal.request)
    if options.record is not None:
        keeper = Keeper(gateway.node, options.record, terminal.failed)
        gateway.observers.append(keeper.observe)


def put_service(gateway: Gateway, url: str | None) -> None:
    """Route every request to one service.

    :param gateway: the simulated Kong.
    :param url: where the service is; None for the echo.
    """
    if url is None:
        service = gateway.service("echo")
    else:
        parts = urlsplit(url)
        service = gateway.service(
            "upstream",
            upstream=_forward,
            host=parts.hostname,
            port=parts.port or {"http": 80, "https": 443}[parts.scheme],
            protocol=parts.scheme,
            path=parts.path.rstrip("/") or None,
        )
    gateway.route("/", service=service, strip_path=False)


def _forward(request: ServiceRequest) -> Response:
    """Send a request where it says, which a plugin may have changed."""
    return over_http(f"{request.scheme}://{in_url(request.host)}:{request.port}", request)


async def _listen(http: HttpServer, options: Options) -> int:
    try:
        return await http.start(options.host, options.port)
    except OSError as error:
        number = error.errno or 0
        why = os.strerror(number) if number > 0 else error.strerror
        raise ListenError(
            f"cannot listen on {options.host} port {options.port}: {why}: choose another one with "
            "--port"
        ) from None


async def _follow(
    options: Options,
    deployment: Deployment,
    history: History,
    terminal: Terminal,
    stop: asyncio.Event,
    watched: asyncio.Event,
    again: Again,
) -> None:
    """Reload what changes, until the gateway stops."""
    files = [] if options.settings_file is None else [options.settings_file]
    try:
        async for paths in changes(options.sources, files, stop):
            try:
                messages = await asyncio.to_thread(deployment.update, paths)
            except Exception as error:
                terminal.failed(error)
                continue
            finally:
                watched.set()
            if messages:
                terminal.messages(messages)
                history.deployment_changed()
            if options.replay and any(message.good for message in messages):
                await again.latest()
    except OSError as error:
        text = f"changes of files are not seen any more: {error}"
        terminal.messages([Message(False, text)])


async def _finish(watching: asyncio.Task[None], stop: asyncio.Event) -> None:
    stop.set()
    await watching


def _wake(loop: asyncio.AbstractEventLoop, site: Site) -> None:
    """Tell the open pages of a change, from any thread; a loop that has ended has no pages."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(site.wake)


def _reachable(host: str) -> str:
    """The host as it stands in a URL that works on this machine."""
    return "localhost" if host in ("0.0.0.0", "::", "") else in_url(host)


def in_url(host: str) -> str:
    """A name or address as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
