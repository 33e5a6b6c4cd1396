"""MessagePack-RPC as the codec of a connection: bytes in, requests out.

A mistake that leaves the rest of the connection readable is answered here; the runtime never hears of it.
"""

from __future__ import annotations

from typing import Final

from ..errors import RPCError
from ..runtime.requests import Peer, Request, Task
from . import replies
from .calls import Context
from .direct import read
from .frames import SMALL_ITEMS, Decoder, packer
from .methods import Methods


class MessagePack(Decoder):
    """The codec of one connection.

    :param methods: what can be called.
    """

    __slots__ = ("_methods",)

    task: Final = None
    """No event has a connection to itself: its steps come on any."""

    def __init__(self, methods: Methods) -> None:
        super().__init__()
        self._methods = methods

    def direct(self, peer: Peer, data: bytes) -> Request[Context] | None:
        """The request that ``data`` is, if the short way knows it and nothing came before."""
        if self.begun or len(data) > SMALL_ITEMS:
            return None
        return read(self._methods, peer, data)

    def step(self, peer: Peer, data: bytes, task: Task) -> Request[Context] | None:
        """The step for ``task`` that ``data`` is, if the short way knows it and nothing came before."""
        if self.begun or len(data) > SMALL_ITEMS:
            return None
        return read(self._methods, peer, data, task.id)

    def request(self, peer: Peer) -> Request[Context] | None:
        """The next request that has arrived whole and is not answered yet.

        :raises FrameError: for bytes after which nobody can tell where the next frame begins.
        """
        while (frame := self.frame()) is not None:
            message_id, method, params = frame
            try:
                request = self._methods.read(peer, message_id, method, params)
            except RPCError as error:
                peer.send(replies.failure(packer(), message_id, str(error)))
            else:
                if request is not None:
                    return request
        return None
