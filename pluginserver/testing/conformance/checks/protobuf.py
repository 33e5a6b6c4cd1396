"""Checks of ProtoBuf:1: frames, calls, and an event with all its callbacks on one connection.

Rules kept here:

* a server that does not speak it is not checked, unless nothing else is.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from ....spec.protobuf import FUNCTIONS
from ....spec.protocols import PROTOBUF
from ...kong.lua_protobuf import encode
from ...transports.protobuf import HEADER
from ...transports.wire import NoAnswer
from ..check import Group
from ..probe import Probe, Skipped, Wrong, at_once, short, want

CHECKS = Group("protobuf", protocol=PROTOBUF)

NO_ID: Final = 2_147_483_600
"""An id that no instance has."""

LARGE: Final = 2_000_000
"""Characters of a large answer."""


@CHECKS.must("an answer carries the sequence of its call")
def _(probe: Probe) -> None:
    with probe.line() as line:
        for sequence in (1, 2, 300, 2**40, 2**63 - 1):
            line.send(line.message("cmd_start_instance", line.start_fields(), sequence))
            line.close_instance(line.instance(line.returned()))


@CHECKS.must("nothing is sent that was not asked for")
def _(probe: Probe) -> None:
    with probe.line() as line:
        instance = line.start()
        line.begin(instance)
    with probe.line() as line:
        line.close_instance(instance)
        want(not line.connection.stale(), "something came behind the answer")


@CHECKS.must("a frame is read one byte at a time")
def _(probe: Probe) -> None:
    with probe.line() as line:
        message = line.message("cmd_start_instance", line.start_fields())
        data = len(message).to_bytes(HEADER, "little") + message
        for place in range(len(data)):
            line.connection.send(data[place : place + 1], probe.server.timeout)
        line.close_instance(line.instance(line.returned()))


@CHECKS.must("fields come in any order, and unknown ones are ignored")
def _(probe: Probe) -> None:
    with probe.line() as line:
        start = encode("CmdStartInstance", line.start_fields())
        call = bytes([0x8A, 0x02]) + _sized(start + bytes([0xFA, 0x01, 0x00]))
        for message in (
            b"\x08\x07" + call,
            call + b"\x08\x07",
            b"\xf8\x3f\x01" + call + b"\x08\x07",
        ):
            line.send(message)
            line.close_instance(line.instance(line.returned(7)))


def _sized(data: bytes) -> bytes:
    """Bytes behind their length, as a field has them."""
    size, out = len(data), []
    while size >= 0x80:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size]) + data


@CHECKS.must("an event ends with an empty frame and the answer to its call")
def _(probe: Probe) -> None:
    with probe.line() as line:
        line.play(line.start())


@CHECKS.must("a connection serves one event after another")
def _(probe: Probe) -> None:
    with probe.line() as line:
        instance = line.start()
        for _ in range(3):
            names = line.play(instance)
            if names and names[-1] == "kong.response.exit":
                raise Skipped("the event ends with an exit, which ends its connection")
        line.close_instance(instance)


@CHECKS.must("64 events run at once, each on a connection of its own")
def _(probe: Probe) -> None:
    with probe.line() as line:
        instance = line.start()

    def one() -> None:
        with probe.line() as line:
            line.play(instance)

    at_once(64, one)


@CHECKS.must("an event for an unknown instance closes the connection")
def _(probe: Probe) -> None:
    with probe.line() as line:
        fields = {"instance_id": NO_ID, "event_name": probe.phase}
        line.send(line.message("cmd_handle_event", fields))
        line.closed()


@CHECKS.must("a closed instance is an unknown one")
def _(probe: Probe) -> None:
    with probe.line() as line:
        instance = line.start()
        line.close_instance(instance)
        line.send(
            line.message("cmd_handle_event", {"instance_id": instance, "event_name": probe.phase})
        )
        line.closed()


@CHECKS.must("an instance's id is positive and has no more than 31 bits")
def _(probe: Probe) -> None:
    with probe.line() as line:
        instance = line.start()
        want(0 < instance < 2**31, f"the id is {instance}")


@CHECKS.should("an instance's id is not used again")
def _(probe: Probe) -> None:
    with probe.line() as line:
        first = line.start()
        line.close_instance(first)
        want(line.start() != first, f"the id {first} was given out again")


@CHECKS.must("running events go on when their instance is closed")
def _(probe: Probe) -> None:
    with probe.line() as line, probe.line() as other:
        instance = line.start()
        callback = line.begin(instance)
        other.close_instance(instance)
        line.finish(callback)


@CHECKS.must("a connection that Kong closes in an event harms nobody")
def _(probe: Probe) -> None:
    with probe.line() as line:
        instance = line.start()
        line.begin(instance)
    with probe.line() as line:
        line.play(instance)


@CHECKS.must("events that wait keep nobody from going on")
def _(probe: Probe) -> None:
    with ExitStack() as stack:
        instance = stack.enter_context(probe.line()).start()
        for _ in range(100):
            stack.enter_context(probe.line()).begin(instance)
        stack.enter_context(probe.line()).play(instance)


@CHECKS.must("a large answer of Kong comes through")
def _(probe: Probe) -> None:
    with probe.line() as line:
        callback = line.begin(line.start())
        while callback is not None and FUNCTIONS[callback[0]].result != "String":
            if not line.answer(*callback):
                break
            callback = line.next()
        else:
            if callback is not None:
                line.send(encode("String", {"v": "x" * LARGE}))
                line.finish(line.next())
                return
    raise Skipped(f"{probe.plugin} asks for no text in {probe.phase}")


@CHECKS.should("a start that is refused closes the connection")
def _(probe: Probe) -> None:
    for fields in (
        {"name": "no-such-plugin", "config": "{}"},
        {"name": probe.plugin, "config": "nonsense"},
    ):
        with probe.line() as line:
            line.send(line.message("cmd_start_instance", fields))
            line.closed()


@CHECKS.should("a frame that is not a call closes its connection alone")
def _(probe: Probe) -> None:
    with probe.line() as other:
        instance = other.start()
        for content in (b"", b"\x0a", b"\x08\x05", b"\xff" * 16):
            with probe.line() as line:
                line.send(content)
                try:
                    data = line.frame()
                except NoAnswer as end:
                    want(not end.timed_out, f"{short(content)} is neither answered nor closed")
                else:
                    raise Wrong(f"{short(content)} is answered with {short(data)}")
        other.close_instance(instance)
