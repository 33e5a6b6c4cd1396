"""``pluginserver run FILE``: a plugin's file that serves itself, with its own flags.

For files that end in kong-pdk's ``start_dedicated_server(...)``: they run on our server, with the stand-ins
for kong-pdk's modules where that is not installed.  A file that ends in ``pluginserver.main()`` runs so too.

Rules kept here:

* the file runs as a script does: as ``__main__``, with its own directory on the path, a package by its
  ``__main__.py``; what follows its name is its own;
* what it prints before it dumps does not get into the dump;
* a file that patches the standard library is refused before any of it runs;
* where the real kong-pdk is installed its modules are used, and its servers are not.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Final

from .. import logs
from ..compat import standins
from ..compat.recognition import PACKAGE
from ..errors import PluginError, PluginServerError
from ..plugins.guard import validate_unpatching
from ..plugins.loader import INIT
from ..plugins.loading import loading_errors
from . import dump
from .exit import open_standard_streams
from .kong_pdk import main as serve_directory
from .kong_pdk import serve_dedicated

MAIN: Final = "__main__.py"

_DUMPS: Final = re.compile(r"--?d")
"""How a flag begins that asks for a dump: of kong-pdk's any unique beginning is one."""


class _Holder:
    """Who holds the stand-ins while a file runs: this process, to its end."""


_HOLDER: Final = _Holder()


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    :param arguments: the command line after ``run``.
    :returns: the exit code, where the file does not end the process itself.
    """
    if not arguments or arguments[0].startswith("-"):
        from .run_help import tell

        return tell(arguments)
    open_standard_streams()
    try:
        run_file(Path(os.path.abspath(arguments[0])), arguments[0], arguments[1:])
    except (PluginServerError, OSError) as error:
        sys.stderr.write(f"pluginserver: {logs.one_line(str(error))}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def run_file(path: Path, called: str, arguments: Sequence[str]) -> None:
    """Run a plugin's file, which serves or dumps, and ends the process.

    :param path: a file, or a package's directory.
    :param called: what it is called on the command line.
    :param arguments: its own flags.
    :raises PluginError: when it cannot be run, raises, or ends without having served.
    """
    if path.name == MAIN and (path.parent / INIT).is_file():
        path = path.parent
    script = path / MAIN if path.is_dir() else path
    if not script.is_file():
        raise PluginError(f"there is no file {script}: name the plugin's file, or its package")
    validate_unpatching(path, script)
    sys.argv = [called, *arguments]
    if any(map(_DUMPS.match, arguments)):
        dump.keep_stdout()
    _stand_in()
    with loading_errors(f"the plugin {path}", script):
        end = _execute(path)
    if end is not None:
        raise end
    raise PluginError(
        f"{path} ended without serving: let it end in start_dedicated_server(...) of kong_pdk.cli or in"
        " pluginserver.main(), or serve its directory by pluginserver -plugins-directory DIR"
    )


def _execute(path: Path) -> SystemExit | None:
    """Run the code; gives how it ended the process, if it did."""
    sys.path.insert(0, str(path.parent))
    try:
        if path.is_dir():
            sys.path.append(str(path))
            runpy.run_module(path.name, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:
        return end
    return None


def _stand_in() -> None:
    """Have what the file imports of kong-pdk lead here."""
    standins.FINDER.hold(_HOLDER)
    standins.STARTER.dedicated = serve_dedicated
    standins.STARTER.server = serve_directory
    if standins.is_installed():
        with suppress(ImportError):
            theirs = vars(import_module(f"{PACKAGE}.cli"))
            theirs["start_dedicated_server"] = standins.start_dedicated_server
            theirs["start_server"] = standins.start_server
