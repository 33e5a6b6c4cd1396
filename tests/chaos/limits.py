"""The limits, reached on purpose: connections, events, and the memory of frames.

Rules kept here:

* what is over a limit is refused, what was there before it is served on;
* a frame costs the server no more memory than it may, measured in the process while it is sent.
"""

from __future__ import annotations

import socket
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final

from support.client import Client, Closed, pack

from .faults import Target
from .process import CALLBACK_TIMEOUT, MAX_CONNECTIONS, MAX_EVENTS

MIB: Final = 1 << 20

BESIDE: Final = 128 * 1024
"""KiB that the load may take beside a large frame: answers of 256 KiB, floods, a reload."""

LARGEST: Final = 64 * MIB
"""Bytes of the largest frame that a server takes."""


def connections(target: Target, _random: Random) -> None:
    """More connections than there may be: the next one is closed, the first ones are served on."""
    clients: list[Client] = []
    with target.server.window("connections over their limit"):
        try:
            try:
                for _ in range(MAX_CONNECTIONS + 1):
                    clients.append(target.client())
            except Closed:
                clients[0].call("plugin.GetStatus")
                clients[-1].call("plugin.GetStatus")
            else:
                target.find(f"{len(clients)} connections were taken")
        finally:
            for client in clients:
                client.close()


def events(target: Target, _random: Random) -> None:
    """More events than there may be: the next one is refused, the others end as they should."""
    waiting = []
    start = monotonic()
    with (
        target.server.window("events over their limit"),
        target.instance("once") as instance,
        target.client() as client,
    ):
        for _ in range(MAX_EVENTS + 1):
            begun = client.begin(instance)
            if begun["Data"]["Method"] == "kong.response.error":
                break
            waiting.append(begun["EventId"])
        else:
            if monotonic() - start < CALLBACK_TIMEOUT:  # none of them was given up yet
                target.find(f"{len(waiting)} events were taken")
        for event in waiting:
            if client.step(event, "text")["Data"] != "ret":
                target.find("an event that was under the limit did not end")


def large_frame(target: Target, random: Random) -> None:
    """A frame of many MiB, whole or not, that can be decoded or not: it takes a bounded memory."""
    size = random.randrange(4, 24) * MIB
    text = random.choice((b"x" * size, random.randbytes(size)))
    begin = pack([0, 1, "plugin.StartInstance"])[1:] + b"\x91\x82\xa4Name\xa6steady\xa6Config"
    data = b"\x94" + begin + b"\xdb" + size.to_bytes(4, "big") + text
    if random.random() < 0.5:
        data = data[: -random.randrange(1, size)]
    with target.client() as client:
        _is_refused(target, client, data, 5 * size)


def too_large(target: Target, random: Random) -> None:
    """A frame that is over a limit: of bytes, by its declaration, of arrays or of entries."""
    begin = b"\x94\x00\x01\xacplugin.Start\x91"
    data = random.choice(
        (
            begin + b"\xc6" + (LARGEST + 1).to_bytes(4, "big"),
            begin + b"\xdc\xff\xff" + b"\x91\x90" * 65536,
            begin + b"\xdd" + (2 * MIB).to_bytes(4, "big") + b"\xc0" * (2 * MIB),
            begin + b"\xdf" + (2 * MIB).to_bytes(4, "big") + b"\x01\xc0" * (2 * MIB),
        )
    )
    with target.client() as client:
        if not _is_refused(target, client, data, LARGEST):
            target.find(f"a frame over a limit was taken: {data[:30]!r}")


def _is_refused(target: Target, client: Client, data: bytes, limit: int) -> bool:
    """Send a frame and look at the memory that it takes; whether its connection was closed for it."""
    pid = target.server.process.pid
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak is counted from now on
    before = target.server.memory(pid)
    refused = False
    try:
        client.send(data)
        client.socket.shutdown(socket.SHUT_WR)
        client.response()
    except (Closed, OSError):
        refused = True
    grown = target.server.memory(pid, "VmHWM") - before
    if grown > limit // 1024 + BESIDE:
        target.find(f"a frame of {len(data)} bytes took {grown} KiB: {data[:30]!r}")
    return refused


CLIENTS: Final = {large_frame: 0.5, too_large: 0.5}
"""What is done all the time, and how often."""

PROCESS: Final = {connections: 0.5, events: 0.5}
"""What is done now and then: no end of the process comes in between."""
