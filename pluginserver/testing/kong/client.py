"""What Kong's plugin server client does with one phase of one plugin.

It finds the plugin's instance or starts one, and runs the event by the side of the plugin's protocol:
:mod:`.messagepack` or :mod:`.protobuf`.  Rules kept here:

* an instance is started again when its configuration changed, when the server's pid changed, and where the
  protocol says that an error calls for it; the old one of a changed configuration is closed afterwards;
* an error of the server is logged, and what becomes of the request is the protocol's to say; an error of
  the instance's start is a :class:`~pluginserver.testing.kong.lua.LuaError`.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, Final, TypeGuard

import attrs

from ...spec.protocols import MSGPACK, PROTOBUF
from ..record import diagnostics
from ..record.exchange import Run
from ..transports.base import Transport
from ..transports.wire import NoAnswer, RemoteError
from .lua import LuaError
from .messagepack import MessagePackSide
from .node import Node
from .protobuf import ProtoBufSide
from .router import Binding
from .side import ClientGone as ClientGone
from .side import Side, Told
from .state import Exit, State

RETRIES: Final = 100
"""How often an event runs again on a new instance; Kong never stops."""


@attrs.define
class StartedInstance:
    """An instance that the client has started: its id, and the configuration that it was started with."""

    id: Any
    plugin: str
    sequence: int
    side: Side


class KongClient:
    """The plugin server client of one node.

    :param node: whose it is.
    :param transport: how it reaches the plugin server.
    """

    def __init__(self, node: Node, transport: Transport) -> None:
        self._node = node
        self._transport = transport
        self._sides: dict[str, Side] = {
            MSGPACK: MessagePackSide(node, transport),
            PROTOBUF: ProtoBufSide(node, transport),
        }
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
            self._close(instance)

    def close_all(self) -> None:
        """Close every instance, as Kong does not but a tidy test should."""
        with self._lock:
            instances = list(self._instances.values())
            self._instances.clear()
        for instance in instances:
            self._close(instance)

    def _close(self, instance: StartedInstance) -> None:
        with suppress(RemoteError, NoAnswer, LuaError):
            instance.side.close(instance.plugin, instance.id)

    def run(self, state: State, binding: Binding, phase: str) -> None:
        """Run one phase.

        :raises Exit: when the plugin answered the request.
        :raises LuaError: when Kong's code failed.
        :raises ClientGone: when the client went away.
        """
        run = Run(binding.name, phase, state.elapsed, protocol=binding.info.protocol)
        state.exchange.runs.append(run)
        state.phase, state.plugin = phase, binding
        self._node.notify("run", state.exchange, run)
        state.faulty |= self._node.server_down
        try:
            self._run(state, binding, run)
        except Exit:
            if run.ended != "failed":
                run.ended = "exit"
            raise
        except LuaError as error:
            run.ended, run.error = "throw", str(error)
            state.log("err", str(error))
            raise
        except ClientGone:
            run.ended = "abandoned"
            raise
        finally:
            run.duration = state.elapsed - run.start
            diagnostics.after_run(state, run, self._transport.handler_failures())
            self._node.notify("ran", state.exchange, run)

    def _run(self, state: State, binding: Binding, run: Run) -> None:
        side = self._sides[binding.info.protocol]
        for attempt in range(RETRIES + 1):
            run.instance_id = self._instance(state, binding, side, run)
            try:
                side.event(state, run)
                return
            except (RemoteError, NoAnswer) as error:
                text = str(error)
                if side.runs_again(text) and attempt < RETRIES:
                    self._reset(binding.name)
                    state.log("warn", text, by_kong=True)
                    continue
                run.ended, run.error = "failed", text
                if not isinstance(error, Told):
                    diagnostics.no_answer(state, run, error, self._transport.timeout)
                state.log("err", text, by_kong=True)
                side.failed(state, text)
                return

    def _reset(self, plugin: str) -> None:
        with self._lock:
            for key in [key for key, one in self._instances.items() if one.plugin == plugin]:
                del self._instances[key]

    def _instance(self, state: State, binding: Binding, side: Side, run: Run) -> Any:
        instance = self._instances.get(binding.id)
        if _fits(instance, binding, side):
            return instance.id
        began = state.elapsed
        try:
            with self._starting:
                return self._start_instance(state, binding, side)
        finally:
            run.starting += state.elapsed - began

    def _start_instance(self, state: State, binding: Binding, side: Side) -> Any:
        """Start the instance that several requests may have found missing at once."""
        instance = self._instances.get(binding.id)
        if _fits(instance, binding, side):
            return instance.id
        try:
            started = side.start(binding)
        except (RemoteError, NoAnswer) as error:
            state.log("err", f"starting instance: {error}", by_kong=True)
            diagnostics.bad_instance(state, binding, error)
            raise LuaError(str(error)) from None
        with self._lock:
            self._instances[binding.id] = StartedInstance(
                started, binding.name, binding.sequence, side
            )
        if instance is not None:
            self._close(instance)
        return started


def _fits(
    instance: StartedInstance | None, binding: Binding, side: Side
) -> TypeGuard[StartedInstance]:
    """Whether an instance has the binding's present configuration, in that protocol."""
    return instance is not None and instance.sequence == binding.sequence and instance.side is side
