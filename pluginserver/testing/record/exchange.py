"""The record of one request: everything that happened, in order, ready to be shown or stored.

Rules kept here:

* times are seconds since the request began (``start``) and lengths of time in seconds (``duration``),
  measured with a monotonic clock; :attr:`Exchange.time` is the wall clock's time of its beginning;
* the record grows while the request is under way, in the request's thread; nothing is taken out of it;
* :meth:`Exchange.to_dict` is JSON: bytes become text, and what JSON cannot say becomes its ``repr``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

from ...spec.methods import STEP_ERROR
from ...spec.protocols import MSGPACK
from ..kong.headers import Headers
from ..kong.messages import Request, Response, ServiceRequest
from .snapshot import snapshot

Outcome: TypeAlias = Literal["answer", "step error", "throw", "no answer"]
"""How a callback ended: an answer, an error that the plugin heard of, a throw in Kong, or the end of
the event (as for ``kong.response.exit``)."""


@attrs.frozen
class Change:
    """What one callback changed.

    :param where: ``"response"``, ``"service request"`` or ``"context"``.
    :param what: such as ``"header x-hello"``, ``"status"``, ``"body"``.
    :param before: the value it had; None for none.
    :param after: the value it has; None for none.
    """

    where: str
    what: str
    before: Any
    after: Any


@attrs.frozen
class LogLine:
    """One line of Kong's log.

    :param level: ``"debug"``, ``"info"``, ``"notice"``, ``"warn"``, ``"err"``, ``"crit"``,
        ``"alert"`` or ``"emerg"``.
    :param message: the text.
    :param plugin: the plugin that wrote it; None for Kong itself.
    :param phase: the phase in which it was written.
    :param time: seconds since the request began.
    :param prefix: the plugin that the line names in Kong's log: behind MsgPack:1 the first that called the
        function, see ``Quirks.log_prefix_by_name``; None for Kong itself.
    """

    level: str
    message: str
    plugin: str | None
    phase: str | None
    time: float
    prefix: str | None = None


@attrs.define
class Callback:
    """One PDK call of a plugin.

    :param method: the function's full name, such as ``"kong.request.get_header"``.
    :param args: its arguments as Lua got them.
    :param plugin: the plugin that called.
    :param phase: the phase in which it did.
    :param start: when it reached Kong.
    :param duration: how long Kong took for it.
    :param answer: what the plugin got back.
    :param error: the text of a throw or a failure; None for none.
    :param step: the RPC method, in ProtoBuf:1 the message, that carried the answer; None when there was no
        answer.
    :param changes: what it changed.
    """

    method: str
    args: tuple[Any, ...]
    plugin: str
    phase: str
    start: float
    duration: float = 0.0
    answer: Any = None
    error: str | None = None
    step: Any = None
    changes: list[Change] = attrs.field(factory=list)

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        if self.step is None:
            return "throw" if self.error else "no answer"
        return "step error" if self.step == STEP_ERROR else "answer"


@attrs.define
class Run:
    """One phase of one plugin: one event.

    :param plugin: the plugin's name.
    :param phase: the phase's name.
    :param start: when Kong asked for it.
    :param duration: until Kong went on.
    :param instance_id: the instance that ran it; None when none could be started.
    :param event_id: the event's id; None when the event did not start, and in ProtoBuf:1, which has none.
    :param callbacks: its callbacks, in order.
    :param ended: ``"ret"``, ``"exit"``, ``"error"`` (``kong.response.error``), ``"throw"``,
        ``"failed"`` (an RPC error) or ``"abandoned"``.
    :param error: the text that belongs to it; None for none.
    :param round_trips: how many RPCs it took; in ProtoBuf:1 its call, and each result of a callback.
    :param protocol: ``"msgpack"`` or ``"protobuf"``.
    :param starting: seconds of it that it waited for its instance to start; 0.0 when that was there.
    """

    plugin: str
    phase: str
    start: float
    duration: float = 0.0
    instance_id: int | None = None
    event_id: int | None = None
    callbacks: list[Callback] = attrs.field(factory=list)
    ended: str = "ret"
    error: str | None = None
    round_trips: int = 0
    protocol: str = MSGPACK
    starting: float = 0.0


@attrs.frozen
class Problem:
    """A plugin's bug, as the gateway saw it.

    :param kind: ``"raised"``, ``"wrong phase"``, ``"cut arguments"``, ``"after the end"``,
        ``"hidden"``, ``"time-out"``, ``"leaked event"``, ``"unknown function"``, ``"bad argument"``,
        ``"no answer"``, ``"bad instance"`` or ``"own thread"``.
    :param plugin: the plugin's name.
    :param phase: the phase.
    :param message: a sentence that names the bug and says what to do.
    :param error: the exception behind it, where there is one in this process.
    """

    kind: str
    plugin: str
    phase: str
    message: str
    error: BaseException | None = attrs.field(default=None, eq=False, repr=False)


@attrs.define
class Exchange:
    """One request through the gateway, with all that happened.

    :param id: Kong's request id: 32 hexadecimal digits.
    :param time: when it began, in seconds since the epoch.
    :param request: what the client sent.
    :param response: what the client got; None when the TLS handshake failed.
    :param source: who made the response: ``"exit"``, ``"error"`` or ``"service"``.
    :param service_request: what the service was sent; None when it was not reached.
    :param service_response: what the service answered.
    :param service_start: when the service was called.
    :param service_duration: how long it took.
    :param duration: until the client had its response.
    :param runs: the phases of the plugins, in order.
    :param logs: Kong's log lines that belong to it.
    :param problems: the plugins' bugs that showed.
    """

    id: str
    time: float
    request: Request
    response: Response | None = None
    source: str = "error"
    service_request: ServiceRequest | None = None
    service_response: Response | None = None
    service_start: float | None = None
    service_duration: float = 0.0
    duration: float = 0.0
    runs: list[Run] = attrs.field(factory=list)
    logs: list[LogLine] = attrs.field(factory=list)
    problems: list[Problem] = attrs.field(factory=list)

    @property
    def callbacks(self) -> list[Callback]:
        """Every callback of every plugin, in order."""
        return [call for run in self.runs for call in run.callbacks]

    @property
    def round_trips(self) -> int:
        """How many RPCs of events the request took; instances are not counted."""
        return sum(run.round_trips for run in self.runs)

    def __str__(self) -> str:
        """The record as text that is the same in each run: without times, ids and ports."""
        return snapshot(self)

    def to_dict(self) -> dict[str, Any]:
        """The whole record as JSON can carry it."""
        out: dict[str, Any] = _plain(self)
        out["round_trips"] = self.round_trips
        return out


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Headers):
        return [[_plain(name), _plain(text)] for name, text in value.pairs()]
    if attrs.has(type(value)):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in attrs.fields(type(value))
            if field.metadata.get("recorded", True)
        }
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return repr(value)
