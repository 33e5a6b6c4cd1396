"""Long requests, read and decoded by a worker, so that the leader is held up by none.

The leader lends a connection when :data:`~.connection.LARGE` bytes of an unfinished request are here.  From
then on only the worker receives, and only it decodes, until the request is whole or nothing comes; then
the connection is the leader's again, which handles the request as any other.  Rules kept here:

* a connection is in nobody's poll while it is lent, and always comes back;
* a client that sends slowly holds a worker for :data:`PATIENCE` seconds, and one that does not stop for
  :data:`TURN` seconds: then the others have their turn.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from time import monotonic
from typing import Final, Generic

from .connection import Connection
from .requests import C, Job

PATIENCE: Final = 0.05
"""Seconds to wait for more: a client that writes 16 MiB fills the socket's buffer again in far less."""

TURN: Final = 0.25
"""Seconds for one connection."""


class Reading(Job, Generic[C]):
    """A connection's turn.

    :param connection: what was lent.
    :param back: where it goes afterwards.
    :param wake: tells the leader to look there.
    """

    def __init__(
        self,
        connection: Connection[C],
        back: queue.SimpleQueue[Connection[C]],
        wake: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._back = back
        self._wake = wake

    def perform(self) -> None:
        """Read until the request is whole, or nothing comes, or the turn is over."""
        end = monotonic() + TURN
        try:
            while self._connection.read_on(PATIENCE) and monotonic() < end:
                pass
        finally:
            self._connection.lent = False
            self._back.put(self._connection)
            self._wake()
