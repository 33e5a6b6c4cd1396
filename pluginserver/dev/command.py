"""``python -m pluginserver dev``: from arguments to a running gateway.

Rules kept here:

* what a user got wrong is one line on standard error, and exit code 1 (2 for the usage);
* SIGINT and SIGTERM end it with exit code 0, even while a handler does not return.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from .. import logs
from ..cli.exit import EXIT_TIME, end_within
from ..errors import PluginServerError
from . import settings
from .gateway import DevGateway, Options, running
from .page.site import BASE
from .settings import Option
from .terminal import Terminal

PORT: Final = 8000
HOST: Final = "127.0.0.1"


class UsageError(PluginServerError):
    """An argument cannot be used; the text says why, and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the development gateway until SIGINT or SIGTERM.

    :param arguments: the command line after ``dev``; ``sys.argv``'s when None.
    :returns: the exit code: 0, or 1 when it could not be started.
    """
    given = _parser().parse_args(arguments)
    logs.configure("warning")
    try:
        options = _options(given)
        asyncio.run(_run(options, Terminal()))
    except (PluginServerError, OSError) as error:
        sys.stderr.write(f"pluginserver: {logs.one_line(str(error))}\n")
        return 1
    end_within(EXIT_TIME, 0)
    return 0


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
        terminal.write(f"  no plugins yet in {sources}: write one, and it is loaded")
    upstream = options.upstream or "an echo that shows what arrived (--upstream URL for your own)"
    terminal.write(
        f"  upstream  {upstream}",
        f"  try       {terminal.style('bold', f'curl -i {gateway.url}/')}",
        f"  page      {terminal.style('bold', gateway.url + BASE)}",
    )
    if not _is_loopback(options.host):
        terminal.write(
            terminal.style(
                "yellow", f"  listening on {options.host}: whoever reaches it can use it"
            )
        )


def _options(given: argparse.Namespace) -> Options:
    sources = [Path(os.path.abspath(path)) for path in given.sources or ["."]]
    for path in sources:
        if not path.exists():
            raise UsageError(
                f"there is no file or directory {path}: give the path of your plugins"
            )
    file = None if given.config_file is None else Path(os.path.abspath(given.config_file))
    options = [Option.parse(text) for text in given.config]
    return Options(
        sources,
        settings.read(file, options),
        file,
        None if given.upstream is None else _upstream(given.upstream),
        given.host,
        given.port,
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


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)


FLAGS: Final[dict[str, dict[str, Any]]] = {
    "port": {
        "type": _port,
        "default": PORT,
        "help": f"the port to listen on, 0 for any free one; default: {PORT}",
    },
    "host": {
        "default": HOST,
        "help": f"the address to listen on; default: {HOST}, which only this machine reaches",
    },
    "upstream": {
        "metavar": "URL",
        "help": "the service behind the gateway; default: an echo of the request",
    },
    "config": {
        "metavar": "NAME.FIELD=VALUE",
        "action": "append",
        "default": [],
        "help": "a field of a plugin's configuration; may be given several times",
    },
    "config-file": {
        "metavar": "FILE",
        "help": "the plugins' configurations, consumers and secrets, in TOML or JSON",
    },
}
"""The flags, which may be written with one dash or two."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pluginserver dev",
        description="Run plugins behind a gateway of your own, and reload them when they change.",
        epilog="The page with the requests is at /__pluginserver.",
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="DIR or FILE",
        help="where the plugins are; default: the current directory",
    )
    parser.add_argument("-h", "-help", "--help", action="help", help="show this, and exit")
    for name, arguments in FLAGS.items():
        parser.add_argument(f"-{name}", f"--{name}", **arguments)
    return parser
