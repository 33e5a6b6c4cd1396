"""Which place serves which client.

All connections of one process go to one place, because an nginx worker begins an event on one connection and
goes on with it on another (MsgPack:1).  A protocol whose events stay on their connection could be spread
connection by connection: :meth:`Peers.choose` is where that would be decided.

Rules kept here:

* a process that was not seen before goes to the place with the fewest processes; it stays there until it
  ends, or the place is shut;
* a process is what the kernel says of the connection; those that it does not show, or whose end cannot be
  watched, count as one: nobody guesses which connections belong together.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Final

from .. import logs
from ..runtime.processes import open_process, peer_process
from .loop import Loop

UNSEEN: Final = 0
"""Stands for all processes of which nothing is known."""

_log: Final = logs.get_logger()


class Peers:
    """The processes that are connected, and their places.

    :param loop: tells of the end of a process.
    :param places: how many places there are; they are numbered from 1.
    """

    def __init__(self, loop: Loop, places: int) -> None:
        self._loop = loop
        self._places = range(1, places + 1)
        self._shut: set[int] = set()
        self._place_of: dict[int, int] = {}
        self._watched: dict[int, int] = {}
        """The descriptors that tell of the end of processes."""
        self._told = False

    def choose(self, client: socket.socket) -> int:
        """The place for a new connection."""
        process = peer_process(client)
        if process not in self._watched and not self._watch(process):
            if process == UNSEEN and not self._told:
                self._told = True
                _log.warning(
                    "the system does not show the processes of clients, so one process serves them all:"
                    " let Kong and this server share a namespace of process ids"
                )
            process = UNSEEN
        place = self._place_of.get(process)
        if place is None:
            place = self._place_of[process] = self._least()
        return place

    def shut(self, place: int) -> None:
        """Give a place no client for now, and those that it has to others when they connect again."""
        self._shut.add(place)
        self._forget({place})

    def open(self, place: int) -> None:
        """Let a place have clients; whoever waits for one that is shut may choose anew."""
        self._shut.discard(place)
        self._forget(self._shut)

    def counts(self) -> dict[int, int]:
        """How many processes each place serves."""
        counts = Counter(self._place_of.values())
        return {place: counts[place] for place in self._places}

    def known(self) -> list[tuple[int, int]]:
        """The processes and their places, for a successor."""
        return list(self._place_of.items())

    def adopt(self, known: Iterable[tuple[int, int]]) -> None:
        """Go on with the processes and places of a predecessor."""
        for process, place in known:
            if process == UNSEEN or process in self._watched or self._watch(process):
                self._place_of[process] = place

    def close(self) -> None:
        """Watch nobody any more."""
        for process in list(self._watched):
            self._ended(process)

    def _least(self) -> int:
        counts = self.counts()
        usable = [place for place in self._places if place not in self._shut]
        return min(usable or self._places, key=lambda place: counts[place])

    def _watch(self, process: int) -> bool:
        descriptor = open_process(process)
        if descriptor is None:
            return False
        self._watched[process] = descriptor
        self._loop.watch(descriptor, partial(self._ended, process))
        return True

    def _ended(self, process: int) -> None:
        descriptor = self._watched.pop(process)
        self._loop.unwatch(descriptor)
        os.close(descriptor)
        self._place_of.pop(process, None)

    def _forget(self, places: set[int]) -> None:
        for process, place in list(self._place_of.items()):
            if place in places:
                del self._place_of[process]
