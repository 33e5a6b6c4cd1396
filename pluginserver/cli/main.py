"""The command line: arguments to actions.

There are two commands.  ``python -m pluginserver`` (:func:`main`) takes go-pluginserver's flags and
a few more; :func:`serve_itself`, which plugin files know as ``pluginserver.main``, serves the one
plugin that calls it.  Rules kept here:

* every flag is taken with one dash or two, and its value after a blank or ``=``, as Go does it;
* what a user got wrong is one line on stderr and exit code 1; for the arguments themselves it is
  the usage, the line, and exit code 2, as everywhere;
* a dump imports only what a dump needs, a sub-command only its own module.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .. import logs
from ..runtime.options import DEFAULTS, HELP, WANTED, Options
from ..version import __version__, needs
from .commands import COMMANDS, COMPLETE, told
from .exit import leave, leave_after
from .flags import add_frozen, add_log, add_metrics, add_plugins, add_processes
from .help import Help, Parser

if TYPE_CHECKING:
    from types import ModuleType

    from ..plugins.registry import Plugins

KONG_PREFIX: Final = "/usr/local/kong"
SOCKET: Final = "python_pluginserver.sock"
"""The socket's name in Kong's prefix."""

OPTIONS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    **{name: ("SECONDS", float) for name in HELP if type(getattr(DEFAULTS, name)) is float},
    **{name: ("N", int) for name in HELP if name.startswith("max_")},
    "parent": ("PID", int),
    "round_trips": ("MODE", str),
    "socket_mode": ("MODE", lambda text: int(text, 8)),
    "socket_group": ("GROUP", str),
}
"""The flags that are options of a server: what stands for the value in the help, and how to read it."""

PROTOCOLS: Final = ("msgpack", "protobuf")
"""The protocols that Kong can be told to speak."""

LISTS: Final = {"allow_user": "USER"}
"""Those that may be given more than once, and what stands for one value."""

SWITCHES: Final = ("fixed_plugins_directory", "report_cost", "otel")
"""Those that have no value."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``python -m pluginserver``; ends the process.

    :param arguments: the command line without the program's name; ``sys.argv``'s when None.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if COMPLETE in os.environ:
        leave(import_module(COMMANDS["completion"].module).complete(os.environ[COMPLETE]))
    if given and given[0] in COMMANDS:
        leave(_command(given[0], given[1:]))
    options = _parse(_parser(), given)
    if (
        options.dump_plugin_info is not None
        or options.dump_all_plugins
        or options.dump is not None
    ):
        leave_after(_dump, options)
    _serve_directory(options)


def serve_directory(arguments: Sequence[str]) -> NoReturn:
    """Run ``pluginserver serve``; ends the process.

    :param arguments: the command line after ``serve``.
    """
    _serve_directory(_parse(_parser("pluginserver serve", dumps=False), arguments))


def flags() -> dict[str, tuple[bool, str]]:
    """The flags of ``python -m pluginserver``: whether each takes a value, and what it is for."""
    return _parser().flags()


def _serve_directory(options: argparse.Namespace) -> NoReturn:
    if options.version:
        leave_after(_tell_version)
    socket = options.socket or os.path.join(options.kong_prefix, SOCKET)
    leave_after(_serve, options, socket, partial(_of_directory, options))


def serve_itself(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serve the plugin that the program's main module is; ends the process.

    For the last lines of a plugin file that Kong starts by itself::

        if __name__ == "__main__":
            pluginserver.main()

    It takes the flags of ``python -m pluginserver`` that make sense for one plugin; its socket is
    ``<kong-prefix>/<name>.socket``, where Kong looks for it, with the name in lower case.

    :param arguments: the command line without the program's name; ``sys.argv``'s when None.
    """
    options = _parse(_plugin_parser(), sys.argv[1:] if arguments is None else arguments)
    if options.version:
        leave_after(_tell_version)
    leave_after(_dump_itself if options.dump else _serve_itself, options)


def _tell_version() -> None:
    sys.stdout.write(f"Version: {__version__}\nRuntime Version: Python {sys.version.split()[0]}\n")


def _command(name: str, arguments: Sequence[str]) -> int:
    try:
        module = import_module(COMMANDS[name].module)
    except ModuleNotFoundError as error:
        sys.exit(f"pluginserver: {needs(name, error.name, name)}")
    code: int = module.main(arguments)
    return code


def _dump(options: argparse.Namespace) -> None:
    from ..plugins.registry import Plugins
    from . import dump

    logs.configure(options.log_level or "warning", options.log_format)
    with dump.Stdout() as stdout:
        plugins = Plugins(directory=options.plugins_directory)
        if options.dump_plugin_info is not None:
            stdout.write(dump.as_msgpack(plugins, options.dump_plugin_info))
        else:
            stdout.write(dump.as_json(plugins, options.dump or (), options.protocol))


def _dump_itself(options: argparse.Namespace) -> None:
    from . import dump

    logs.configure(options.log_level or "warning", options.log_format)
    with dump.Stdout() as stdout:
        stdout.write(dump.as_json(_itself(), (), options.protocol))


def _itself() -> Plugins:
    """The registry of the plugin that the main module is.

    :raises PluginError: when it is none.
    """
    from ..plugins.registry import Plugins

    plugins = Plugins([sys.modules["__main__"]], entry_points=False)
    plugins.load()
    for error in plugins.failures.values():
        raise error
    return plugins


def _of_directory(options: argparse.Namespace) -> Plugins:
    """The registry of the plugins directory."""
    from ..deploy.dumps import DumpedPlugins

    directory, only = options.plugins_directory, options.only
    return DumpedPlugins(options.dump_file, directory=directory, only=only)


def _serve_itself(options: argparse.Namespace) -> None:
    (name,) = _itself().names()
    socket = options.socket or os.path.join(options.kong_prefix, f"{name.lower()}.socket")
    _serve(options, socket, lambda: [sys.modules["__main__"]])


def _serve(
    options: argparse.Namespace, socket: str, plugins: Callable[[], Plugins | list[ModuleType]]
) -> None:
    """Serve plugins, or run the supervisor of those who do.

    :param plugins: gives the registry or the sources, in a process that serves.
    """
    from ..supervisor.heritage import Heritage

    heritage = Heritage.taken_from(os.environ)
    fields = None if heritage is None else {"member": heritage.place}
    logs.configure(options.log_level or "info", options.log_format, options.log_backlog, fields)
    chosen: Any = {name: getattr(options, name) for name in (*OPTIONS, *LISTS, *SWITCHES)}
    chosen["replace"] = not options.no_replace
    if heritage is None and options.processes > 1:
        from .supervise import supervise

        leave(supervise(options, socket, chosen))
    if heritage is not None:
        chosen["linger"] = 0.0  # it is the supervisor that waits for the next one
    from .member import serve_as_member
    from .serve import Settings, kind_of_server, serve

    settings = Settings.of(options, None if heritage is None else heritage.place)
    kind = kind_of_server(watching=getattr(options, "watch", False))
    server = kind(socket, plugins(), watch_parent=heritage is None, **chosen)
    if heritage is None:
        serve(server, settings)
    else:
        serve_as_member(server, settings, heritage)


def _parse(parser: Parser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse arguments; a flag may have one dash or two, where argparse only knows long flags by two."""
    return parser.read([re.sub(r"^-(?=[a-z])", "--", argument) for argument in arguments])


def _parser(program: str = "pluginserver", dumps: bool = True) -> Parser:
    parser = Parser(
        tuple(COMMANDS),
        prog=program,
        description="Serve Kong plugins written in Python.",
        epilog=told(COMMANDS) if dumps else None,
    )
    add_plugins(parser)
    actions = parser.add_mutually_exclusive_group()
    if dumps:
        _add_dumps(actions.add_argument)
    _common(parser, actions.add_argument, f"<kong-prefix>/{SOCKET}")
    return parser


def _add_dumps(add_action: Callable[..., object]) -> None:
    """Add the flags that describe plugins.

    :param add_action: adds a flag of which a command line may have only one.
    """
    add_action(
        "--dump",
        nargs="*",
        metavar="NAME",
        help="describe these plugins, or all, in JSON for Kong's query command, and exit",
    )
    add_action(
        "--dump-plugin-info",
        metavar="NAME",
        help="describe a plugin in MessagePack, and exit",
    )
    add_action(
        "--dump-all-plugins",
        action="store_true",
        help="describe all plugins in JSON, and exit",
    )


def _plugin_parser() -> Parser:
    parser = Parser(description="Serve this plugin to Kong.")
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument(
        "--dump",
        action="store_true",
        help="describe the plugin in JSON for Kong's query command, and exit",
    )
    _common(parser, actions.add_argument, "<kong-prefix>/<plugin's name>.socket")
    return parser


def _common(
    parser: argparse.ArgumentParser, add_action: Callable[..., object], socket: str
) -> None:
    """Add the flags that both commands have.

    :param add_action: adds a flag of which a command line may have only one.
    :param socket: the default for the socket, as the help shows it.
    """
    add_action("--version", action="store_true", help="show the versions, and exit")
    add_action("--help", "--h", action=Help, help="show the flags of every day, and exit")
    add_action("--help-all", action="help", help="show all flags, and exit")
    parser.add_argument(
        "--kong-prefix",
        metavar="DIR",
        default=KONG_PREFIX,
        help=f"Kong's prefix, where the socket is; default: {KONG_PREFIX}",
    )
    parser.add_argument(
        "--protocol",
        metavar="PROTOCOL",
        choices=PROTOCOLS,
        help=f"what a dump tells Kong to speak, {' or '.join(PROTOCOLS)}; default: what the plugin says",
    )
    parser.add_argument("--socket", metavar="PATH", help=f"where to listen; default: {socket}")
    parser.add_argument(
        "--no-replace",
        action="store_true",
        help="do not take over from a server that is listening on the socket, and let no other"
        " take over from this one",
    )
    add_processes(parser)
    _add_options(parser)
    add_frozen(parser)
    add_log(parser)
    add_metrics(parser)


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags that are options of a server."""
    for name, (metavar, read) in OPTIONS.items():
        default = getattr(DEFAULTS, name)
        parser.add_argument(
            _flag(name),
            metavar=metavar,
            type=partial(_option, name, read),
            default=default,
            help=f"{HELP[name]}; default: {_shown(name, default)}",
        )
    for name, metavar in LISTS.items():
        parser.add_argument(
            _flag(name),
            metavar=metavar,
            type=partial(_option, name, str),
            action="append",
            default=[],
            help=f"{HELP[name]}; default: all that the socket's mode lets in",
        )
    for name in SWITCHES:
        parser.add_argument(_flag(name), action="store_true", help=HELP[name])


def _flag(name: str) -> str:
    """The flag for an option."""
    return f"--{name.replace('_', '-')}"


def _shown(name: str, default: Any) -> str:
    """A flag's default as the help shows it."""
    if default is None:
        return "that of the process"
    if isinstance(default, str):
        return default
    return f"0{default:o}" if name == "socket_mode" else f"{default:g}"


def _option(name: str, read: Callable[[str], Any], text: str) -> Any:
    """The value of a flag that is an option of a server."""
    try:
        value = read(text)
        Options(**{name: value})
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {WANTED[name]}") from None
    return value
