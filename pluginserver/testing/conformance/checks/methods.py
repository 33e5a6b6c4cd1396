"""Checks of the methods that describe plugins and keep instances.

Rules kept here:

* a server is restarted only when the command started it.
"""

from __future__ import annotations

import tempfile
from typing import Any

from ....spec.limits import EXACT
from ....spec.methods import (
    GET_PLUGIN_INFO,
    GET_STATUS,
    INSTANCE_STATUS,
    SET_PLUGIN_DIR,
    START_INSTANCE,
)
from ....spec.phases import PHASES
from ...transports.sockets import Command
from ..check import Group
from ..probe import Probe, Skipped, short, want

CHECKS = Group("methods")


@CHECKS.must("GetPluginInfo describes the plugin")
def _(probe: Probe) -> None:
    info = probe.ask(GET_PLUGIN_INFO, probe.plugin)
    want(info["Name"] == probe.plugin, f"Name is {short(info['Name'])}")
    want(isinstance(info["Version"], str), f"Version is {short(info['Version'])}")
    want(isinstance(info["Priority"], int), f"Priority is {short(info['Priority'])}")
    want(set(info["Phases"]) <= set(PHASES), f"Phases is {short(info['Phases'])}")
    schema = info["Schema"]
    want(schema["name"] == probe.plugin, f"Schema.name is {short(schema['name'])}")
    records = [field["config"] for field in schema["fields"] if "config" in field]
    want(len(records) == 1, f"Schema has {len(records)} fields named config")
    want(records[0]["type"] == "record", f"config has the type {short(records[0]['type'])}")
    fields = records[0]["fields"]
    one_key = isinstance(fields, list) and all(len(field) == 1 for field in fields)
    want(one_key, "config.fields is not a list of maps with one key each")


@CHECKS.must("GetPluginInfo of an unknown plugin is an error")
def _(probe: Probe) -> None:
    with probe.connection() as connection:
        probe.error(GET_PLUGIN_INFO, "no-such-plugin", connection)
        probe.ask(GET_PLUGIN_INFO, probe.plugin, connection)


@CHECKS.must("GetStatus tells of plugins and instances, whatever its argument")
def _(probe: Probe) -> None:
    instance = probe.start()
    arguments: tuple[Any, ...] = ("", None, 0, {}, [])
    for argument in arguments:
        status = probe.ask(GET_STATUS, argument)
        want(isinstance(status["Pid"], int), f"Pid is {short(status['Pid'])}")
        plugin = status["Plugins"][probe.plugin]
        for key in ("Modtime", "LoadTime", "LastStartInstance", "LastCloseInstance"):
            want(isinstance(plugin[key], int), f"{key} is {short(plugin[key])}, not an integer")
        found = [one for one in plugin["Instances"] if one["Id"] == instance]
        want(len(found) == 1, f"instance {instance} is there {len(found)} times")


@CHECKS.must("StartInstance takes a JSON text as str and as bin")
def _(probe: Probe) -> None:
    text = probe.config_text()
    for config in (text, text.encode()):
        status = probe.ask(START_INSTANCE, {"Name": probe.plugin, "Config": config})
        probe.adopt(status["Id"])
        want(status["Name"] == probe.plugin, f"Name is {short(status['Name'])}")
        want(isinstance(status["Id"], int), f"Id is {short(status['Id'])}")
        want(isinstance(status["StartTime"], int), f"StartTime is {short(status['StartTime'])}")
        want("Config" in status, "there is no Config")


@CHECKS.must("unknown keys are ignored")
def _(probe: Probe) -> None:
    argument = {"Name": probe.plugin, "Config": probe.config_text(), "Unknown": [1, {"a": None}]}
    probe.adopt(probe.ask(START_INSTANCE, argument)["Id"])


@CHECKS.must("InstanceStatus and CloseInstance tell of the instance")
def _(probe: Probe) -> None:
    instance = probe.start()
    for status in (probe.ask(INSTANCE_STATUS, instance), probe.close(instance)):
        want(
            status["Name"] == probe.plugin and status["Id"] == instance,
            f"the status is {short(status)}",
        )
    probe.refuses(INSTANCE_STATUS, instance, f"No plugin instance {instance}")


@CHECKS.must("ids are integers that a double holds exactly")
def _(probe: Probe) -> None:
    event, data = probe.begin(probe.start())
    probe.finish(event, data)
    for number in (probe.start(), event):
        want(isinstance(number, int) and 0 <= number < EXACT, f"the id is {short(number)}")


@CHECKS.should("an instance's id is not used again")
def _(probe: Probe) -> None:
    first = probe.start()
    probe.close(first)
    want(probe.start() != first, f"the id {first} was given out again")


@CHECKS.should("ids are not those of the run before")
def _(probe: Probe) -> None:
    if not isinstance(probe.server, Command):
        raise Skipped("the server is not ours to restart")
    before = probe.start()
    probe.server.restart()
    after = probe.start()
    want(after != before, f"both runs began with the id {before}")


@CHECKS.must("SetPluginDir answers 'ok'")
def _(probe: Probe) -> None:
    if not isinstance(probe.server, Command):
        raise Skipped("the server is somebody else's: its directory stays")
    with tempfile.TemporaryDirectory() as directory:
        answer = probe.ask(SET_PLUGIN_DIR, directory)
        want(answer == "ok", f"the answer is {short(answer)}")
        probe.start()
    probe.server.restart()


@CHECKS.should("SetPluginDir refuses a directory that does not exist")
def _(probe: Probe) -> None:
    if not isinstance(probe.server, Command):
        raise Skipped("the server is somebody else's: its directory stays")
    try:
        probe.error(SET_PLUGIN_DIR, "/no/such/directory")
    finally:
        probe.server.restart()
