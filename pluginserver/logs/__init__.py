"""The server's own log: one line a record, on stderr.

Kong starts the server as a child and logs its stderr line by line, so a record that holds a line
break would become several.  In the order in which a record comes through: :mod:`.logger` decides whether
and where it is written, :mod:`.render` makes a line of it, :mod:`.writer` writes that.  :mod:`.digest` keeps
what comes again and again from filling the log, :mod:`.places` finds where in a plugin something was raised,
:mod:`.adopted` takes on what else a process logs and prints.  Each tells the rules that it keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .digest import ErrorDigest, Repeats, Seldom
from .logger import Logger, configure, flush, get_logger
from .places import called_at, from_here, is_librarys, is_own, of_this_package, place_of, raised_at
from .render import FORMATS, LEVELS, MAX_FRAMES, MAX_LINE, Format, fold, one_line
from .writer import BACKLOG, WRITER, release_held, release_locks

__all__ = (
    "BACKLOG",
    "FORMATS",
    "LEVELS",
    "MAX_FRAMES",
    "MAX_LINE",
    "WRITER",
    "ErrorDigest",
    "Format",
    "Logger",
    "Repeats",
    "Seldom",
    "adopt",
    "adopt_output",
    "called_at",
    "configure",
    "flush",
    "fold",
    "from_here",
    "get_logger",
    "is_librarys",
    "is_own",
    "of_this_package",
    "one_line",
    "place_of",
    "raised_at",
    "release_held",
    "release_locks",
)


def adopt(
    about: Callable[[], Mapping[str, Any]] = dict, is_ours: Callable[[str], bool] = bool
) -> None:
    """Let everything else in this process log as the package does.

    For a program that is the server and nothing else, after :func:`configure`.  It takes on *structlog* and
    :mod:`logging`, as plugins use them, Python's warnings, the exceptions that end a thread or the program,
    or are raised where nobody can catch them.  What a library logs below ``warning`` is dropped, unless its
    logger was given a level.

    :param about: gives further fields of a record, on the thread, and in the greenlet, that logs.
    :param is_ours: whether a logger of that name is no library's, wherever its file is.
    """
    from . import adopted

    adopted.adopt(about, is_ours)


def adopt_output() -> None:
    """Have what this process prints written in order with its log, a line at a time.

    For the same programs as :func:`adopt`.
    """
    from . import adopted

    adopted.adopt_output()
