"""``kong-python-pluginserver``, and plugin files that serve themselves: kong-pdk's commands, on our server.

Rules kept here:

* flags, defaults and the names of sockets are those of kong-pdk 0.36, so that lines of ``kong.conf`` work as
  they are: ``<prefix>/<socket name>`` for a directory, ``<prefix>/<plugin's name>.sock`` for one plugin;
* the socket's mode is what the umask leaves, as there; a line says so when others may connect;
* a flag that has no effect here is taken, with a line;
* a dump is the one thing on stdout; a server logs to stderr, where kong-pdk logs to stdout.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final, NoReturn

from .. import logs
from ..compat.arguments import SOCKET_NAME, parser, without_effect
from ..compat.recognition import Manner
from ..errors import PluginError
from ..plugins.registry import Plugins
from .exit import leave_after

_log: Final = logs.get_logger()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``kong-python-pluginserver``; ends the process.

    :param arguments: the command line without the program's name; ``sys.argv``'s when None.
    """
    options = parser(program="kong-python-pluginserver").parse_args(arguments)
    leave_after(_directory, options)


def serve_dedicated(name: str, plugin: type, version: Any, priority: Any, schema: Any) -> NoReturn:
    """Serve one plugin, or describe it, as ``sys.argv`` says; ends the process.

    :param name: its name, which is kept as it is.
    :param plugin: its class.
    :param version: such as ``"1.0.0"``, or None.
    :param priority: Kong runs plugins with a higher one first.
    :param schema: the fields of its configuration.
    """
    options = parser(dedicated=True).parse_args()
    if "." in name:  # of a module's name only what follows it would be looked at
        leave_after(_refuse, name)
    parts = {"Plugin": plugin, "version": version, "priority": priority, "Schema": schema}
    module = ModuleType(name)
    vars(module).update({**_settings_around(plugin), **parts})
    leave_after(_dedicated, options, module)


def _refuse(name: str) -> None:
    raise PluginError(
        f"the plugin has the name {name!r}: use a string of letters, digits, dashes and underscores, which"
        " are what Kong's pluginserver_names can hold"
    )


def _settings_around(plugin: type) -> dict[str, Any]:
    """What the module of a class says besides the class: how it is to be served."""
    home = sys.modules.get(plugin.__module__)
    return {name: value for name, value in vars(home or plugin).items() if name[:2] != "__"}


def _directory(options: argparse.Namespace) -> None:
    _configure(options, dump=options.dump_info or options.dump_all_info)
    manner = Manner(always=True, lua_style=not options.no_lua_style)

    def plugins() -> Plugins:
        return Plugins(directory=options.directory, entry_points=False, manner=manner)

    if options.dump_info or options.dump_all_info:
        from . import dump

        with dump.Stdout() as stdout:
            if options.dump_info:
                stdout.write(dump.as_msgpack(plugins(), options.dump_info))
            else:
                stdout.write(dump.as_json(plugins()))
        return
    _serve(options, plugins(), options.socket_name)


def _dedicated(options: argparse.Namespace, module: ModuleType) -> None:
    _configure(options, dump=options.dump)
    manner = Manner(always=True, lua_style=not options.no_lua_style)
    plugins = Plugins([module], entry_points=False, manner=manner)
    if options.dump:
        from . import dump

        with dump.Stdout() as stdout:
            _load(plugins)
            stdout.write(dump.as_json(plugins))
        return
    _load(plugins)
    named = options.socket_name != SOCKET_NAME
    _serve(options, plugins, options.socket_name if named else f"{module.__name__}.sock")


def _load(plugins: Plugins) -> None:
    plugins.load()
    for error in plugins.failures.values():
        raise error


def _configure(options: argparse.Namespace, dump: bool) -> None:
    """Begin the log, and say what there is to say of the command line."""
    quiet = "warning" if dump else "info"
    logs.configure("debug" if options.verbose > 1 else quiet, "console")
    for line in without_effect(options):
        _log.warning(line)


def _serve(options: argparse.Namespace, plugins: Plugins, socket_name: str) -> None:
    from ..runtime.access import OTHERS_MAY_CONNECT
    from ..server import PluginServer
    from .flags import FROZEN_TIMEOUT
    from .serve import Settings, serve

    mode = _mode()
    if mode & OTHERS_MAY_CONNECT:
        _log.warning(
            f"other users may connect to the socket, whose mode is {mode:04o}, as the umask has it: start"
            " this with the umask 077, or use pluginserver, whose socket is its own user's"
        )
    server = PluginServer(
        os.path.join(options.prefix, socket_name),
        plugins,
        socket_mode=mode,
        replace=True,
        watch_parent=True,
    )
    serve(server, Settings(frozen_timeout=FROZEN_TIMEOUT, crash_directory=None))
    plugins.close()


def _mode() -> int:
    """The mode that the system gives a socket file."""
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o777 & ~umask
