"""``pluginserver kong-conf``: Kong's configuration, written for the plugins of a directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from ..deploy.formats import FORMATS, written
from ..deploy.launch import absolute
from ..deploy.settings import Plan, settings, version
from ..plugins.judge import judge
from ..plugins.plugin import Plugin
from .dump import Stdout
from .loaded import loaded
from .main import KONG_PREFIX
from .subcommand import SubCommand, plugins_directory, run

HELM_PREFIX: Final = "/kong_prefix"
"""The prefix that Kong's Helm chart sets."""

OUTSIDE: Final = "/run/kong-python-server"
"""Where sockets are that Kong must not delete: it removes those in its prefix when it starts."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    return run(_command, arguments)


@click.command(
    "kong-conf",
    cls=SubCommand,
    example=[
        "kong-conf -plugins-directory /opt/plugins >> kong.conf",
        "kong-conf hello --format helm --started-by other",
    ],
    exits={0: "when it is written", 1: "when a plugin cannot be loaded"},
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@plugins_directory
@click.option(
    "--format",
    "form",
    type=click.Choice(tuple(FORMATS)),
    default="conf",
    help="For what the lines are; default: conf, for kong.conf.",
)
@click.option("--kong", metavar="VERSION", default="3.9", help="For which Kong; default: 3.9.")
@click.option(
    "--servers",
    type=click.Choice(("one", "each")),
    default="one",
    help="One process for all plugins, or each with its own; default: one.",
)
@click.option(
    "--started-by",
    type=click.Choice(("kong", "other")),
    default="kong",
    help="Who starts the server; default: kong.",
)
@click.option(
    "--env", "env", multiple=True, metavar="NAME", help="A variable of Kong's that plugins need."
)
@click.option(
    "--kong-prefix",
    metavar="DIR",
    help=f"Kong's prefix; default: {KONG_PREFIX}, and {HELM_PREFIX} for helm.",
)
@click.option(
    "--socket-directory",
    metavar="DIR",
    help=f"Where the sockets are; default: the prefix, and {OUTSIDE} for --started-by other.",
)
@click.option(
    "--dumps", metavar="DIR", help="Read DIR/NAME.json, which pluginserver dump has written."
)
def _command(names: tuple[str, ...], plugins_directory: Path, **given: Any) -> None:
    """Print the lines for Kong's configuration: all plugins, or those that are named."""
    if given["env"] and given["started_by"] == "other":
        raise click.UsageError(
            "--env is for a server that Kong starts: another one has the environment that it is given"
        )
    prefix = given["kong_prefix"] or (HELM_PREFIX if given["form"] == "helm" else KONG_PREFIX)
    outside = OUTSIDE if given["started_by"] == "other" else prefix
    wanted = version(given["kong"])
    with Stdout() as stdout:
        with loaded(names, plugins_directory) as plugins:
            plan = Plan(
                names=[plugin.name for plugin in plugins],
                directory=absolute(plugins_directory),
                kong=wanted,
                servers=given["servers"],
                started_by=given["started_by"],
                sockets=absolute(given["socket_directory"] or outside),
                environment=given["env"],
                dumps=None if given["dumps"] is None else absolute(given["dumps"]),
            )
            made = settings(plan)
            if plan.started_by == "kong":
                made.remarks.extend(_not_handed_on(plugins, plan.environment))
        stdout.write(os.fsencode(written(made, given["form"])))


def _not_handed_on(plugins: list[Plugin], handed_on: Sequence[str]) -> list[str]:
    """What the plugins read of the environment that a server started by Kong does not have."""
    found = [one for plugin in plugins for one in judge(plugin, passed=handed_on)]
    return list(dict.fromkeys(one.text for one in found if one.rule == "environment"))
