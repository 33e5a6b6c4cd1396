"""``pluginserver serve``: the server by a word, with the flags of the flag form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from .main import serve_directory
from .subcommand import SubCommand, run

HELP: Final = frozenset({"-h", "-help", "--help", "--h"})


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    :returns: the exit code, where it does not end the process itself.
    """
    if HELP.intersection(arguments):
        return run(_command, ["-h"])
    serve_directory(arguments)


@click.command(
    "serve",
    cls=SubCommand,
    example=["serve --plugins-directory /opt/plugins --watch"],
    exits={0: "when it was told to stop", 1: "when it cannot serve"},
)
@click.argument("flags", nargs=-1, metavar="[FLAGS]...")
def _command(**_given: object) -> None:
    """Serve the plugins of a directory to Kong, as pluginserver without a command does.

    FLAGS are those of pluginserver -help, without the dumps: where the plugins are (--plugins-directory),
    where to listen (--socket, or --kong-prefix), how many processes (--processes), whether to load changed
    files again (--watch), what to log (--log-level). pluginserver serve --help-all has all of them.
    """
