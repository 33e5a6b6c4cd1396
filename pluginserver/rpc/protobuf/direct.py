"""The short way of the calls that nearly all calls are: the beginning of an event.

It stands beside the general way (:mod:`.codec`, :mod:`.decoding`), for the frames that Kong's client writes:
the two fields of the call, in either order, and an event that may begin.  Rules kept here:

* whatever is not as expected is left to the general way, before anything was done about it;
* what Kong is told is the same, to the byte: a test feeds both ways the same bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ...runtime.requests import Peer
from ...spec.protobuf import MESSAGES
from ..methods import Methods
from .calls import Talk, TalkCall
from .messages import decode
from .wire import HEADER, LENGTH, VARINT, WireError, read_varint, varint

_NUMBERS: Final = {field.name: field.number for field in MESSAGES["RpcCall"]}
_SEQUENCE: Final = _NUMBERS["sequence"] << 3 | VARINT
_EVENT: Final = varint(_NUMBERS["cmd_handle_event"] << 3 | LENGTH)

_SHORT: Final = 0x80
"""Bytes of a field whose length is not one byte any more."""


def begin(methods: Methods, peer: Peer, data: bytes) -> TalkCall | None:
    """The call that begins an event; None, and nothing was done, when that is for the general way to say.

    :param data: one frame.
    """
    try:
        found = _parts(data)
        if found is None:
            return None
        sequence, call = found
        handler = methods.find(*_names(call))
    except (IndexError, WireError):
        return None
    if handler is None:
        return None
    talk = Talk(sequence)
    talk.event = event = methods.enter(handler, talk.over)
    if handler.closed or methods.turn_away is not None:
        event.end()
        return None
    return TalkCall.make(peer, talk, event, None)


def _parts(data: bytes) -> tuple[int, bytes] | None:
    """The number of a call and the bytes of its ``cmd_handle_event``; None for any other call.

    :raises IndexError, WireError: likewise.
    """
    end = len(data)
    if data[HEADER] == _SEQUENCE:
        sequence, start = read_varint(data, HEADER + 1, end)
        start += len(_EVENT)
        size = data[start]
        if data[start - len(_EVENT) : start] != _EVENT or start + 1 + size != end:
            return None
    else:
        start = HEADER + len(_EVENT)
        size = data[start]
        after = start + 1 + size
        if data[HEADER:start] != _EVENT or data[after] != _SEQUENCE:
            return None
        sequence, last = read_varint(data, after + 1, end)
        if last != end:
            return None
    if size >= _SHORT or sequence >> 63:
        return None
    return sequence, data[start + 1 : start + 1 + size]


@lru_cache(maxsize=1024)
def _names(call: bytes) -> tuple[int, str]:
    """The instance and the phase of a ``cmd_handle_event``: few are named by many calls.

    :raises WireError: for bytes that are none.
    """
    fields = decode("CmdHandleEvent", call)
    return fields.get("instance_id", 0), fields.get("event_name", "")
