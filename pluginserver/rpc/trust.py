"""Whose code a server runs, and who could change that.

Rules kept here:

* a client names the plugins directory only where each client is the server's own user.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .. import logs
from ..runtime.access import OTHERS_MAY_CONNECT, others_may_write
from ..runtime.options import Options

_log: Final = logs.get_logger()


def fixed_directory(options: Options, one_of_several: bool = False) -> str | None:
    """Why no client may choose the plugins directory, and so whose code is run; None when one may.

    :param one_of_several: whether this process is one of several that serve the same plugins.
    """
    if options.fixed_plugins_directory:
        return "the server was started with -fixed-plugins-directory"
    if one_of_several:
        return (
            "with -processes each process would have another one: name it with -plugins-directory"
        )
    if options.socket_mode & OTHERS_MAY_CONNECT:
        return (
            f"with the mode {options.socket_mode:04o} the socket is open to other users, whose code must"
            " not run in this server: name the directory with -plugins-directory"
        )
    return None


def warn_of_others(socket_directory: Path, plugins_directory: Path | None) -> None:
    """Say where users other than root and our own could replace the socket, or the code that is run."""
    why = others_may_write(socket_directory)
    if why is not None:
        _log.warning(f"others can put a socket of their own in place of the server's: {why}")
    why = None if plugins_directory is None else others_may_write(plugins_directory)
    if why is not None:
        _log.warning(f"others can change the plugins that this server runs: {why}")
