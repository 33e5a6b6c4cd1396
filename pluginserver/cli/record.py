"""``pluginserver record``: stores what a real Kong and a plugin server say, for tests to play again."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from .. import logs
from ..errors import PluginServerError
from ..testing.cassettes.mask import HEADERS
from ..testing.cassettes.recorder import Recorder
from .subcommand import SubCommand, run


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    return run(_command, arguments)


@click.command(
    "record",
    cls=SubCommand,
    example=["record -server /run/plugins.sock -listen /usr/local/kong/hello.socket -into cases"],
    exits={0: "when it is stopped", 1: "when it cannot listen"},
)
@click.option(
    "--server",
    metavar="SOCKET",
    type=click.Path(path_type=Path),
    required=True,
    help="The plugin server's socket.",
)
@click.option(
    "--listen",
    metavar="SOCKET",
    type=click.Path(path_type=Path),
    required=True,
    help="The socket that Kong is given instead: pluginserver_NAME_socket.",
)
@click.option(
    "--into",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default="cassettes",
    help="Where the files go, one for each phase of a plugin; default: cassettes.",
)
@click.option(
    "--mask",
    metavar="HEADER",
    multiple=True,
    help=f"A header whose values are not stored, beside {', '.join(HEADERS)}; may be repeated.",
)
def _command(server: Path, listen: Path, into: Path, mask: tuple[str, ...]) -> None:
    """Stand between a Kong and its plugin server, and store what they say as cassettes.

    A test plays them against the plugin by kong.replay("FILE"). What fields hold that are referenceable or
    encrypted, and the values of some headers, are stored as (secret).
    """
    logs.configure("info")
    if server.absolute() == listen.absolute():
        raise PluginServerError(f"--listen {listen} is the server's own socket: give another path")
    if not server.is_socket():
        raise PluginServerError(f"--server {server} is no socket: start the plugin server first")
    if listen.exists() and not listen.is_socket():
        raise PluginServerError(f"--listen {listen} is there, and no socket: give another path")
    into.mkdir(parents=True, exist_ok=True)
    asyncio.run(_record(Recorder(listen, server, into, [*HEADERS, *mask]), listen, into))


async def _record(recorder: Recorder, listen: Path, into: Path) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    recording = asyncio.create_task(recorder.run(stop, ready))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([recording, waiting], return_when=asyncio.FIRST_COMPLETED)
    if not recording.done():
        sys.stdout.write(f"records what comes to {listen} into {into}; ends with Ctrl-C\n")
        sys.stdout.flush()
    await recording
    waiting.cancel()
    sys.stdout.write(f"{recorder.stored} conversations stored\n")
