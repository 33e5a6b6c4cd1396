"""The development gateway as a whole: plugin server, simulated Kong, HTTP, page, live reload.

It puts the parts together, starts them and stops them; each of them knows nothing of most others.
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
from ..server import PluginServer
from ..testing import Gateway, Response, ServiceRequest
from ..testing.kong.upstream import over_http
from .deployment import Lineup, Note
from .history import Errors, History
from .http import Front
from .page import Site
from .registry import LivePlugins
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
    """

    sources: Sequence[Path]
    settings: Settings = attrs.field(factory=Settings)
    settings_file: Path | None = None
    upstream: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000


@attrs.frozen
class DevGateway:
    """A running development gateway: see :func:`running`.

    :param url: where it is.
    :param lineup: its plugins.
    :param history: the last requests.
    :param notes: what was wrong with plugins at the start.
    """

    url: str
    lineup: Lineup
    history: History
    notes: Sequence[Note]


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
    plugins = LivePlugins(options.sources)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        server = PluginServer(directory / "plugins.sock", plugins, on_error=errors.report)
        await loop.run_in_executor(None, server.start)
        stack.push_async_callback(loop.run_in_executor, None, server.stop, GRACE)
        gateway = Gateway(server.socket_path, keep=1)
        stack.callback(gateway.close)
        put_service(gateway, options.upstream)
        gateway.observers.append(history.observe)
        history.ended.append(terminal.request)
        lineup = Lineup(gateway, plugins, options.settings, options.settings_file)
        notes = await loop.run_in_executor(None, lineup.start)
        site = Site(history, lineup.members, options.upstream or "an echo", options.host)
        history.listeners.append(lambda: _soon(loop, site))
        front = Front(gateway, site.handle, terminal.failed)
        stack.push_async_callback(front.stop)
        stack.callback(site.close)
        port = await _listen(front, options)
        watched = asyncio.Event()
        watching = asyncio.create_task(_follow(options, lineup, history, terminal, stop, watched))
        stack.push_async_callback(_finish, watching, stop)
        await watched.wait()
        yield DevGateway(f"http://{_reachable(options.host)}:{port}", lineup, history, notes)


def put_service(gateway: Gateway, url: str | None) -> None:
    """Let every request lead to one service.

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


async def _listen(front: Front, options: Options) -> int:
    try:
        return await front.start(options.host, options.port)
    except OSError as error:
        number = error.errno or 0
        why = os.strerror(number) if number > 0 else error.strerror
        raise ListenError(
            f"cannot listen on {options.host} port {options.port}: {why}: choose another one with "
            "--port"
        ) from None


async def _follow(
    options: Options,
    lineup: Lineup,
    history: History,
    terminal: Terminal,
    stop: asyncio.Event,
    watched: asyncio.Event,
) -> None:
    """Reload what changes, until the gateway stops."""
    files = [] if options.settings_file is None else [options.settings_file]
    try:
        async for paths in changes(options.sources, files, stop):
            try:
                notes = await asyncio.to_thread(lineup.update, paths)
            except Exception as error:
                terminal.failed(error)
                continue
            finally:
                watched.set()
            if notes:
                terminal.notes(notes)
                history.lineup_changed()
    except OSError as error:
        terminal.notes([Note(False, f"changes of files are not seen any more: {error}")])


async def _finish(watching: asyncio.Task[None], stop: asyncio.Event) -> None:
    stop.set()
    await watching


def _soon(loop: asyncio.AbstractEventLoop, site: Site) -> None:
    """Tell the open pages, from whatever thread."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(site.wake)


def _reachable(host: str) -> str:
    """The host as it stands in a URL that works on this machine."""
    return "localhost" if host in ("0.0.0.0", "::", "") else in_url(host)


def in_url(host: str) -> str:
    """A name or address as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
