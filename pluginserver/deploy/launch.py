"""The command lines that Kong is told: how this installation is started, and how words are quoted.

Kong hands ``query_cmd`` and ``start_cmd`` to a shell (3.9, ``io.popen`` and ``ngx.pipe``); Kong Enterprise
from 3.12 on splits them itself, for images without a shell, and knows plain quotes alone.  Rules kept here:

* a command line means the same to both: words, absolute paths, single quotes around what needs them;
* what cannot be written so is refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..errors import PluginServerError

LONGEST_SOCKET: Final = 107
"""Bytes of a Unix socket's path."""

_PLAIN: Final = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
_UNQUOTABLE: Final = re.compile(r"""['"\\$`]|[\x00-\x1f\x7f]""")
_ENTRY: Final = b"pluginserver.cli.main"
"""What the script of our command holds: another distribution has a script of that name."""


def program(executable: str = sys.executable) -> tuple[str, ...]:
    """The words that start the server of this installation, without arguments.

    :param executable: the absolute path of the interpreter.
    """
    script = Path(executable).with_name("pluginserver")
    with contextlib.suppress(OSError):
        if os.access(script, os.X_OK) and _ENTRY in script.read_bytes():
            return (str(script),)
    return (executable, "-m", "pluginserver")


def command_line(words: Sequence[str]) -> str:
    """A command as one line.

    :raises PluginServerError: when a word holds what a shell and Kong do not read alike; the text names it.
    """
    return " ".join(_quoted(word) for word in words)


def absolute(path: str | os.PathLike[str]) -> Path:
    """A path as Kong needs it: its commands run in a directory of Kong's."""
    return Path(os.path.abspath(path))


def socket_path(directory: Path, name: str) -> Path:
    """The path of a socket.

    :raises PluginServerError: when it is too long for one.
    """
    path = directory / name
    if len(os.fsencode(path)) > LONGEST_SOCKET:
        raise PluginServerError(
            f"the socket's path {path} is longer than {LONGEST_SOCKET} bytes, which is all that Unix"
            " sockets take: choose a shorter directory"
        )
    return path


def _quoted(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    if not word or _UNQUOTABLE.search(word):
        raise PluginServerError(
            f"{word!r} cannot stand in Kong's configuration: rename what holds a quote, a backslash, a"
            " dollar sign or a line break"
        )
    return f"'{word}'"
