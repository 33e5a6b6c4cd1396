"""The way in without a socket: the plugin server's own code, in the thread of the test.

The same registry, the same table of methods, the same events and greenlets as in the server; only
threads, connections and bytes are left out, so that a request takes microseconds, a debugger works
and an exception keeps its traceback.

Rules kept here:

* what a handler sends is packed and unpacked, so that it arrives as it would over a socket;
* a handler that does not come to its end is interrupted by the watchdog; one that hangs in C is
  interrupted when it comes back;
* every event that Kong forgets is ended at once: nothing waits for a time-out.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Final

import attrs
import greenlet
import msgpack

from ...errors import PluginServerError, RPCError
from ...events.event import Event, Runner
from ...rpc import replies
from ...rpc.calls import Context, Control, EventCall
from ...rpc.instances import Instances
from ...rpc.methods import Methods
from ...runtime.interrupts import Cancelled
from ...runtime.requests import LATE
from .base import HandlerFailure, Source, nothing
from .inprocess_protobuf import InProcessCalls
from .plugins import Collection
from .watchdog import WATCHDOG
from .wire import NoAnswer, RemoteError


@attrs.define(eq=False)
class _Live:
    """An event that runs or waits, what it runs in, and the greenlets that its handler made."""

    event: Event
    context: Context = attrs.field(factory=Context)
    greenlets: dict[int, weakref.ref[greenlet.greenlet]] = attrs.field(factory=dict)

    def end(self) -> None:
        """Bury the runner."""
        self.event.end()
        self.context.runners.close()


class _Nobody:
    """Who would be answered over a socket: here the answer is returned."""

    pid: Final = 0

    def send(self, data: bytes, asked: int = 0) -> bool:
        """Not called: nothing here pipelines requests."""
        raise AssertionError(data)

    def expect(self) -> None:
        """Not called: nothing here is forwarded."""
        raise AssertionError

    def answer(self, data: bytes, asked: int = 0) -> bool:
        """Not called: an answer is returned."""
        raise AssertionError(data)


class InProcess:
    """A plugin server in this process and thread.

    :param plugins: the plugins that it serves.
    :param timeout: seconds that a handler may run between two callbacks.
    :param round_trips: as the server's option of that name.
    """

    def __init__(self, plugins: Collection, timeout: float, round_trips: str = "plain") -> None:
        self.timeout = timeout
        self.on_notification: Callable[[Any, Any], None] = lambda _label, _argument: None
        self._plugins = plugins
        self._plain = round_trips == "plain"
        self._failures: list[HandlerFailure] = []
        self.waiting: dict[int, Event] = {}
        """The events that wait for a step; the table of methods claims them."""
        self.pinged: dict[int, Any] = {}
        """Nothing: a handler that takes long here is under the watchdog's eyes."""
        self.restarts = 0
        """How often the server was restarted, which ends every connection."""
        self.down = False
        """Whether nobody listens."""
        self._live: dict[int, _Live] = {}
        self._context = Context()
        self.protobuf: Final = InProcessCalls(self)
        """The way in of ProtoBuf:1; all else here is MsgPack:1."""
        self._begin_serving()

    def _begin_serving(self) -> None:
        self._instances = Instances(
            self._failed, lambda _what, function: function(), plain=self._plain
        )
        self.methods = Methods(self._plugins.registry, self._instances, self)
        """What can be called; another table after a restart."""

    def load(self, source: Source) -> str:
        """Load a plugin: see :meth:`.transport.Transport.load`."""
        return self._plugins.add(source)

    def protocol(self, plugin: str) -> str:
        """The protocol that the plugin's module names."""
        return self._plugins.registry.get(plugin).protocol

    def call(self, method: Any, argument: Any) -> Any:
        """Do at once what a request over the socket would: see :meth:`.wire.RPCClient.call`."""
        if self.down:
            raise NoAnswer("connection refused")
        try:
            request = self.methods.read(_Nobody(), 0, method, [argument])
            if isinstance(request, Control):
                value = request.function(request.argument)
                return _unpacked(replies.result(self._context.pack, 0, value))[3]
        except RPCError as error:
            raise RemoteError(str(error)) from error.__cause__
        except PluginServerError as error:
            raise RemoteError(str(error)) from error
        assert isinstance(request, EventCall)
        _, _, failure, result = _unpacked(self.advance(request))
        if failure is not None:
            raise RemoteError(failure)
        return result

    def is_running(self, _number: int) -> bool:
        """Never: a request that comes meanwhile finds its thread busy."""
        return False

    def break_off(self, method: Any, argument: Any) -> None:
        """The connection is gone: the server still gets the request, nobody gets its answer."""
        try:
            answer = self.call(method, argument)
        except RemoteError:
            answer = None
        if isinstance(answer, dict) and "EventId" in answer:
            self.abandon(answer["EventId"])
        raise NoAnswer("closed")

    def abandon(self, event_id: int) -> None:
        """End an event that waits for a step which will not come."""
        event = self.waiting.pop(event_id, None)
        if event is not None:
            live = self._live.pop(event_id)
            event.cancel("Kong no longer waits for it")
            self._look_for_greenlets(live)
            live.end()
            self._instances.tidy()

    def handler_failures(self) -> list[HandlerFailure]:
        """What handlers raised and left behind since the last call."""
        out, self._failures = self._failures, []
        return out

    def restart(self, meanwhile: Callable[[], None] = nothing) -> None:
        """Forget every instance and event, as a restarted server has."""
        for event_id in list(self.waiting):
            self.abandon(event_id)
        self.restarts += 1
        self.down = True
        try:
            meanwhile()
        finally:
            self.down = False
            self._begin_serving()

    def reload(self, overlap: Callable[[], None] = nothing) -> None:
        """Forget every instance, as the new server knows none; events go on to their end."""
        self._begin_serving()
        overlap()

    def close(self) -> None:
        """Unwind what still waits, and drop the plugins' modules."""
        for event_id in list(self.waiting):
            self.abandon(event_id)
        self._plugins.drop()

    def _failed(self, event: Event, error: BaseException) -> None:
        self._failures.append(HandlerFailure(event.id, "raised", error))

    def advance(self, request: EventCall) -> bytes:
        """Run the handler to its next callback or its end.

        :returns: what the server answers.
        :raises NoAnswer: when that is not in time.
        """
        event = request.event
        live = self._live.pop(event.id, None) or _Live(event)
        in_time = self._perform(live, request)
        if not in_time and event.suspended:
            event.cancel(LATE)
        if in_time:
            event.report()
            if request.suspended:
                self._live[event.id] = live
                self.waiting[event.id] = event
        if not request.suspended or not in_time:
            self._look_for_greenlets(live)
            live.end()
            self._instances.tidy()
        if not in_time:
            raise NoAnswer("timeout", timed_out=True)
        return request.reply

    def _perform(self, live: _Live, request: EventCall) -> bool:
        """Do a slice of the handler under the watchdog's eyes, noting the greenlets that it makes.

        :returns: whether it was in time.
        """
        own = greenlet.getcurrent()

        def trace(_what: str, switch: tuple[greenlet.greenlet, greenlet.greenlet]) -> None:
            target = switch[1]
            if type(target) is not Runner and target is not own:
                live.greenlets[id(target)] = weakref.ref(target)

        deadline = WATCHDOG.deadline(self.timeout)
        before = greenlet.settrace(trace)
        try:
            deadline.start()
            request.perform(live.context)
        except Cancelled:
            deadline.over = True
        finally:
            in_time = deadline.met()
            greenlet.settrace(before)
        return in_time

    def _look_for_greenlets(self, live: _Live) -> None:
        """Note the greenlets of the handler's own that are still suspended."""
        for reference in live.greenlets.values():
            made = reference()
            if made is None or made.dead or made.gr_frame is None:
                continue
            if _descends(made, live.event.runner):
                code = made.gr_frame.f_code
                text = f"in {code.co_qualname if hasattr(code, 'co_qualname') else code.co_name}, "
                text += f"{code.co_filename}:{made.gr_frame.f_lineno}"
                self._failures.append(HandlerFailure(live.event.id, "leaked greenlet", None, text))


def _unpacked(data: bytes) -> Any:
    """A value as it arrives at the other end of a socket."""
    return msgpack.unpackb(data, raw=False, unicode_errors="surrogateescape", strict_map_key=False)


def _descends(made: greenlet.greenlet, ancestor: greenlet.greenlet) -> bool:
    parent = made.parent
    while parent is not None:
        if parent is ancestor:
            return True
        parent = parent.parent
    return False
