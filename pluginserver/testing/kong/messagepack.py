"""Kong's side of MsgPack:1: an event is a call, and a call for each result of a callback.

Rules kept here:

* an answer of another shape than Kong's client expects is a :class:`~.lua.LuaError`;
* after a throw or an exit the server hears nothing more of the event;
* an error of the server is logged, and the request goes on; from Kong 3.14 on the client gets a 500.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ...spec.functions import FUNCTIONS
from ...spec.methods import (
    CLOSE_INSTANCE,
    HANDLE_EVENT,
    MULTI_MAPS,
    PREFIX,
    START_INSTANCE,
    STEP,
    STEP_ERROR,
)
from ..pdk import call as call_function
from ..record import diagnostics
from ..record.exchange import Callback, Run
from ..transports.base import Transport
from ..transports.wire import NoAnswer, RemoteError
from . import lua
from .callbacks import Callbacks, Hits
from .lua import LuaError, MultiTable
from .node import Node
from .router import Binding
from .side import ClientGone
from .state import Exit, State


class MessagePackSide:
    """The :class:`~.side.Side` of MsgPack:1.

    :param node: whose client it is.
    :param transport: how it reaches the plugin server.
    """

    def __init__(self, node: Node, transport: Transport) -> None:
        self._node = node
        self._transport = transport
        self._callbacks = Callbacks(node)

    def start(self, binding: Binding) -> Any:
        """Start an instance: see :meth:`.side.Side.start`."""
        argument = {"Name": binding.name, "Config": binding.config_json()}
        status = self._transport.call(START_INSTANCE, argument)
        if not isinstance(status, dict):
            raise LuaError(f"attempt to index the instance's status {status!r:.80}")
        return status.get("Id")

    def close(self, _plugin: str, instance_id: Any) -> None:
        """Close an instance: see :meth:`.side.Side.close`."""
        self._transport.call(CLOSE_INSTANCE, instance_id)

    def runs_again(self, text: str) -> bool:
        """Only where the server has no such instance."""
        return self._node.quirks.retry_instance and "no plugin instance" in text.lower()

    def failed(self, state: State, _text: str) -> None:
        """The request goes on without the plugin, or the client gets a 500."""
        if not self._node.fails_open:
            call_function(state, "kong.response.error", (500,))

    def event(self, state: State, run: Run) -> None:
        """Run an event to its end: see :meth:`.side.Side.event`."""
        try:
            self._event(state, run)
        except Exception:
            if run.event_id is not None:
                self._transport.abandon(run.event_id)
            raise

    def _event(self, state: State, run: Run) -> None:
        argument = {"EventName": run.phase, "InstanceId": run.instance_id}
        out = self._call(run, HANDLE_EVENT, argument)
        if isinstance(out, dict):
            run.event_id = out.get("EventId")
        while out is not None:
            if not isinstance(out, dict):
                raise LuaError(f"attempt to index a {lua.type_name(out)} value (field 'Data')")
            data = out.get("Data")
            if data == "ret":
                return
            if not isinstance(data, dict) or not isinstance(data.get("Method"), str):
                raise LuaError(f"attempt to index field 'Data' (a {lua.type_name(data)} value)")
            out = self._callback(state, run, data["Method"], data.get("Args"))

    def _call(self, run: Run, method: Any, argument: Any) -> Any:
        run.round_trips += 1
        return self._transport.call(method, argument)

    def _callback(self, state: State, run: Run, name: str, raw: Any) -> Any:
        quirks = self._node.quirks
        args, cut = lua.arguments(raw, quirks)
        call, hit = self._callbacks.enter(state, run, name, args)
        if cut:
            diagnostics.cut_arguments(state, call, raw)

        def answer(value: Any, failure: str | None) -> tuple[Any, str | None]:
            call.error = failure
            dropped = quirks.first_result_only and "error" not in hit
            return value, None if dropped else failure

        try:
            value, failure = self._callbacks.perform(state, call, args, hit, answer)
        except LuaError as error:
            if quirks.silent_throw:
                raise
            value, failure = None, str(error)
        except Exit:
            if not quirks.silent_exit:
                with suppress(RemoteError, NoAnswer):
                    self._call(run, STEP, {"EventId": run.event_id})
            raise
        return self._step(run, call, value, failure, hit)

    def _step(self, run: Run, call: Callback, value: Any, failure: str | None, hit: Hits) -> Any:
        quirks = self._node.quirks
        method: Any
        if failure is not None:
            call.error = failure
            method, data = STEP_ERROR, failure
        else:
            method, data = self._answer(call.method, value)
        call.step = method
        call.answer = None if failure is not None else data
        if "silence" in hit:
            raise ClientGone
        argument: dict[str, Any] = {"EventId": run.event_id}
        if data is not None or not quirks.absent_data:
            argument["Data"] = data
        if "restart" in hit:
            self._transport.restart()
        if "disconnect" in hit:
            run.round_trips += 1
            self._transport.break_off(method, argument)
        return self._call(run, method, argument)

    def _answer(self, name: str, value: Any) -> tuple[Any, Any]:
        """The RPC method and the data that carry a result."""
        quirks = self._node.quirks
        if name in MULTI_MAPS and isinstance(value, dict) and quirks.multi_maps:
            value = MultiTable({key: _several(item) for key, item in value.items()})
        data = lua.sent(value, quirks)
        if quirks.method_key and isinstance(data, dict) and data.get("_method") is not None:
            return data["_method"], data
        function = FUNCTIONS.get(name)
        if function is None or not quirks.typed_steps:
            return STEP, data
        if function.step == "StepMultiMap" and not quirks.multi_maps:
            return STEP, data
        return PREFIX + function.step, data


def _several(value: Any) -> Any:
    """A header's or argument's values as a multi-map has them."""
    if value is True:
        return []
    return value if isinstance(value, list) else [value]
