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

import itertools
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import greenlet
import msgpack

from ...errors import PDKError, RPCError
from ...events.event import Abandoned, Ending, Event, Handler, Out, Runner, Runners
from ...rpc.frames import packer
from ...rpc.instances import Instances
from ...rpc.methods import RAISE, START, Methods, control, first_id
from ...runtime.requests import LATE, PACK_ERRORS, result, unsendable
from .base import HandlerFailure, Source
from .plugins import Collection
from .watchdog import WATCHDOG
from .wire import NoAnswer, RemoteError


@attrs.define(eq=False)
class _Live:
    """An event that runs or waits, its runner's owner, and the greenlets that its handler made."""

    event: Event
    runners: Runners = attrs.field(factory=Runners)
    greenlets: dict[int, weakref.ref[greenlet.greenlet]] = attrs.field(factory=dict)

    def end(self) -> None:
        """Bury the runner."""
        self.runners.release(self.event)
        self.runners.close()


class InProcess:
    """A plugin server in this process and thread.

    :param plugins: the plugins that it serves.
    :param timeout: seconds that a handler may run between two callbacks.
    """

    def __init__(self, plugins: Collection, timeout: float) -> None:
        self.timeout = timeout
        self.on_notification: Callable[[Any, Any], None] = lambda _label, _argument: None
        self._plugins = plugins
        self._mishaps: list[HandlerFailure] = []
        self._waiting: dict[int, _Live] = {}
        self._pack = packer()
        self._ids = itertools.count(first_id())
        self._begin_serving()

    def _begin_serving(self) -> None:
        self._instances = Instances(first_id(), self._failed)
        self._methods = Methods(self._plugins, self._instances)

    def load(self, source: Source) -> str:
        """Load a plugin: see :meth:`.transport.Transport.load`."""
        return self._plugins.add(source)

    def call(self, method: Any, argument: Any) -> Any:
        """Do at once what a request over the socket would: see :meth:`.wire.RPCClient.call`."""
        try:
            kind, what, value = self._methods.read(method, [argument])
            if kind is START:
                return self._start(what)
            if kind is RAISE:
                return self._step(what, Event.throw, PDKError(value))
            if callable(what):
                return control(what, value)
            return self._step(what, Event.resume, value)
        except RPCError as error:
            raise RemoteError(str(error)) from error.__cause__

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
        live = self._waiting.pop(event_id, None)
        if live is not None:
            live.event.abandon("Kong no longer waits for it")
            self._look_for_greenlets(live)
            live.end()

    def handler_failures(self) -> list[HandlerFailure]:
        """What handlers raised and left behind since the last call."""
        out, self._mishaps = self._mishaps, []
        return out

    def restart(self) -> None:
        """Forget every instance and event, as a restarted server has."""
        for event_id in list(self._waiting):
            self.abandon(event_id)
        self._begin_serving()

    def close(self) -> None:
        """Unwind what still waits, and drop the plugins' modules."""
        for event_id in list(self._waiting):
            self.abandon(event_id)
        self._plugins.drop()

    def _failed(self, event: Event, error: BaseException) -> None:
        self._mishaps.append(HandlerFailure(event.id, "raised", error))

    def _start(self, handler: Handler) -> Any:
        live = _Live(Event(next(self._ids), handler))
        return self._advance(live, lambda: live.runners.start(live.event))

    def _step(self, event_id: int, act: Callable[[Event, Any], Out], value: Any) -> Any:
        live = self._waiting.pop(event_id, None)
        if live is None:
            raise RPCError(f"No running event {event_id}")
        event = live.event
        return self._advance(live, lambda: act(event, value))

    def _advance(self, live: _Live, act: Callable[[], Out]) -> Any:
        """Run the handler to its next callback or its end.

        :returns: what the server answers.
        """
        out, late = self._watched(live, act)
        event = live.event
        if late:
            if event.suspended:
                event.abandon(LATE)
            self._look_for_greenlets(live)
            live.end()
            self._mishaps = [one for one in self._mishaps if one.event_id != event.id]
            raise NoAnswer("timeout", timed_out=True)
        while isinstance(out, tuple):
            try:
                answer = self._carried(result(event, out))
            except PACK_ERRORS as error:
                out, _ = self._watched(live, partial(event.throw, unsendable(out[0], error)))
                continue
            self._waiting[event.id] = live
            return answer
        self._look_for_greenlets(live)
        live.end()
        return self._last(event, out)

    def _last(self, event: Event, ending: Ending) -> Any:
        if ending.error is not None:
            raise RPCError(ending.error)
        try:
            return self._carried(result(event, ending))
        except PACK_ERRORS as error:
            self._failed(event, error)
            return self._last(event, event.handler.refusal(str(error)))

    def _carried(self, value: Any) -> Any:
        """The value as it arrives at the other end of a socket."""
        return msgpack.unpackb(
            self._pack(value), raw=False, unicode_errors="surrogateescape", strict_map_key=False
        )

    def _watched(self, live: _Live, act: Callable[[], Out]) -> tuple[Out, bool]:
        """Do a slice of the handler under the watchdog's eyes, noting the greenlets that it makes."""
        own = greenlet.getcurrent()

        def trace(_what: str, switch: tuple[greenlet.greenlet, greenlet.greenlet]) -> None:
            target = switch[1]
            if type(target) is not Runner and target is not own:
                live.greenlets[id(target)] = weakref.ref(target)

        out: Out = Ending(error=LATE)
        deadline = WATCHDOG.deadline(self.timeout)
        before = greenlet.settrace(trace)
        try:
            deadline.start()
            out = act()
            late = not deadline.met()
        except Abandoned:
            late = True
        finally:
            deadline.met()
            greenlet.settrace(before)
        return out, late

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
                self._mishaps.append(HandlerFailure(live.event.id, "leaked greenlet", None, text))


def _descends(made: greenlet.greenlet, ancestor: greenlet.greenlet) -> bool:
    parent = made.parent
    while parent is not None:
        if parent is ancestor:
            return True
        parent = parent.parent
    return False
