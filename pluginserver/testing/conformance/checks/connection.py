"""Checks of connections: what is told on them, how requests on them are read, and how they end.

Rules kept here:

* bytes are sent by hand where a client would not send them.
"""

from __future__ import annotations

from ....spec.methods import GET_PLUGIN_INFO, GET_STATUS
from ...transports.wire import NoAnswer, encode
from ..check import Group
from ..probe import Probe, at_once, short, want

CHECKS = Group("connection")


@CHECKS.must("serverPid, if it is sent, is a bare number")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        connection.send(probe.request(GET_STATUS, "")[1], probe.server.timeout)
        message = connection.receive(probe.server.timeout)
        while message[0] == 2:
            if message[1] == "serverPid":
                number = isinstance(message[2], int) and not isinstance(message[2], bool)
                want(number, f"serverPid is {short(message[2])}")
            message = connection.receive(probe.server.timeout)


@CHECKS.should("serverPid is sent before the first answer")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        connection.send(probe.request(GET_STATUS, "")[1], probe.server.timeout)
        message = connection.receive(probe.server.timeout)
        want(message[:2] == [2, "serverPid"], f"the first message is {short(message)}")


@CHECKS.must("a request is read one byte at a time")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        message_id, data = probe.request(GET_PLUGIN_INFO, probe.plugin)
        for place in range(len(data)):
            connection.send(data[place : place + 1], probe.server.timeout)
        answered, error, _ = probe.reply(connection)
        want((answered, error) == (message_id, None), f"the answer is {answered}, {error}")


@CHECKS.should("every one of several requests in one write is answered")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        requests = [probe.request(GET_STATUS, "") for _ in range(10)]
        connection.send(b"".join(data for _, data in requests), probe.server.timeout)
        answered = [probe.reply(connection)[0] for _ in requests]
        want(sorted(answered) == [number for number, _ in requests], f"answered are {answered}")


@CHECKS.must("64 connections at once are served")
def _(probe: Probe) -> None:
    instance = probe.start()
    at_once(64, lambda: probe.finish(*probe.begin(instance)))


@CHECKS.must("a connection closed in mid-request harms nobody")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        _, data = probe.request(GET_PLUGIN_INFO, probe.plugin)
        connection.send(data[: len(data) // 2], probe.server.timeout)
    with probe.connection() as connection:
        connection.send(data, probe.server.timeout)
    probe.alive()


def _closes(probe: Probe, data: bytes) -> None:
    """What is not a request must end its own connection, and that one alone."""
    with probe.connection() as other:
        with probe.connection() as connection:
            probe.ask(GET_STATUS, "", connection)
            connection.send(data, probe.server.timeout)
            try:
                while True:
                    connection.receive(probe.server.timeout)
            except NoAnswer as end:
                want(not end.timed_out, "the connection is neither answered nor closed")
        probe.ask(GET_STATUS, "", other)


@CHECKS.should("bytes that are not MessagePack close their connection alone")
def _(probe: Probe) -> None:
    _closes(probe, b"\xc1")


@CHECKS.should("frames that are not requests close their connection alone")
def _(probe: Probe) -> None:
    for frame in ([], [0, 1, GET_STATUS], [9, 1, GET_STATUS, [""]], "x", 5):
        _closes(probe, encode(frame))
