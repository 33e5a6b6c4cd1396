"""What is asked of the servers: the workloads, and the cases that each compares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .servers import BARE, Server

LEVELS: Final = (1, 16, 64, 256)
"""How many requests are in flight."""

SLEEP: Final = 0.05
"""Seconds that ``sleeper`` sleeps."""

BURNERS: Final = ("burner", 4)
SLEEPERS: Final = ("sleeper", 64)
"""Neighbours: a plugin, and how many of its events are in flight."""


@dataclass(frozen=True)
class Case:
    """One row of a comparison: a server, in one protocol, with one plugin.

    :param label: what it is called in the table.
    :param against: the label of the case of the same protocol that it is compared with; None for none.
    :param against_protocol: the protocol of that case when it is another one.
    :param beside: a neighbour: a plugin whose events another client keeps in flight, and how many.
    :param clients: how many clients ask at the same time, each as much.
    """

    server: Server
    plugin: str
    label: str
    protocol: str = "MsgPack:1"
    against: str | None = None
    against_protocol: str | None = None
    beside: tuple[str, int] | None = None
    clients: int = 1


@dataclass(frozen=True)
class Workload:
    """Cases that are compared with each other.

    :param levels: how many requests are in flight, for each client.
    :param sleeps: whether its handlers sleep, which limits what is possible.
    """

    name: str
    title: str
    about: str
    cases: tuple[Case, ...]
    levels: tuple[int, ...] = LEVELS
    sleeps: bool = False

    def possible(self, inflight: int) -> float | None:
        """The events a second that handlers which sleep allow; None when only the server limits them."""
        return inflight / SLEEP if self.sleeps else None


ABOUT: Final = {
    "hello": "Two callbacks: reads a header, sets one.",
    "bench": "Eight callbacks: reads three headers, the method and the path, and sets three headers.",
    "empty": "A phase that returns at once.",
}


def workloads(servers: Sequence[Server], levels: Sequence[int] = LEVELS) -> list[Workload]:
    """All workloads, of the servers that are there.

    :param levels: how many requests are in flight.
    """
    there = {server.name: server for server in servers}
    peers = [server for server in servers if server.name not in VARIANTS]
    every = tuple(levels)
    found = [
        *(
            Workload(name, f"``{name}``", ABOUT[name], _to_floor(peers, name), every)
            for name in BARE
        ),
        Workload(
            "slow",
            "Handlers that sleep",
            "``sleeper`` sleeps for 50 ms; the ratio is to what is possible then.",
            tuple(_cases(peers, "sleeper")),
            every,
            sleeps=True,
        ),
        Workload(
            "own",
            "Threads of its own, against inline",
            "``hello`` with an event to a thread, against ``hello`` on the leader's thread.",
            tuple(_own(there)),
            every,
        ),
        Workload(
            "beside",
            "``hello`` beside neighbours",
            "``hello`` alone, beside four handlers that compute for 10 ms, and beside 64 that sleep for "
            "50 ms; the ratio is to the same server alone.",
            tuple(_beside(peers)),
            every,
        ),
        Workload(
            "trips",
            "Fewer round trips",
            "``bench`` as it is, against the same with every call made (``-round-trips plain``).",
            tuple(_variant(there, "pluginserver, plain", "bench")),
            every,
        ),
        Workload(
            "protocols",
            "ProtoBuf:1 against MsgPack:1",
            "``hello`` of this server in both protocols.",
            tuple(_protocols(there)),
            every,
        ),
        Workload(
            "processes",
            "Two processes against one",
            "A handler that computes for 10 ms, for two clients with four requests in flight each.",
            tuple(_processes(there)),
            (4,),
        ),
    ]
    return [one for one in found if one.cases]


VARIANTS: Final = {"pluginserver, plain", "pluginserver, 2 processes"}
"""Servers that have a workload of their own."""


def _cases(servers: Iterable[Server], plugin: str) -> Iterable[Case]:
    for server in servers:
        if plugin in server.plugins:
            for protocol in server.protocols:
                yield Case(server, plugin, server.name, protocol)


def _to_floor(servers: Sequence[Server], plugin: str) -> tuple[Case, ...]:
    return tuple(
        Case(
            one.server, plugin, one.label, one.protocol, None if one.label == "floor" else "floor"
        )
        for one in _cases(servers, plugin)
    )


def _own(there: dict[str, Server]) -> Iterable[Case]:
    server = there.get("pluginserver")
    for protocol in server.protocols if server else ():
        assert server is not None
        yield Case(server, "shared", "inline", protocol)
        yield Case(server, "own", "own threads", protocol, "inline")


def _beside(servers: Iterable[Server]) -> Iterable[Case]:
    for case in _cases(servers, "hello"):
        if "burner" not in case.server.plugins:
            continue
        name, protocol = case.label, case.protocol
        yield Case(case.server, "hello", name, protocol)
        for what, neighbours in (("4 that compute", BURNERS), ("64 that sleep", SLEEPERS)):
            label = f"{name}, {what}"
            yield Case(case.server, "hello", label, protocol, name, beside=neighbours)


def _variant(there: dict[str, Server], plain: str, plugin: str) -> Iterable[Case]:
    if plain in there and "pluginserver" in there:
        for protocol in there[plain].protocols:
            yield Case(there[plain], plugin, plain, protocol)
            yield Case(there["pluginserver"], plugin, "pluginserver", protocol, plain)


def _protocols(there: dict[str, Server]) -> Iterable[Case]:
    server = there.get("pluginserver")
    if server is not None and len(server.protocols) > 1:
        yield Case(server, "hello", "pluginserver")
        yield Case(server, "hello", "pluginserver", "ProtoBuf:1", "pluginserver", "MsgPack:1")


def _processes(there: dict[str, Server]) -> Iterable[Case]:
    two = there.get("pluginserver, 2 processes")
    if two is not None and "pluginserver" in there:
        yield Case(there["pluginserver"], "burner", "pluginserver", clients=2)
        yield Case(two, "burner", two.name, against="pluginserver", clients=2)
