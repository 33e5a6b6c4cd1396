"""Where something was raised, or is done, as its author looks for it: in the plugin's own files.

Rules kept here:

* the place is the deepest frame that is neither ours, nor the standard library's, nor an installed
  library's, since what an author can mend is the call that he made; only where there is none it is another;
* a plugin that is installed as a library is one is still a plugin's (:func:`is_own`);
* no file is opened for it: it is asked for where an interrupt may come, too.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Final

_OURS: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
_STDLIB: Final = os.path.join(os.path.dirname(os.path.abspath(os.__file__)), "")
_INSTALLED: Final = ("site-packages", "dist-packages")

_packages: Final[set[str]] = set()
"""The packages whose code is a plugin's, though they lie where libraries do."""

Place = tuple[str, int]
"""A file and a line."""


def is_own(package: str) -> None:
    """Say that a package holds plugins, wherever its files are.

    :param package: the name of a module, or of the package around it.
    """
    _packages.add(package)


def is_librarys(file: str) -> bool:
    """Whether a file is the standard library's or an installed library's, or none at all."""
    if file.startswith(("<", _STDLIB)):
        return True
    return any(f"{os.sep}{name}{os.sep}" in file for name in _INSTALLED)


def of_this_package(file: str) -> bool:
    """Whether a file is one of this package's."""
    return file.startswith(_OURS)


def from_here(path: Path) -> str:
    """A path as people are told it: from the current directory on when it is in that."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def place_of(error: BaseException) -> Place | None:
    """Where in the plugin's own files an exception was raised; None when it never was there."""
    return _own(_raised(error))


def raised_at(error: BaseException) -> str:
    """Where an exception was raised, ``file:line``: see the rules; ``""`` when that is not known."""
    frames = list(_raised(error))
    found = _own(frames) or _deepest(frames)
    return f"{found[0]}:{found[1]}" if found else ""


def called_at() -> str:
    """Where the code that runs stands, ``file:line``, as :func:`raised_at`."""
    frame: FrameType | None = sys._getframe(1)
    frames = []
    while frame is not None:
        frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    frames.reverse()
    found = _own(frames)
    return f"{found[0]}:{found[1]}" if found else ""


def _raised(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    """The frames that an exception went through, the deepest at the end."""
    return traceback.walk_tb(error.__traceback__)


def _own(frames: Iterable[tuple[FrameType, int]]) -> Place | None:
    return _deepest(
        (frame, line)
        for frame, line in frames
        if not of_this_package(frame.f_code.co_filename) and _is_plugins(frame)
    )


def _deepest(frames: Iterable[tuple[FrameType, int]]) -> Place | None:
    found = None
    for frame, line in frames:
        found = frame.f_code.co_filename, line
    return found


def _is_plugins(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in _packages or not is_librarys(frame.f_code.co_filename)
