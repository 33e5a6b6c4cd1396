"""Which protocol a client speaks: known by the first four bytes that it sends.

A request of MsgPack:1 is an array of four that begins with 0; then comes its id, and the name of its method
if the id has one byte.  ProtoBuf:1 begins with the length of a frame, little-endian, whose last byte is 0
below 16 MiB.

Rules kept here:

* a connection speaks one protocol to its end;
* a client of MsgPack:1 is told which server it talks to before its first answer, and one of ProtoBuf:1
  never is: that protocol has no place for it;
* a client that says neither, or sends fewer bytes, is of no use: see ``-io-timeout``.
"""

from __future__ import annotations

from typing import Final

from ..runtime.codec import Codec, Line, ProtocolError
from ..runtime.requests import Request
from .calls import Context
from .messagepack import MessagePack
from .methods import Methods
from .protobuf.codec import ProtoBuf

ENOUGH: Final = 4
"""Bytes that tell the protocols apart."""


def is_messagepack(start: bytes) -> bool:
    """Whether a client that begins so speaks MsgPack:1; it has sent :data:`ENOUGH` bytes."""
    return start[:2] == b"\x94\x00" and not (start[2] < 0xCC and start[3] == 0)


class Unknown:
    """The codec of a connection whose client has not said enough yet.

    :param methods: what can be called.
    :param greeting: what a client of MsgPack:1 is sent first.
    """

    __slots__ = ("_data", "_greeting", "_methods")

    held: Final = None
    """Nothing is given out here."""
    task: Final = None
    """No event has begun."""

    def __init__(self, methods: Methods, greeting: bytes) -> None:
        self._methods = methods
        self._greeting = greeting
        self._data = b""

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        self._data += data

    def pending(self) -> int:
        """How many bytes there are of requests that have not been given out."""
        return len(self._data)

    def direct(self, _peer: object, _data: bytes) -> None:
        """Nothing is known before the protocol is."""

    def step(self, _peer: object, _data: bytes, _task: object) -> None:
        """No event has begun yet."""

    def prepare(self) -> bool:
        """Nothing is decoded before the protocol is known."""
        return False

    def request(self, peer: Line[Context]) -> Request[Context] | None:
        """The first request, once enough has arrived; from then on the connection has another codec.

        :raises ProtocolError: for the beginning of neither protocol.
        """
        data = self._data
        if len(data) < ENOUGH:
            return None
        codec: Codec[Context]
        if is_messagepack(data):
            codec = MessagePack(self._methods)
            peer.send(self._greeting)
        elif data[3] == 0:
            codec = ProtoBuf(self._methods)
        else:
            raise ProtocolError(
                f"{data[:ENOUGH].hex(' ')} begins neither MsgPack:1 nor ProtoBuf:1"
            )
        codec.feed(data)
        peer.use(codec)
        peer.half_since = 0.0
        return codec.request(peer)

    def unhandled(self) -> bytes:
        """What was fed and has become no request yet."""
        return self._data
