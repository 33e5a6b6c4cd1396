"""Runs a request of the development gateway again, as it came.

Rules kept here:

* it is a request like any other: it is in the list, on the terminal, and in the files of ``--record``;
* nobody waits for its response.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..testing import Gateway
from .history import History


class Again:
    """Runs requests again.

    :param gateway: where they run.
    :param history: which there were.
    :param failed: told of an error of the gateway's own.
    """

    def __init__(
        self, gateway: Gateway, history: History, failed: Callable[[BaseException], None]
    ) -> None:
        self._failed = failed
        self._gateway = gateway
        self._history = history

    async def run(self, exchange_id: str) -> str | None:
        """Run a request again, to its end.

        :param exchange_id: the id of its record.
        :returns: the id of the new record; None when the request is not remembered.
        """
        entry = self._history.get(exchange_id)
        if entry is None:
            return None
        done = await asyncio.to_thread(self._gateway.handle, entry.exchange.request)
        return done.id

    async def latest(self) -> None:
        """Run the last request again, if there was one."""
        entries = self._history.entries()
        try:
            if entries:
                await self.run(entries[0].id)
        except Exception as error:
            self._failed(error)
