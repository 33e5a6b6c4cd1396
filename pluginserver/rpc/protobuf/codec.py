"""ProtoBuf:1 as the codec of a connection: bytes in, requests out.

What a frame is depends on what the connection is in the middle of: a call, the answer to an event's
callback, or the answer to an event's last words.  Rules kept here:

* an event is claimed before anything is read for it, as a step of MsgPack:1 is: its frames are for the
  thread that owns it;
* an answer that comes after the event was given up closes the request;
* for an instance that is not there the connection is closed: Kong then starts one and asks again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from ...errors import InstanceError, PluginServerError, RPCError
from ...runtime.codec import ProtocolError
from ...runtime.requests import Peer, Request, Task
from ...spec import methods as names
from ..calls import Context
from ..methods import Methods
from .calls import Talk, TalkCall, TalkControl, TalkPong, refused
from .direct import begin
from .functions import closing
from .messages import decode
from .wire import HEADER, Frames, is_frame

LATE: Final = "Kong answered too late"


class ProtoBuf(Frames):
    """The codec of one connection.

    :param methods: what can be called.
    """

    __slots__ = ("_methods", "_talk")

    def __init__(self, methods: Methods) -> None:
        super().__init__()
        self._methods = methods
        self._talk = Talk()

    @property
    def task(self) -> Task | None:
        """The event that has the connection to itself."""
        return self._talk.event

    def prepare(self) -> bool:
        """Whether the next frame has arrived whole: there is nothing to decode before."""
        held = self.held
        return held is not None and len(held) >= HEADER + int.from_bytes(held[:HEADER], "little")

    def direct(self, peer: Peer, data: bytes) -> Request[Context] | None:
        """The request that ``data`` is, alone and whole: a callback's answer, or an event's beginning."""
        if self.pending() or not is_frame(data):
            return None
        talk = self._talk
        event = talk.event
        if event is not None:
            claimed = self._methods.claim(event.id, None)
            return None if claimed is None else TalkCall.make(peer, talk, claimed, data[HEADER:])
        if talk.words is not None or talk.failure:
            return None
        call = begin(self._methods, peer, data)
        if call is not None:
            self._talk = call.talk
        return call

    def step(self, peer: Peer, data: bytes, task: Task) -> Request[Context] | None:
        """The answer to the callback of ``task`` that ``data`` is, alone and whole."""
        return self.direct(peer, data) if self._talk.event is task else None

    def request(self, peer: Peer) -> Request[Context] | None:
        """The next request that has arrived whole and is not answered yet.

        :raises ProtocolError: when the connection is to be closed.
        """
        if self._talk.failure:
            raise ProtocolError(self._talk.failure)
        while (content := self.next()) is not None:
            talk = self._talk
            event = talk.event
            if event is None and talk.words is None:
                request = self._call(peer, content)
                if request is not None:
                    return request
                continue
            claimed = None if event is None else self._methods.claim(event.id, None)
            if claimed is not None:
                return TalkCall.make(peer, talk, claimed, content)
            pinged = None if event is None else self._methods.tasks.pinged.pop(event.id, None)
            if pinged is not None:
                return TalkPong(peer, pinged)
            if talk.words is not None:
                peer.send(talk.answered(content))
            elif event is None or self._methods.tasks.is_running(event.id):
                raise ProtocolError("a frame came while a handler ran")
            else:
                peer.send(talk.say(closing(event.handler.phase, LATE)))
        return None

    def _call(self, peer: Peer, content: bytes) -> Request[Context] | None:
        """Understand a call.

        :returns: None when it has been answered.
        """
        call = decode("RpcCall", content)
        talk = self._talk = Talk(call.get("sequence", 0))
        event = call.get("cmd_handle_event")
        if event is not None:
            return self._begin(peer, event.get("instance_id", 0), event.get("event_name", ""))
        for name, make in _CONTROLS.items():
            if name in call:
                return TalkControl(
                    peer, talk, name, partial(make, self._methods, peer.pid, call[name])
                )
        raise ProtocolError("a frame is not a call")

    def _begin(self, peer: Peer, instance_id: int, phase: str) -> TalkCall | None:
        talk, methods = self._talk, self._methods
        try:
            event = methods.begin(instance_id, phase, talk.over)
        except InstanceError as error:
            raise ProtocolError(str(error)) from None
        except RPCError as error:
            peer.send(refused(talk, phase, str(error)))
            return None
        talk.event = event
        call = TalkCall.make(peer, talk, event, None)
        if methods.turn_away is not None:
            peer.send(call.refusal(methods.turn_away(event)))
            event.end()
            return None
        return call


# -- calls that are about no event


def _done(methods: Methods, method: str, pid: int, argument: Any) -> Any:
    function = methods.control(method, pid)
    assert function is not None
    return function(argument)


def _status(shown: dict[str, Any]) -> dict[str, Any]:
    """An instance, without its configuration: nobody reads that."""
    return {
        "instance_status": {
            "name": shown["Name"],
            "instance_id": shown["Id"],
            "started_at": shown["StartTime"],
        }
    }


def _start_instance(methods: Methods, pid: int, call: dict[str, Any]) -> dict[str, Any]:
    argument = {"Name": call.get("name"), "Config": call.get("config")}
    return _status(_done(methods, names.START_INSTANCE, pid, argument))


def _of_instance(
    method: str,
) -> Callable[[Methods, int, dict[str, Any]], dict[str, Any]]:
    def make(methods: Methods, pid: int, call: dict[str, Any]) -> dict[str, Any]:
        return _status(_done(methods, method, pid, call.get("instance_id", 0)))

    return make


def _plugin_names(methods: Methods, pid: int, _call: dict[str, Any]) -> dict[str, Any]:
    found = _done(methods, names.GET_STATUS, pid, None)
    return {"plugin_names": {"names": list(found["Plugins"])}}


def _plugin_info(methods: Methods, pid: int, call: dict[str, Any]) -> dict[str, Any]:
    name = call.get("name", "")
    about = _done(methods, names.GET_PLUGIN_INFO, pid, name)
    loaded = _done(methods, names.GET_STATUS, pid, None)["Plugins"].get(name, {})
    priority = about["Priority"]
    if not -(2**31) <= priority < 2**31:
        raise PluginServerError(f"the priority {priority} has more than 32 bits")
    return {
        "plugin_info": {
            "name": about["Name"],
            "updated_at": loaded.get("Modtime", 0),
            "loaded_at": loaded.get("LoadTime", 0),
            "phases": about["Phases"],
            "version": about["Version"],
            "priority": priority,
            "schema": json.dumps(about["Schema"]),
        }
    }


_CONTROLS: Final[dict[str, Callable[[Methods, int, dict[str, Any]], dict[str, Any]]]] = {
    "cmd_start_instance": _start_instance,
    "cmd_close_instance": _of_instance(names.CLOSE_INSTANCE),
    "cmd_get_instance_status": _of_instance(names.INSTANCE_STATUS),
    "cmd_get_plugin_names": _plugin_names,
    "cmd_get_plugin_info": _plugin_info,
}
"""What answers each call that is about no event."""
