"""``pluginserver install``: a launcher, so that Kong needs a plugin's name alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from ..deploy.launch import absolute
from ..deploy.launcher import install
from .dump import Stdout
from .loaded import loaded
from .main import KONG_PREFIX
from .subcommand import SubCommand, plugins_directory, run

INTO: Final = "/usr/local/bin"
"""Where Kong looks for a plugin server that has no settings."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    return run(_command, arguments)


@click.command(
    "install",
    cls=SubCommand,
    example=["install hello -plugins-directory /opt/plugins"],
    exits={0: "when it is written", 1: "when the plugin cannot be loaded or the file be written"},
)
@click.argument("name")
@plugins_directory
@click.option("--into", metavar="DIR", default=INTO, help=f"Where to; default: {INTO}.")
@click.option(
    "--kong-prefix",
    metavar="DIR",
    default=KONG_PREFIX,
    help=f"Kong's prefix; default: {KONG_PREFIX}.",
)
def _command(name: str, plugins_directory: Path, into: str, kong_prefix: str) -> None:
    """Write an executable DIR/NAME that describes and serves one plugin.

    Kong 3.9 and later then need no more than its name in pluginserver_names.
    """
    with Stdout() as stdout:
        with loaded([name], plugins_directory) as (plugin,):
            path = install(
                plugin.name,
                absolute(plugins_directory),
                absolute(kong_prefix),
                absolute(into),
                sys.executable,
            )
        lines = f"plugins = bundled,{plugin.name}\npluginserver_names = {path.name}\n"
        if path.parent != Path(INTO):
            key = f"pluginserver_{path.name.replace('-', '_')}"
            lines += f"{key}_start_cmd = {path}\n{key}_query_cmd = {path} -dump\n"
        stdout.write(lines.encode())
