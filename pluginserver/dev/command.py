"""``python -m pluginserver dev``: from arguments to a running gateway.

Rules kept here:

* what a user got wrong is one line on standard error, and exit code 1 (2 for the usage);
* SIGINT and SIGTERM end it with exit code 0, even while a handler does not return.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from .. import logs
from ..cli.exit import EXIT_TIME, end_within
from ..cli.subcommand import SubCommand, plugins_directory, run
from ..deploy.settings import version
from ..errors import PluginServerError
from ..testing.record.format import plain
from . import settings
from .gateway import DevGateway, Options, running
from .page.site import BASE
from .settings import Hint, Option
from .terminal import Terminal

PORT: Final = 8000
HOST: Final = "127.0.0.1"


class UsageError(PluginServerError):
    """An argument cannot be used; the text says why, and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the development gateway until SIGINT or SIGTERM.

    :param arguments: the command line after ``dev``; ``sys.argv``'s when None.
    :returns: the exit code: 0, 1 when it could not be started, or 2 when the arguments are wrong.
    """
    return run(_command, sys.argv[1:] if arguments is None else arguments)


def _port(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise click.BadParameter(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)


@click.command(
    "dev",
    cls=SubCommand,
    example=["dev examples --config hello.message=hi"],
    exits={0: "when it is stopped", 1: "when it cannot start"},
)
@click.argument("sources", nargs=-1, metavar="[DIR or FILE]...")
@click.option(
    "--port",
    metavar="PORT",
    callback=_port,
    default=str(PORT),
    help=f"The port to listen on, 0 for any free one; default: {PORT}.",
)
@click.option(
    "--host",
    metavar="ADDRESS",
    default=HOST,
    help=f"The address to listen on; default: {HOST}, which only this machine reaches.",
)
@click.option(
    "--upstream",
    metavar="URL",
    help="The service behind the gateway; default: an echo of the request.",
)
@click.option(
    "--kong",
    metavar="VERSION",
    help="The version of Kong to play; default: the newest that is open source.",
)
@click.option(
    "--config",
    metavar="NAME.FIELD=VALUE",
    multiple=True,
    help="A field of a plugin's configuration; may be given several times.",
)
@click.option(
    "--config-file",
    metavar="FILE",
    help="The plugins' configurations, consumers and secrets, in TOML or JSON.",
)
@click.option(
    "--record",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Store each request there, without secrets, for kong.replay() in a test.",
)
@click.option("--replay", is_flag=True, help="Run the last request again after each edit.")
@plugins_directory
def _command(sources: tuple[str, ...], plugins_directory: Path, **given: Any) -> None:
    """Run plugins behind a gateway of your own, and reload them when they change.

    They are those of the directory, or of the paths that are given. The page with the requests is at
    /__pluginserver.
    """
    logs.configure("warning")
    asyncio.run(_run(_options(sources or (str(plugins_directory),), **given), Terminal()))
    end_within(EXIT_TIME, 0)


async def _run(options: Options, terminal: Terminal) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(options, terminal) as gateway:
        _greet(options, terminal, gateway)
        await stop.wait()


def _greet(options: Options, terminal: Terminal, gateway: DevGateway) -> None:
    terminal.write(f"{terminal.style('bold', 'pluginserver dev')}")
    plugins = gateway.deployment.status()
    terminal.plugins(plugins)
    terminal.messages(gateway.messages)
    if not plugins:
        sources = ", ".join(map(str, options.sources))
        there = gateway.deployment.passed_over()
        if there:
            told = [message.text for message in gateway.messages]
            terminal.write(
                f"  no plugins yet in {sources}: mend what is named here, and it is loaded",
                *(f"    {text}" for text in there if text not in told),
            )
        else:
            terminal.write(f"  no plugins yet in {sources}: write one, and it is loaded")
    upstream = options.upstream or "an echo that shows what arrived (--upstream URL for your own)"
    terminal.write(
        f"  upstream  {upstream}",
        *_hints(options, terminal, gateway.url),
        f"  page      {terminal.style('bold', gateway.url + BASE)}",
    )
    if not _is_loopback(options.host):
        terminal.write(
            terminal.style(
                "yellow", f"  listening on {options.host}: whoever reaches it can use it"
            )
        )


def _hints(options: Options, terminal: Terminal, url: str) -> Iterator[str]:
    """What to try, a line each."""
    for hint in options.settings.hints or [Hint("curl -i {url}/")]:
        command = terminal.style("bold", plain(hint.command.replace("{url}", url)))
        shows = terminal.style("dim", f"  # {plain(hint.shows)}") if hint.shows else ""
        yield f"  try       {command}{shows}"


def _options(
    given: Sequence[str],
    config: Sequence[str],
    config_file: str | None,
    upstream: str | None,
    host: str,
    port: int,
    kong: str | None,
    record: Path | None,
    replay: bool,
) -> Options:
    if record is not None:
        record.mkdir(parents=True, exist_ok=True)
    if kong is not None:
        version(kong)
    sources = [Path(os.path.abspath(path)) for path in given]
    for path in sources:
        if not path.exists():
            raise UsageError(
                f"there is no file or directory {path}: give the path of your plugins"
            )
    file = None if config_file is None else Path(os.path.abspath(config_file))
    options = [Option.parse(text) for text in config]
    return Options(
        sources,
        settings.read(file, options),
        file,
        None if upstream is None else _upstream(upstream),
        host,
        port,
        kong,
        record,
        replay,
    )


def _upstream(url: str) -> str:
    try:
        parts = urlsplit(url)
        more = parts.query or parts.fragment or parts.username or parts.port == 0
        if parts.scheme in ("http", "https") and parts.hostname and not more:
            return url
    except ValueError:
        pass
    raise UsageError(f"--upstream {url}: give a URL such as http://localhost:3000")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
