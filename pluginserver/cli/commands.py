"""The sub-commands: which there are, and how the help of the flag form lists them.

Rules kept here:

* this module imports nothing that a dump does not need: what a command needs its own module imports;
* the order is that of a plugin's life.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Command(NamedTuple):
    """A sub-command."""

    module: str
    """The module whose ``main(arguments)`` runs it, and returns the exit code."""
    about: str
    """What it does, in a few words."""


COMMANDS: Final[dict[str, Command]] = {
    "new": Command("pluginserver.cli.new", "begin a plugin, with its test"),
    "dev": Command("pluginserver.dev", "run plugins behind a gateway of your own"),
    "run": Command("pluginserver.cli.run", "run a plugin's file that serves itself"),
    "check": Command("pluginserver.cli.check", "judge plugins before Kong does"),
    "schema": Command("pluginserver.cli.schema", "print a plugin's schema, for Konnect"),
    "dump": Command("pluginserver.cli.write_dump", "describe a plugin, into a file for Kong"),
    "kong-conf": Command("pluginserver.cli.kong_conf", "print the lines for Kong's configuration"),
    "install": Command("pluginserver.cli.install", "write a launcher: Kong needs a name alone"),
    "serve": Command(
        "pluginserver.cli.serve_command", "serve plugins to Kong, as without a command"
    ),
    "record": Command("pluginserver.cli.record", "store what a real Kong and a server say"),
    "status": Command("pluginserver.cli.status", "tell what a running server does"),
    "completion": Command(
        "pluginserver.cli.completion", "have the shell complete commands and flags"
    ),
}
"""The sub-commands by their names."""

COMPLETE: Final = "_PLUGINSERVER_COMPLETE"
"""The variable by which a shell asks what it may complete."""


def told(commands: Mapping[str, Command]) -> str:
    """The list of the commands, as the help has it."""
    width = max(map(len, commands))
    lines = [f"  {name:{width}}  {command.about}" for name, command in commands.items()]
    return "\n".join(
        [
            "A flag may have one dash or two.",
            "To have the shell complete it: pluginserver completion -h",
            "",
            "commands (pluginserver COMMAND -h tells more):",
            *lines,
        ]
    )
