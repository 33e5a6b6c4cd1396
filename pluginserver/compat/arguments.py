"""The command lines of kong-pdk 0.36: its flags in all their spellings, and their defaults.

Rules kept here:

* what that library takes is taken, with the same defaults and short forms: an unambiguous beginning of a
  flag is that flag;
* nothing is asked of the file system: a directory that is not there is told by whoever uses it.
"""

from __future__ import annotations

import argparse
from typing import Final

from ..version import __version__

SOCKET_NAME: Final = "python_pluginserver.sock"
"""The socket of a server of a directory, in Kong's prefix."""

PREFIX: Final = "/usr/local/kong/"

_MEANINGLESS: Final = {
    "multiprocessing": "-m does nothing here: handlers may block, and pluginserver -processes N serves with"
    " several processes, which keep their instances",
    "gevent": "-g does nothing here: handlers run in greenlets already, and may block",
    "listen_queue_size": "--listen-queue-size does nothing here: the socket's queue is as long as the system"
    " allows",
}
"""What is said of a flag that has no effect."""

_QUEUE: Final = 4096

_EPILOG: Final = """example: %(prog)s {}

Exits with 0 when it was told to stop or has dumped, 1 when it cannot serve,
and 2 when the arguments are wrong."""


def parser(dedicated: bool = False, program: str | None = None) -> argparse.ArgumentParser:
    """The flags of a server of a directory, or of a plugin's file that serves itself.

    :param dedicated: for a plugin's file, ``start_dedicated_server``.
    :param program: the name in the usage; ``sys.argv``'s when None.
    """
    made = argparse.ArgumentParser(
        prog=program,
        description="Kong Python Plugin Server.",
        epilog=_EPILOG.format("--dump" if dedicated else "-d /opt/plugins --dump-all-plugins"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "-p",
        "--kong-prefix",
        "-kong-prefix",
        dest="prefix",
        metavar="PREFIX",
        default=PREFIX,
        help="Kong's prefix, where the socket is; default: %(default)s",
    )
    made.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=1,
        help="log at level debug; the first -v makes it 2; default: %(default)s",
    )
    made.add_argument("--version", "-version", action="version", version=f"%(prog)s {__version__}")
    made.add_argument(
        "--socket-name",
        metavar="NAME",
        default=SOCKET_NAME,
        help="the socket's name in the prefix"
        + ("; default: <plugin's name>.sock" if dedicated else "; default: %(default)s"),
    )
    made.add_argument(
        "--no-lua-style",
        action="store_true",
        help="functions of Kong's give their data alone, and raise PDKException, instead of (data, err)",
    )
    _add_without_effect(made)
    (_add_dedicated if dedicated else _add_directory)(made)
    return made


def _add_without_effect(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--listen-queue-size", type=int, metavar="N", default=_QUEUE, help="has no effect"
    )
    either = made.add_mutually_exclusive_group()
    either.add_argument("-m", "--multiprocessing", action="store_true", help="has no effect")
    either.add_argument("-g", "--gevent", action="store_true", help="has no effect")


def without_effect(options: argparse.Namespace) -> list[str]:
    """A line for each flag that was given and does nothing here."""
    given = [name for name in ("multiprocessing", "gevent") if getattr(options, name)]
    if options.listen_queue_size != _QUEUE:
        given.append("listen_queue_size")
    return [_MEANINGLESS[name] for name in given]


def _add_dedicated(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--dump",
        "-dump",
        action="store_true",
        help="describe the plugin in JSON for Kong's query command, and exit",
    )


def _add_directory(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "-d",
        "--plugins-directory",
        "-plugins-directory",
        dest="directory",
        metavar="DIR",
        required=True,
        help="where the plugins are",
    )
    made.add_argument(
        "--dump-plugin-info",
        "-dump-plugin-info",
        dest="dump_info",
        metavar="NAME",
        help="describe a plugin in MessagePack, and exit",
    )
    made.add_argument(
        "--dump-all-plugins",
        "-dump-all-plugins",
        dest="dump_all_info",
        action="store_true",
        help="describe all plugins in JSON for Kong's query command, and exit",
    )
