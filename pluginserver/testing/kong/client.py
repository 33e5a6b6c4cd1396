"""What Kong's plugin server client does with one phase of one plugin.

It finds the plugin's instance or starts one, sends ``HandleEvent``, calls the PDK function that each
answer asks for, and sends the result as a step, until the answer is ``"ret"``.  Rules kept here:

* an instance is started again when its configuration changed, when the server's pid changed, and on
  the error "no plugin instance"; the old one of a changed configuration is closed afterwards;
* an error of the server is logged and the request goes on; an error of ``StartInstance``, a throw in
  the PDK and an answer of another shape are a :class:`~pluginserver.testing.kong.lua.LuaError`;
* after a throw or an exit the server hears nothing more of the event.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any, Final

import attrs

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
from ..pdk import MISSING
from ..pdk import call as call_function
from ..record import diagnostics
from ..record.exchange import Callback, Run
from ..transports.base import Transport
from ..transports.wire import NoAnswer, RemoteError
from . import lua
from .faults import Fault, answer_of
from .lua import LuaError, MultiTable
from .node import Node
from .router import Binding
from .state import Exit, Failure, State

RETRIES: Final = 100
"""How often "no plugin instance" is tried again; Kong never stops."""


class ClientGone(Exception):
    """The client went away while Kong waited: nothing more is sent for its request."""


@attrs.define
class StartedInstance:
    """An instance that the client has started: its id, and the configuration that it was started with."""

    id: Any
    plugin: str
    sequence: int


class KongClient:
    """The plugin server client of one node.

    :param node: whose it is.
    :param transport: how it reaches the plugin server.
    """

    def __init__(self, node: Node, transport: Transport) -> None:
        self._node = node
        self._transport = transport
        self._instances: dict[str, StartedInstance] = {}
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._server_pid: Any = None

    def notified(self, label: Any, argument: Any) -> None:
        """Take a notification: another ``serverPid`` makes all instances unknown."""
        if label != "serverPid":
            return
        with self._lock:
            if self._server_pid is not None and argument != self._server_pid:
                self._instances.clear()
            self._server_pid = argument

    def instances(self) -> dict[str, Any]:
        """The ids of the running instances by the id of their binding."""
        with self._lock:
            return {key: instance.id for key, instance in self._instances.items()}

    def close(self, binding: Binding) -> None:
        """Close the binding's instance, if it has one."""
        with self._lock:
            instance = self._instances.pop(binding.id, None)
        if instance is not None:
            self._close(instance.id)

    def close_all(self) -> None:
        """Close every instance, as Kong does not but a tidy test should."""
        with self._lock:
            ids = [instance.id for instance in self._instances.values()]
            self._instances.clear()
        for instance_id in ids:
            self._close(instance_id)

    def _close(self, instance_id: Any) -> None:
        with suppress(RemoteError, NoAnswer, LuaError):
            self._transport.call(CLOSE_INSTANCE, instance_id)

    def run(self, state: State, binding: Binding, phase: str) -> None:
        """Run one phase.

        :raises Exit: when the plugin answered the request.
        :raises LuaError: when Kong's code failed.
        :raises ClientGone: when the client went away.
        """
        run = Run(binding.name, phase, state.elapsed)
        state.exchange.runs.append(run)
        state.phase, state.plugin = phase, binding
        self._node.notify("run", state.exchange, run)
        try:
            self._run(state, binding, run)
        except Exit:
            run.ended = "exit"
            self._forget(run)
            raise
        except LuaError as error:
            run.ended, run.error = "throw", str(error)
            state.log("err", str(error))
            self._forget(run)
            raise
        except ClientGone:
            run.ended = "abandoned"
            self._forget(run)
            raise
        finally:
            run.duration = state.elapsed - run.start
            diagnostics.after_run(state, run, self._transport.handler_failures())
            self._node.notify("ran", state.exchange, run)

    def _forget(self, run: Run) -> None:
        if run.event_id is not None:
            self._transport.abandon(run.event_id)

    def _run(self, state: State, binding: Binding, run: Run) -> None:
        quirks = self._node.quirks
        for attempt in range(RETRIES + 1):
            run.instance_id = self._instance(state, binding)
            try:
                self._event(state, run)
                return
            except (RemoteError, NoAnswer) as error:
                text = str(error)
                run.ended, run.error = "failed", text
                gone = quirks.retry_instance and "no plugin instance" in text.lower()
                if gone and attempt < RETRIES:
                    self._reset(binding.name)
                    state.log("warn", text, by_kong=True)
                    run.ended, run.error = "ret", None
                    continue
                diagnostics.no_answer(state, run, error, self._transport.timeout)
                state.log("err", text, by_kong=True)
                if run.event_id is not None:
                    self._transport.abandon(run.event_id)
                if not quirks.fail_open:
                    raise LuaError(text) from None
                return

    def _reset(self, plugin: str) -> None:
        with self._lock:
            for key in [key for key, one in self._instances.items() if one.plugin == plugin]:
                del self._instances[key]

    def _instance(self, state: State, binding: Binding) -> Any:
        instance = self._instances.get(binding.id)
        if instance is not None and instance.sequence == binding.sequence:
            return instance.id
        with self._starting:
            return self._start_instance(state, binding)

    def _start_instance(self, state: State, binding: Binding) -> Any:
        """Start the instance that several requests may have found missing at once."""
        instance = self._instances.get(binding.id)
        if instance is not None and instance.sequence == binding.sequence:
            return instance.id
        argument = {"Name": binding.name, "Config": binding.config_json()}
        try:
            status = self._transport.call(START_INSTANCE, argument)
            if not isinstance(status, dict):
                raise LuaError(f"attempt to index the instance's status {status!r:.80}")
        except (RemoteError, NoAnswer) as error:
            state.log("err", f"starting instance: {error}", by_kong=True)
            diagnostics.bad_instance(state, binding, error)
            raise LuaError(str(error)) from None
        with self._lock:
            self._instances[binding.id] = StartedInstance(
                status.get("Id"), binding.name, binding.sequence
            )
        if instance is not None:
            self._close(instance.id)
        return status.get("Id")

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
        call = Callback(name, _written(args), run.plugin, run.phase, state.elapsed)
        run.callbacks.append(call)
        hit = self._node.faults.match(name, len(run.callbacks), run.plugin, run.phase)
        if hit:
            state.faulty = True
        if cut:
            diagnostics.cut_arguments(state, call, raw)
        state.callback = call
        try:
            value, failure = self._pdk(state, call, args, hit)
        except LuaError as error:
            call.error = str(error)
            if "throw" not in hit:
                diagnostics.thrown(state, call)
            if quirks.silent_throw:
                raise
            value, failure = None, str(error)
        except Exit:
            if not quirks.silent_exit:
                with suppress(RemoteError, NoAnswer):
                    self._call(run, STEP, {"EventId": run.event_id})
            raise
        finally:
            state.callback = None
            call.duration = state.elapsed - call.start
            self._node.notify("callback", state.exchange, call)
        return self._step(run, call, value, failure, hit)

    def _pdk(
        self, state: State, call: Callback, args: tuple[Any, ...], hit: dict[str, Fault]
    ) -> tuple[Any, str | None]:
        """The function's result, or the text of its failure."""
        if "delay" in hit:
            time.sleep(hit["delay"].value)
        if "throw" in hit:
            raise LuaError(hit["throw"].value)
        if "error" in hit:
            return None, str(hit["error"].value)
        if "answer" in hit:
            return answer_of(hit["answer"], call.args), None
        own = self._node.functions.get(call.method)
        if own is not None:
            return own(*call.args), None
        result = call_function(state, call.method, args)
        if result is MISSING:
            state.log("err", f"could not find pdk method: {call.method}", by_kong=True)
            diagnostics.unknown_function(state, call)
            return None, None
        if isinstance(result, Failure):
            call.error = result.text
            return None, None if self._node.quirks.first_result_only else result.text
        return result, None

    def _step(
        self,
        run: Run,
        call: Callback,
        value: Any,
        failure: str | None,
        hit: dict[str, Fault],
    ) -> Any:
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


def _written(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments without the nil that stands for none, and others at the end."""
    end = len(args)
    while end and args[end - 1] is None:
        end -= 1
    return args[:end]


def _several(value: Any) -> Any:
    """A header's or argument's values as a multi-map has them."""
    if value is True:
        return []
    return value if isinstance(value, list) else [value]
