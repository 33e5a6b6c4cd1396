"""``pluginserver dump``: describe a plugin for a Kong without Python, into a file or on standard output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..deploy.dumps import as_dump, write
from .dump import Stdout
from .loaded import loaded
from .subcommand import SubCommand, plugins_directory, run


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    return run(_command, arguments)


@click.command(
    "dump",
    cls=SubCommand,
    example=["dump hello --output hello.json"],
    exits={0: "when it is written", 1: "when the plugin cannot be loaded or the file be written"},
)
@click.argument("name")
@plugins_directory
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The file; default: standard output.",
)
@click.option(
    "--protocol",
    type=click.Choice(("msgpack", "protobuf")),
    help="What Kong is to speak; default: what the plugin says.",
)
def _command(name: str, plugins_directory: Path, output: Path | None, protocol: Any) -> None:
    """Describe a plugin, into a file for images and control planes without Python.

    Kong reads it by the query command: cat FILE.
    """
    with Stdout() as stdout, loaded([name], plugins_directory) as (plugin,):
        if output is None:
            stdout.write(as_dump(plugin, protocol))
        else:
            write(output, as_dump(plugin, protocol))
