"""Answers the browser that shows the page.

Rules kept here:

* the page is for whoever sits at this machine: a request that names another host (a site that has
  pointed its name at this address), or that another site's page has made, is refused;
* it can be looked at, and a request be run again by the page itself (POST); no state is kept for a browser;
* all that is shown is escaped, and the browser is told to run nothing but the page's own script;
* a page that is open hears of every change: what it missed while its connection was down is sent
  again, and a page of an earlier run of the gateway is told to start afresh.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from aiohttp import hdrs, web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..deployment import Status
from ..history import Entry, History
from . import view
from .compare import changes
from .curl import curl

BASE: Final = "/__pluginserver"

INTERVAL: Final = 0.1
"""Seconds between two messages to an open page: many requests at once become one message each."""

KEEPALIVE: Final = 15.0
"""Seconds without a change after which an open page's connection is tested."""

_HERE: Final = Path(__file__).parent

_ASSETS: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Site:
    """The page.

    :param history: what it shows.
    :param plugins: gives the plugins as they are now.
    :param upstream: what stands behind the gateway, in words.
    :param host: the name or address that the gateway was told to listen on.
    :param again: runs a request again: takes its id, and gives the new one's, or None.
    """

    def __init__(
        self,
        history: History,
        plugins: Callable[[], Sequence[Status]],
        upstream: str,
        host: str = "127.0.0.1",
        again: Callable[[str], Awaitable[str | None]] | None = None,
    ) -> None:
        self._again = again
        self._history = history
        self._plugins = plugins
        self._upstream = upstream
        self._host = host
        self._run = uuid4().hex[:12]
        self._closing = False
        self._changed = asyncio.Event()
        self._assets = {name: (_HERE / name).read_bytes() for name in _ASSETS}
        environment = Environment(
            loader=FileSystemLoader(_HERE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.globals.update(base=BASE)
        self._template = environment.get_template

    def wake(self) -> None:
        """Something has changed; in the event loop's thread."""
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """Let go of the pages that are open."""
        self._closing = True
        self.wake()

    async def handle(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """Answer a request.

        :param request: the request.
        :param path: its path, which begins with :data:`BASE`.
        """
        why = refusal(request, self._host)
        if why is not None:
            return self._text(403, why)
        if request.method == hdrs.METH_POST and path.endswith("/again"):
            return await self._run_again(path)
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            return self._text(405, "The page can only be looked at", Allow="GET, HEAD")
        path = path.removeprefix(BASE).strip("/")
        if path in self._assets:
            return self._data(self._assets[path], _ASSETS[path])
        if path == "":
            return self._list()
        if path == "events":
            return await self._events(request)
        if path == "latest":
            entries = self._history.entries()
            return self._timeline(entries[0] if entries else None, "latest", request.host)
        if path == "plugins":
            return self._page("configuration.html", self._history.version)
        kind, _, name = path.partition("/")
        name, _, what = name.partition("/")
        if kind == "requests" and not what:
            return self._timeline(self._history.get(name), name, request.host)
        if kind == "requests" and what == "compare":
            return self._compare(self._history.get(name))
        return self._text(404, "There is no such page")

    async def _run_again(self, path: str) -> web.Response:
        name = path.removeprefix(f"{BASE}/requests/").removesuffix("/again")
        found = None if self._again is None else await self._again(name)
        if found is None:
            return self._text(404, "There is no such request")
        return self._data(json.dumps({"id": found}).encode(), "application/json")

    # -- pages

    def _list(self) -> web.Response:
        version = self._history.version
        rows = [view.row(entry) for entry in self._history.entries()]
        return self._page("list.html", version, rows=rows, count=self._history.count)

    def _compare(self, entry: Entry | None) -> web.Response:
        version = self._history.version
        if entry is None:
            return self._page("none.html", version, status=404, watch="none")
        before = self._history.previous(entry)
        return self._page(
            "compare.html",
            version,
            row=view.row(entry),
            found=None if before is None else changes(before, entry),
        )

    def _timeline(self, entry: Entry | None, watch: str, host: str) -> web.Response:
        version = self._history.version
        if entry is None:
            return self._page(
                "none.html", version, status=200 if watch == "latest" else 404, watch=watch
            )
        entries = self._history.entries()
        at = entries.index(entry) if entry in entries else 0
        return self._page(
            "timeline.html",
            version,
            watch=watch,
            shown=view.request(entry, [one.name for one in self._plugins() if one.plain]),
            curl=curl(entry.exchange.request, f"http://{host}"),
            previous=self._history.previous(entry),
            newer=entries[at - 1].id if at > 0 else None,
            older=entries[at + 1].id if at + 1 < len(entries) else None,
        )

    def _page(self, name: str, version: int, status: int = 200, **what: Any) -> web.Response:
        html = self._template(name).render(
            mark=f"{self._run}-{version}",
            plugins=self._plugins(),
            upstream=self._upstream,
            **what,
        )
        return self._data(html.encode("utf-8", "replace"), "text/html", status)

    def _data(self, data: bytes, kind: str, status: int = 200) -> web.Response:
        return web.Response(
            status=status, body=data, content_type=kind, charset="utf-8", headers=_HEADERS
        )

    def _text(self, status: int, text: str, **headers: str) -> web.Response:
        return web.Response(status=status, text=f"{text}.\n", headers={**_HEADERS, **headers})

    # -- what changes while a page is open

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        seen = self._seen(request)
        response = web.StreamResponse(
            headers={**_HEADERS, "Content-Type": "text/event-stream; charset=utf-8"}
        )
        await response.prepare(request)
        if seen is None:
            await response.write(b"event: afresh\ndata: {}\n\n")
            return response
        await response.write(b"retry: 1000\n\n")
        try:
            while not self._closing:
                changed = self._changed
                if seen == self._history.version:
                    await self._keep_alive(response, changed)
                    continue
                seen, messages = self._messages(seen)
                await response.write("".join(messages).encode())
                await asyncio.sleep(INTERVAL)
        except ConnectionError:
            pass
        return response

    async def _keep_alive(self, response: web.StreamResponse, changed: asyncio.Event) -> None:
        """Wait for a change; when none comes for a while, see whether the page is still there."""
        try:
            await asyncio.wait_for(changed.wait(), KEEPALIVE)
        except asyncio.TimeoutError:
            await response.write(b": all is quiet\n\n")

    def _seen(self, request: web.BaseRequest) -> int | None:
        """The last change that the page knows of; None when it is a page of another run."""
        mark = request.headers.get("Last-Event-ID") or request.query.get("since", "")
        run, _, version = mark.partition("-")
        return int(version) if run == self._run and version.isdecimal() else None

    def _messages(self, seen: int) -> tuple[int, list[str]]:
        """What changed after a version, and the version that this leads to."""
        version = self._history.version
        messages = []
        if self._history.deployment_version > seen:
            html = self._template("plugins.html").render(plugins=self._plugins())
            messages.append(self._message("plugins", version, html=html))
        for entry in self._history.since(seen):
            if entry.version <= version:
                html = self._template("row.html").render(row=view.row(entry))
                messages.append(
                    self._message(
                        "request", version, id=entry.id, html=html, count=self._history.count
                    )
                )
        return version, messages

    def _message(self, event: str, version: int, **data: Any) -> str:
        return f"id: {self._run}-{version}\nevent: {event}\ndata: {json.dumps(data)}\n\n"


def refusal(request: web.BaseRequest, host: str) -> str | None:
    """Why a request must not see the page; None when it may.

    :param request: the request.
    :param host: the name or address that the gateway was told to listen on.
    """
    given = request.headers.get(hdrs.HOST, "")
    name = _name(given)
    if not (
        name == "localhost" or name.endswith(".localhost") or name == host or _is_address(name)
    ):
        return "This page is at localhost: it is not shown under another name"
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and urlsplit(origin).netloc != given:
        return "This page is not shown to other sites"
    site = request.headers.get("Sec-Fetch-Site", "none")
    visits = (
        request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest") == "document"
    )
    if site not in ("none", "same-origin") and not visits:
        return "This page is not shown to other sites"
    return None


def _name(host: str) -> str:
    """The name in a ``Host`` header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    """Whether it is an address: nobody can point one somewhere else."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
