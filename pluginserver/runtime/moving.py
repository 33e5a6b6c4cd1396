"""How the connections of a pool go to another process, each as soon as no request of it is being worked on.

Rules kept here:

* all of it is done by the leader, between two requests: nobody else reads a connection;
* from the first moment on nothing more is read here, so that what comes is handled there, but from a
  connection that a task has to itself, which moves when that is over;
* who answers counts the answer before looking whether connections are moving, and the leader says that they
  are before it looks at the counts: no connection is overlooked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from .connection import Connection, Detached
from .pool import ThreadPool
from .requests import C


class Mover(Generic[C]):
    """Moves the connections of one pool.

    :param pool: its pool.
    :param send: sends connections that have been let go; the leader calls it.
    """

    def __init__(self, pool: ThreadPool[C], send: Callable[[list[Detached]], None]) -> None:
        self._pool = pool
        self._send = send
        self._sending = False

    @property
    def done(self) -> bool:
        """Whether every connection was sent; from any thread."""
        # In this order: a connection leaves the table while it is being sent.
        return self._pool.moving is not None and not self._pool.connections and not self._sending

    def start(self) -> None:
        """Begin; from any thread."""
        self._pool.calls.put(self._begin)
        self._pool.wake_poll()

    def _begin(self) -> None:
        pool = self._pool
        pool.moving = self._look_again
        at_rest = []
        for connection in list(pool.connections.values()):
            if connection.at_rest:
                at_rest.append(connection)
            elif connection.task is None:
                connection.pause()
                pool.recall(connection)
        self._move(at_rest)

    def _look_again(self, connection: Connection[C]) -> None:
        if not connection.closed and connection.at_rest:
            self._move([connection])

    def _move(self, connections: list[Connection[C]]) -> None:
        self._sending = True
        self._send([detach(self._pool, connection) for connection in connections])
        self._sending = False


def detach(pool: ThreadPool[C], connection: Connection[C]) -> Detached:
    """Take a connection out of its pool, and give away what it is; the leader only."""
    del pool.connections[connection.fd]
    return connection.detach()
