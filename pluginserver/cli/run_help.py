"""What ``pluginserver run`` says of itself: apart from it, because a dump loads nothing for that."""

from __future__ import annotations

from collections.abc import Sequence

import click

from .subcommand import SubCommand, run


@click.command(
    "run",
    cls=SubCommand,
    example=[
        "run /opt/plugins/my-plugin.py --dump",
        "run /opt/plugins/my_package --kong-prefix /kong",
    ],
    exits={0: "when it was told to stop or has dumped", 1: "when the plugin cannot be run"},
)
@click.argument("file")
@click.argument("flags", nargs=-1)
def _command(**_given: object) -> None:
    """Run a plugin's file that serves itself: one that ends in start_dedicated_server(...) of kong-pdk,
    which need not be installed, or in pluginserver.main().

    FILE is the file, or the directory of a package with a __main__.py; what follows it are its own flags:
    with kong-pdk's, FILE -h lists them.
    """


def tell(arguments: Sequence[str]) -> int:
    """Show the help, or what is wrong with a command line that does not begin with a file.

    :returns: the exit code.
    """
    return run(_command, arguments)
