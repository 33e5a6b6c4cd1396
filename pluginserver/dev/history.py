"""The last requests, what their handlers raised, and who is told when they change.

The gateway calls :meth:`History.observe` in the threads of the requests.  Rules kept here:

* every change has a number, so that a page which lost its connection can ask for what it missed;
* callbacks are called without the lock, after the change, in the thread that made it;
* memory is bounded: by the number of requests, by the bytes of their bodies, and by the number of events
  whose exceptions nobody has asked for.
"""

from __future__ import annotations

import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import attrs

from ..events.event import Event
from ..testing import Exchange, Run

KEPT: Final = 200
"""Requests that are remembered at the most."""

WEIGHT: Final = 64 * 1024 * 1024
"""Bytes that their bodies may have together; beyond it the oldest requests are forgotten."""

ERRORS: Final = 1000
"""Events whose exceptions wait to be asked for, at the most."""

_PACKAGE: Final = str(Path(__file__).parent.parent)


@attrs.define(eq=False)
class Entry:
    """One request.

    :param number: the first request has 1.
    :param exchange: its record, which grows while the request is under way.
    :param version: the number of its last change.
    :param over: whether everything about it is done, the ``log`` phase too.
    :param tracebacks: what handlers raised, by event.
    :param weight: the bytes of its bodies.
    """

    number: int
    exchange: Exchange
    version: int
    over: bool = False
    tracebacks: dict[int, list[str]] = attrs.field(factory=dict)
    weight: int = 0

    @property
    def id(self) -> str:
        """Kong's request id."""
        return self.exchange.id


class Errors:
    """Keeps what handlers raise, by event, until :meth:`take` asks for it; it logs nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: OrderedDict[int, list[str]] = OrderedDict()

    def report(self, event: Event, error: BaseException) -> None:
        """Keep an exception; a server's ``on_error``, called in the thread of the handler.

        :param event: the event.
        :param error: what its handler raised.
        """
        with self._lock:
            self._errors.setdefault(event.id, []).append(plugin_traceback(error))
            if len(self._errors) > ERRORS:
                self._errors.popitem(last=False)

    def take(self, event_id: int | None) -> list[str]:
        """The tracebacks of an event, which are then forgotten here."""
        with self._lock:
            return [] if event_id is None else self._errors.pop(event_id, [])


def plugin_traceback(error: BaseException) -> str:
    """A traceback that begins in the plugin, without the server's own frames above it."""
    frame: TracebackType | None = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.tb_next
    shown = frame if frame is not None else error.__traceback__
    return "".join(traceback.format_exception(type(error), error, shown)).rstrip()


class History:
    """The last requests.

    :param errors: where the server puts what handlers raise.
    """

    def __init__(self, errors: Errors) -> None:
        self._errors = errors
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._weight = 0
        self.version = 0
        """The number of the last change."""
        self.deployment_version = 0
        """The number of the last change of the plugins."""
        self.count = 0
        """How many requests there were."""
        self.on_change: list[Callable[[], None]] = []
        """Called after each change, in the thread that made it."""
        self.on_end: list[Callable[[Entry], None]] = []
        """Called with each request that is over, in its thread."""

    def observe(self, kind: str, exchange: Exchange, thing: Any) -> None:
        """What :attr:`pluginserver.testing.Gateway.observers` are called with."""
        with self._lock:
            entry = self._entries.get(exchange.id)
            if kind == "request":
                self.count += 1
                entry = self._entries[exchange.id] = Entry(self.count, exchange, 0)
            if entry is None:
                return
            if isinstance(thing, Run) and kind == "ran":
                self._take_tracebacks(entry, thing)
            entry.over = kind == "end"
            if entry.over:
                self._weigh(entry)
            if kind not in ("request", "response", "end"):
                return
            self.version += 1
            entry.version = self.version
        for call in self.on_change:
            call()
        if entry.over:
            for told in self.on_end:
                told(entry)

    def deployment_changed(self) -> None:
        """The plugins have changed."""
        with self._lock:
            self.version += 1
            self.deployment_version = self.version
        for call in self.on_change:
            call()

    def entries(self) -> list[Entry]:
        """The remembered requests, the latest first."""
        with self._lock:
            return list(reversed(self._entries.values()))

    def since(self, version: int) -> list[Entry]:
        """The requests that changed after a version, in the order in which they did."""
        changed = [entry for entry in self.entries() if entry.version > version]
        return sorted(changed, key=lambda entry: entry.version)

    def get(self, exchange_id: str) -> Entry | None:
        """A request by its id; None when it is not remembered."""
        with self._lock:
            return self._entries.get(exchange_id)

    def previous(self, entry: Entry) -> Entry | None:
        """The last request before one that had its method, path and query; None when there is none."""
        asked = entry.exchange.request
        for one in self.entries():
            request = one.exchange.request
            same = (request.method, request.target) == (asked.method, asked.target)
            if one.number < entry.number and same:
                return one
        return None

    def _take_tracebacks(self, entry: Entry, run: Run) -> None:
        found = self._errors.take(run.event_id)
        if found and run.event_id is not None:
            entry.tracebacks[run.event_id] = found

    def _weigh(self, entry: Entry) -> None:
        entry.weight = weight(entry.exchange)
        self._weight += entry.weight
        while len(self._entries) > KEPT or (self._weight > WEIGHT and len(self._entries) > 1):
            _, oldest = self._entries.popitem(last=False)
            self._weight -= oldest.weight


def weight(exchange: Exchange) -> int:
    """The bytes of all bodies in a record, those in callbacks included."""
    messages = [exchange.request, exchange.response]
    bodies: list[Any] = [one.body for one in messages if one is not None]
    if exchange.service_request is not None:
        bodies.append(exchange.service_request.body)
    if exchange.service_response is not None:
        bodies.append(exchange.service_response.body)
    for call in exchange.callbacks:
        bodies += [call.answer, *call.args]
    return sum(len(body) for body in bodies if isinstance(body, (bytes, str)))
