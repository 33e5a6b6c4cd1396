"""The state of one request in Kong: what the PDK reads and changes.

As in nginx there is one request: what ``kong.service.request`` sets, ``kong.request`` shows from
then on; only where the request goes (scheme, host, path, target) is kept apart from where it came
to.  Rules kept here:

* the client's :class:`~pluginserver.testing.kong.messages.Request` is never changed;
* every change that a callback makes is noted in its record, through :meth:`State.change`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from time import monotonic
from typing import Any

from ...spec.protocols import MSGPACK
from ..record.exchange import Callback, Change, Exchange, LogLine
from .headers import Headers
from .messages import TLS, Request, Response
from .node import Node
from .router import Binding, Entity


class Exit(Exception):
    """``kong.response.exit`` or ``error``: the request is answered, its caller hears nothing more."""

    def __init__(self, response: Response, source: str) -> None:
        super().__init__(f"{source} with {response.status}")
        self.response = response
        self.source = source


class Failure:
    """A PDK function's ``nil, err``."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class State:
    """One request on its way through Kong.

    :param node: whose request it is.
    :param exchange: its record.
    """

    only: Collection[str] | None = None
    """The only phases in which plugins run; None for all."""

    def __init__(self, node: Node, exchange: Exchange) -> None:
        self.node = node
        self.exchange = exchange
        self.request: Request = exchange.request
        self.tls = self.request.tls or (TLS() if self.request.scheme == "https" else None)
        self.began = monotonic()

        self.phase = "rewrite"
        self.plugin: Binding | None = None
        self.callback: Callback | None = None

        self.method = self.request.method
        self.query = self.request.query
        self.headers = Headers(self.request.headers)
        self.body = self.request.body

        self.upstream_scheme: str | None = None
        self.upstream_host: str | None = None
        self.upstream_path: str | None = None
        self.target: tuple[str, int | None] | None = None
        self.retries: int | None = None
        self.timeouts: tuple[int, int, int] | None = None
        self.tls_verify: bool | None = None
        self.tls_verify_depth: int | None = None
        self.buffered = False

        self.status = 0
        self.response_headers = Headers()
        self.service_response: Response | None = None
        self.source = "error"
        self.faulty = False
        """Whether an injected fault has hit the request."""

        self.route: Entity | None = None
        self.service: Entity | None = None
        self.consumer: dict[str, Any] | None = None
        self.credential: dict[str, Any] | None = None
        self.captures: dict[int | str, str] = {}
        self.stripped_prefix: str | None = None
        self.ctx: dict[Any, Any] = dict(node.ctx)
        self.shared: dict[Any, Any] = dict(node.shared)
        self.vars: dict[str, Any] = dict(node.vars)
        self.serialize_values: dict[str, Any] = {}
        self.client_verify: str | None = None
        self._files: list[str] = []

    def has(self, binding: Binding, phase: str) -> bool:
        """Whether a plugin runs in a phase of this request."""
        return phase in binding.info.phases and (self.only is None or phase in self.only)

    def keep_file(self, data: bytes) -> str:
        """Write a file that is there as long as the request is.

        :returns: its path.
        """
        number, path = tempfile.mkstemp(prefix="kong-body-")
        self._files.append(path)
        with open(number, "wb") as file:
            file.write(data)
        return path

    def end(self) -> None:
        """Remove the request's files."""
        while self._files:
            os.unlink(self._files.pop())

    @property
    def elapsed(self) -> float:
        """Seconds since the request began."""
        return monotonic() - self.began

    def change(self, where: str, what: str, before: Any, after: Any) -> None:
        """Note what the callback at hand changes."""
        if self.callback is not None and before != after:
            self.callback.changes.append(Change(where, what, before, after))

    def change_headers(
        self, where: str, headers: Headers, name: str, values: list[Any], replace: bool = True
    ) -> None:
        """Set, or add to, a header and note it; no values remove it."""
        before = headers.all(name)
        if replace:
            headers.set(name, values)
        else:
            for value in values:
                headers.add(name, value)
        after = headers.all(name)
        self.change(where, f"header {name.lower()}", _few(before), _few(after))

    def log(self, level: str, message: str, by_kong: bool = False) -> None:
        """Write a line to Kong's log."""
        plugin = None if by_kong or self.plugin is None else self.plugin.name
        prefix = plugin if plugin is None else self._prefix(plugin)
        line = LogLine(level, message, plugin, self.phase, self.elapsed, prefix)
        self.node.take_log(line, self.exchange)

    def _prefix(self, plugin: str) -> str:
        """The plugin that a line of this one names."""
        kept = self.node.quirks.log_prefix_by_name
        if not kept or self.callback is None or self.plugin is None:
            return plugin
        if self.plugin.info.protocol != MSGPACK:
            return plugin
        return self.node.log_prefixes.setdefault(self.callback.method, plugin)


def _few(values: list[str]) -> Any:
    """One value alone, several as a list, none as None."""
    return values[0] if len(values) == 1 else values or None
