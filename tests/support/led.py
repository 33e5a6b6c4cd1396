"""One client of one leader, which is the test's own thread: what is served without any other thread."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from typing import Any

from pluginserver.events.event import Event
from pluginserver.plugins.registry import Plugins
from pluginserver.rpc.calls import Context
from pluginserver.rpc.clients import UNSEEN
from pluginserver.rpc.instances import Instances
from pluginserver.rpc.methods import Methods
from pluginserver.runtime.codec import Codec
from pluginserver.runtime.connection import Connection
from pluginserver.runtime.options import Options
from pluginserver.runtime.pool import ThreadPool
from pluginserver.runtime.sending import READABLE
from pluginserver.runtime.worker import Worker

INSTANCE = 7
"""The id of the one instance."""


class Led:
    """The leader, and the client's end of its connection.

    :param kind: the plugin's class; its name is ``obeys``.
    :param codec: makes the connection's codec.
    :param ended: told of each event that is over.
    """

    def __init__(
        self,
        kind: type,
        codec: Callable[[Methods], Codec[Context]],
        ended: Callable[[Event], object] | None = None,
    ) -> None:
        plugins = Plugins([kind], entry_points=False)
        instances = Instances(lambda _event, _error: None, lambda _what, function: function())
        self.pool = ThreadPool(lambda p, n, g: Worker(p, n, g, Context()), "t", Options())
        self.methods = methods = Methods(plugins, instances, self.pool, ended)
        methods._next_event_id = itertools.count(1).__next__
        self.worker = Worker(self.pool, "t", "events", Context())
        self.worker.leadership.acquire()
        self.worker.leading = True
        server, self.client = socket.socketpair()
        self.client.settimeout(0)
        self.connection = Connection(server, self.pool.poller, codec(methods))
        self.pool.add(self.connection)
        instances.start_again(plugins.get("obeys"), "{}", INSTANCE, 0, UNSEEN)

    def attend(self, also: int = 0) -> None:
        """Have the leader do what the connection is ready for.

        :param also: for what else than reading.
        """
        self.worker._attend(self.connection, READABLE | also)

    def close(self) -> None:
        for task in list(self.pool.waiting.values()):
            task.cancel("over")
            task.end()
        self.client.close()
        self.pool.close()


def noting(codec: type[Any], taken: list[bytes]) -> type[Any]:
    """The same codec, which notes what goes the short way."""

    class Noting(codec):  # type: ignore[misc]
        __slots__ = ()

        def direct(self, peer: Any, data: bytes) -> Any:
            request = super().direct(peer, data)
            if request is not None:
                taken.append(data)
            return request

    return Noting


def without_short_way(codec: type[Any]) -> type[Any]:
    """The same codec, which leaves everything to the general way."""

    class General(codec):  # type: ignore[misc]
        __slots__ = ()

        def direct(self, _peer: object, _data: bytes) -> None:
            """Nothing is known."""
            return

    return General
