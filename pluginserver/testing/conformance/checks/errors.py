"""Checks of errors: which words Kong and its administrators rely on.

Rules kept here:

* after an error the connection, or another one, must still be served.
"""

from __future__ import annotations

from typing import Any, Final

from ....spec.methods import (
    CLOSE_INSTANCE,
    GET_PLUGIN_INFO,
    GET_STATUS,
    HANDLE_EVENT,
    INSTANCE_STATUS,
    PREFIX,
    START_INSTANCE,
    STEP,
    STEP_NAMES,
)
from ....spec.phases import PHASES
from ..check import Group
from ..probe import Probe, Skipped, want

NO_ID: Final = 987_654_321
"""An id that no instance and no event has."""

CHECKS = Group("errors")


@CHECKS.must("an unknown instance is 'No plugin instance N'")
def _(probe: Probe) -> None:
    text = f"No plugin instance {NO_ID}"
    probe.refuses(INSTANCE_STATUS, NO_ID, text)
    probe.refuses(CLOSE_INSTANCE, NO_ID, text)
    probe.refuses(HANDLE_EVENT, {"EventName": probe.phase, "InstanceId": NO_ID}, text)


@CHECKS.must("a phase without a handler is 'undefined method P on plugin N'")
def _(probe: Probe) -> None:
    missing = [phase for phase in PHASES if phase not in probe.phases]
    if not missing:
        raise Skipped(f"{probe.plugin} has a handler for every phase")
    argument = {"EventName": missing[0], "InstanceId": probe.start()}
    probe.refuses(
        HANDLE_EVENT, argument, f"undefined method {missing[0]} on plugin {probe.plugin}"
    )


@CHECKS.must("a step of an unknown event is 'No running event N'")
def _(probe: Probe) -> None:
    for step in STEP_NAMES:
        data: Any = "text" if step in ("Step", "StepError") else {}
        argument = {"EventId": NO_ID, "Data": data}
        probe.refuses(PREFIX + step, argument, f"No running event {NO_ID}")


@CHECKS.must("unknown methods and services are errors in Go's words")
def _(probe: Probe) -> None:
    probe.refuses("plugin.NoSuchMethod", "", "rpc: can't find method plugin.NoSuchMethod")
    probe.refuses("other.GetStatus", "", "rpc: can't find service other.GetStatus")
    probe.refuses("GetStatus", "", "rpc: service/method request ill-formed: GetStatus")


@CHECKS.should("names that look like internals are unknown methods")
def _(probe: Probe) -> None:
    for name in ("__init__", "__class__", "_start", "call"):
        probe.refuses(f"plugin.{name}", "", f"rpc: can't find method plugin.{name}")


@CHECKS.must("a configuration that is not JSON begins 'Decoding config: '")
def _(probe: Probe) -> None:
    for config in ("{", "nonsense", "[1"):
        found = probe.error(START_INSTANCE, {"Name": probe.plugin, "Config": config})
        want(found.startswith("Decoding config: "), f"the error is {found!r}")


@CHECKS.must("starting an unknown plugin is an error")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        argument = {"Name": "no-such-plugin", "Config": "{}"}
        found = probe.error(START_INSTANCE, argument, connection)
        want("no plugin instance" not in found.lower(), f"Kong would retry for ever on {found!r}")
        probe.ask(GET_STATUS, "", connection)


@CHECKS.should("arguments of the wrong type are errors, never silence")
def _(probe: Probe) -> None:
    instance = probe.start()
    for method, argument in (
        (START_INSTANCE, [1]),
        (START_INSTANCE, {"Name": 5, "Config": "{}"}),
        (HANDLE_EVENT, "text"),
        (HANDLE_EVENT, {"EventName": 5, "InstanceId": instance}),
        (HANDLE_EVENT, {"EventName": probe.phase, "InstanceId": "x"}),
        (INSTANCE_STATUS, "x"),
        (CLOSE_INSTANCE, {}),
        (GET_PLUGIN_INFO, {}),
        (STEP, {"EventId": "x"}),
        (STEP, 5),
    ):
        probe.error(method, argument)
