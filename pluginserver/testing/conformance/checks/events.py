"""Checks of events: they go on over any connection, whatever Kong answers.

Rules kept here:

* a handler may answer whatever it likes: only that the server goes on is checked.
"""

from __future__ import annotations

from typing import Any

from ....spec.methods import CLOSE_INSTANCE, HANDLE_EVENT, STEP, STEP_ERROR
from ...transports.wire import RemoteError
from ..check import Group
from ..probe import Probe, Skipped, short, want

CHECKS = Group("events")


@CHECKS.must("an event runs to its end, each step on another connection")
def _(probe: Probe) -> None:
    probe.alive()


@CHECKS.must("an event survives the connection that it began on")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        event, data = probe.begin(probe.start(), connection)
    probe.finish(event, data)


@CHECKS.must("events of one instance run at once")
def _(probe: Probe) -> None:
    instance = probe.start()
    events = [probe.begin(instance) for _ in range(20)]
    want(len({event for event, _ in events}) == 20, "two events have one id")
    for event, data in reversed(events):
        probe.finish(event, data)


@CHECKS.must("an event that is over takes no more steps")
def _(probe: Probe) -> None:
    event, data = probe.begin(probe.start())
    probe.finish(event, data)
    if data != "ret" and data["Method"].startswith("kong.response."):
        raise Skipped("the event ended with an exit, which some servers wait for")
    probe.refuses(STEP, {"EventId": event}, f"No running event {event}")


@CHECKS.must("running events go on when their instance is closed")
def _(probe: Probe) -> None:
    instance = probe.start()
    event, data = probe.begin(instance)
    probe.close(instance)
    probe.finish(event, data)
    argument = {"EventName": probe.phase, "InstanceId": instance}
    probe.refuses(HANDLE_EVENT, argument, f"No plugin instance {instance}")


@CHECKS.must("a StepError does no harm")
def _(probe: Probe) -> None:
    event, _ = probe.first_callback()
    try:
        argument = {"EventId": event, "Data": "injected"}
        found = probe.event(probe.ask(STEP_ERROR, argument))
        probe.finish(*found)
    except RemoteError:
        pass
    probe.alive()


@CHECKS.must("a step without Data is nil")
def _(probe: Probe) -> None:
    event, _ = probe.first_callback()
    try:
        probe.finish(*probe.event(probe.ask(STEP, {"EventId": event})))
    except RemoteError:
        pass
    probe.alive()


def _odd_method(probe: Probe, method: Any) -> None:
    event, data = probe.first_callback()
    probe.finish(*probe.step(event, data, method=method))


@CHECKS.should("a step may come under any name (the quirk of _method)")
def _(probe: Probe) -> None:
    _odd_method(probe, "PUT")
    _odd_method(probe, CLOSE_INSTANCE)


@CHECKS.should("a step may come under a name that is a list (the quirk of _method)")
def _(probe: Probe) -> None:
    _odd_method(probe, ["a", "b"])


@CHECKS.must("text that is not UTF-8 comes as str")
def _(probe: Probe) -> None:
    event, _ = probe.first_callback()
    argument = {"EventId": event, "Data": "caf\udce9"}
    try:
        probe.finish(*probe.event(probe.ask(STEP, argument)))
    except RemoteError:
        pass
    probe.alive()


@CHECKS.should("data of another type than the callback's gets an answer")
def _(probe: Probe) -> None:
    for method, data in (
        (STEP, {"a": {"b": [1, None, 2.5]}}),
        (STEP, b"\xff\x00"),
        (STEP, 2.0**60),
        ("plugin.StepMultiMap", {}),
        ("plugin.StepRoute", "no route"),
        ("plugin.StepMultiMap", {"a": "not a list"}),
    ):
        event, _ = probe.first_callback()
        try:
            probe.finish(*probe.event(probe.ask(method, {"EventId": event, "Data": data})))
        except RemoteError:
            pass
    probe.alive()


@CHECKS.must("of two steps for one event at once, at most one is taken")
def _(probe: Probe) -> None:
    event, data = probe.first_callback()
    value = probe.answer(data)
    argument = {"EventId": event, **({} if value is None else {"Data": value})}
    with probe.connection() as one, probe.connection() as two:
        for connection in (one, two):
            connection.send(probe.request(STEP, argument)[1], probe.server.timeout)
        replies = [probe.reply(connection) for connection in (one, two)]
    taken = [result for _, error, result in replies if error is None]
    for result in taken[-1:]:
        if result["Data"] != "ret":
            try:
                probe.finish(*probe.event(result))
            except RemoteError:
                pass
    want(bool(taken), f"none was taken: {short(replies)}")
    probe.alive()


@CHECKS.must("events that Kong forgets keep nobody from going on")
def _(probe: Probe) -> None:
    instance = probe.start()
    for _ in range(300):
        probe.begin(instance)
    probe.alive()


@CHECKS.must("a large answer of Kong comes through")
def _(probe: Probe) -> None:
    event, _ = probe.first_callback()
    argument = {"EventId": event, "Data": "x" * 2_000_000}
    try:
        probe.finish(*probe.event(probe.ask(STEP, argument)))
    except RemoteError:
        pass
    probe.alive()
