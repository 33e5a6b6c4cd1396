"""MessagePack-RPC as the codec of a connection: bytes in, requests out.

A mistake that leaves the rest of the connection readable is answered here; the runtime never hears of it.
"""

from __future__ import annotations

from typing import Final

from ..errors import RPCError
from ..runtime.requests import Peer, Request
from . import replies
from .calls import Context
from .frames import Decoder, packer
from .methods import Methods


class MessagePack:
    """The codec of one connection.

    :param methods: what can be called.
    """

    __slots__ = ("_methods", "_next", "feed", "unhandled")

    def __init__(self, methods: Methods) -> None:
        decoder = Decoder()
        self._methods = methods
        self._next = decoder.request
        self.feed: Final = decoder.feed
        """Take what arrived."""
        self.unhandled: Final = decoder.unread
        """What was fed and has become no request yet."""

    def request(self, peer: Peer) -> Request[Context] | None:
        """The next request that has arrived whole and is not answered yet.

        :raises FrameError: for bytes after which nobody can tell where the next frame begins.
        """
        while (frame := self._next()) is not None:
            message_id, method, params = frame
            try:
                request = self._methods.read(peer, message_id, method, params)
            except RPCError as error:
                peer.send(replies.failure(packer(), message_id, str(error)))
            else:
                if request is not None:
                    return request
        return None
