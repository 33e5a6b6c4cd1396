"""Kong's side of ProtoBuf:1: an event, with all its callbacks, on one connection.

Rules kept here:

* a connection that ends during an event starts a new instance and the event again, from its beginning;
* every other error fails closed: the client gets 500;
* after a throw or an exit, and for a function that the protocol does not have, the connection is closed at
  once.
"""

from __future__ import annotations

from typing import Any, Final

from ...spec.protobuf import FUNCTIONS
from ..pdk import bridge
from ..pdk import call as call_function
from ..pdk.request import BODY_BUFFER
from ..record import diagnostics
from ..record.exchange import Callback, Run
from ..transports.base import Transport
from ..transports.protobuf import Talk
from ..transports.wire import NoAnswer
from .callbacks import Callbacks
from .node import Node
from .router import Binding
from .side import ClientGone, Told
from .state import State

_BODY: Final = "kong.request.get_raw_body"
_ARGUMENTS: Final[dict[str, tuple[Any, ...]]] = {_BODY: (0,)}
"""What functions are called with instead of what came: a body of any size."""


class ProtoBufSide:
    """The :class:`~.side.Side` of ProtoBuf:1.

    :param node: whose client it is.
    :param transport: how it reaches the plugin server.
    """

    def __init__(self, node: Node, transport: Transport) -> None:
        self._node = node
        self._transport = transport
        self._callbacks = Callbacks(node)

    def start(self, binding: Binding) -> int:
        """Start an instance: see :meth:`.side.Side.start`."""
        return self._transport.protobuf.start(binding.name, binding.config_json())

    def close(self, plugin: str, instance_id: int) -> None:
        """Close an instance: see :meth:`.side.Side.close`."""
        self._transport.protobuf.close_instance(plugin, instance_id)

    def runs_again(self, text: str) -> bool:
        """Wherever the connection is gone: that is how a server says that it has no such instance."""
        words = text.lower()
        return "closed" in words or "no plugin instance" in words

    def failed(self, state: State, _text: str) -> None:
        """The client gets a 500; before Kong 3.8 the request went on."""
        if self._node.version.protobuf_fails_open:
            return
        call_function(state, "kong.response.error", (500,))

    def event(self, state: State, run: Run) -> None:
        """Run an event to its end: see :meth:`.side.Side.event`."""
        run.round_trips += 1
        talk = self._transport.protobuf.begin(run.plugin, run.instance_id or 0, run.phase)
        try:
            while (callback := talk.next()) is not None:
                self._callback(state, run, talk, *callback)
        except ClientGone:
            talk.leave()
            raise
        except BaseException:
            talk.drop()
            raise

    def _callback(self, state: State, run: Run, talk: Talk, name: str, data: bytes) -> None:
        known = name in FUNCTIONS
        args = bridge.arguments(name, data) if known else ()
        call, hit = self._callbacks.enter(state, run, name, args)
        if not known:
            call.error = f'method "{name}" not found'
            diagnostics.not_in_protobuf(state, call)
            self._node.notify("callback", state.exchange, call)
            raise Told(call.error)

        def answer(value: Any, failure: str | None) -> bytes:
            call.error, call.answer = failure, value
            return bridge.result(name, self._result(state, call, value, failure))

        args = _ARGUMENTS.get(name, args)
        sent = self._callbacks.perform(state, call, args, hit, answer)
        call.step = FUNCTIONS[name].result
        if "silence" in hit:
            raise ClientGone
        if "restart" in hit:
            self._transport.restart()
        if "disconnect" in hit:
            raise NoAnswer("closed")
        run.round_trips += 1
        talk.answer(sent)

    def _result(self, state: State, call: Callback, value: Any, failure: str | None) -> Any:
        """The result as the bridge takes it; nginx has a large body in a file."""
        if call.method != _BODY:
            return value
        if failure is not None:
            return bridge.BodyResult(error=failure)
        if value is None or len(value) <= BODY_BUFFER or not self._node.quirks.body_limit:
            return value
        return bridge.BodyResult(file=state.keep_file(value))
