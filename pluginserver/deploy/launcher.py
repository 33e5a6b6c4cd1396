"""A launcher: a file in ``/usr/local/bin`` that is all that Kong must find of a plugin.

Kong 3.9, kong/conf_loader/init.lua: a name in ``pluginserver_names`` without settings of its own has the
start command ``/usr/local/bin/<name>``, the query command with ``-dump`` behind it, and the socket
``<prefix>/<name>.socket``; the name is in lower case.  Rules kept here:

* whatever the launcher needs is written into it, absolute: nginx hands nothing on;
* a file that no launcher is stays.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ..errors import PluginServerError
from .dumps import write
from .launch import socket_path

MARK: Final = "pluginserver.cli.launch"
"""The module that a launcher runs."""

_NAME: Final = re.compile(r"[\w-]+", re.ASCII)
_INTERPRETER: Final = re.compile(r"/[^\s]{0,120}")
"""What Linux starts a script with: no blanks in the path, and not more bytes than it reads."""

_TEXT: Final = """\
#!{interpreter}
# Serves the plugin {name} to Kong 3.9 and later. To change it, run pluginserver install again.
import sys

sys.path[:] = [one for one in sys.path if one != {into!r}]

from pluginserver.cli.launch import launch

launch({name!r}, {directory!r}, {prefix!r})
"""


def install(name: str, directory: Path, prefix: Path, into: Path, interpreter: str) -> Path:
    """Write a plugin's launcher.

    :param name: the plugin's name.
    :param directory: where the plugin is, absolute.
    :param prefix: Kong's prefix, absolute.
    :param into: where the launcher goes, absolute.
    :param interpreter: the path of Python.
    :returns: the launcher.
    :raises PluginServerError: when Kong or Linux could not start it, or another file is in its place.
    :raises OSError: when it cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise PluginServerError(
            f"Kong cannot have a plugin server with the name {name!r}: use letters, digits, dashes and"
            " underscores"
        )
    if not _INTERPRETER.fullmatch(interpreter):
        raise PluginServerError(
            f"Linux cannot start a script by {interpreter}: use an interpreter whose path has no blank and"
            " is shorter"
        )
    socket_path(prefix, f"{name.lower()}.socket")
    path = into / name.lower()
    if path.exists() and MARK.encode() not in path.read_bytes():
        raise PluginServerError(f"{path} is no launcher of ours: remove it, or say --into DIR")
    text = _TEXT.format(
        interpreter=interpreter,
        name=name,
        directory=str(directory),
        prefix=str(prefix),
        into=str(into),
    )
    write(path, text.encode(), 0o755)
    return path
