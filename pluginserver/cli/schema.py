"""``pluginserver schema``: a plugin's schema, for who has no plugin server."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from ..deploy.lua import schema_lua
from .dump import Stdout
from .loaded import loaded
from .subcommand import SubCommand, plugins_directory, run

UPLOAD: Final = (
    "jq -Rs '{lua_schema: .}' schema.lua | curl -X POST -H \"Authorization: Bearer $KONNECT_TOKEN\""
    ' -H "Content-Type: application/json" --data-binary @-'
    " https://REGION.api.konghq.com/v2/control-planes/ID/core-entities/plugin-schemas"
)
"""How Konnect is given a schema."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    return run(_command, arguments)


@click.command(
    "schema",
    cls=SubCommand,
    example=["schema hello > schema.lua"],
    exits={0: "when it is printed", 1: "when the plugin cannot be loaded"},
)
@click.argument("name")
@plugins_directory
@click.option(
    "--format",
    "form",
    type=click.Choice(("lua", "json")),
    default="lua",
    help="What to print; default: lua.",
)
def _command(name: str, plugins_directory: Path, form: str) -> None:
    """Print a plugin's schema: the schema.lua for Konnect and control planes."""
    with Stdout() as stdout, loaded([name], plugins_directory) as (plugin,):
        if form == "json":
            stdout.write(json.dumps(plugin.schema, indent=2).encode() + b"\n")
            return
        stdout.write(schema_lua(plugin.schema).encode())
        sys.stderr.write(
            f"To give it to Konnect, with your REGION and control plane's ID:\n{UPLOAD}\n"
        )
