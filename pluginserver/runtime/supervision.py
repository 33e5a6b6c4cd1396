"""Notices when other code in the process has closed a descriptor of ours.

A plugin that closes what it did not open (``os.closerange(3, 1000)`` of a library that makes daemons)
leaves a server that hangs, or polls without end.  Rules kept here:

* a descriptor is known by its device, inode and kind: a number that was closed may belong to another file;
* to look costs three system calls, so the clock looks as often as at the time-outs, and an idle server not
  at all.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

Identity = tuple[int, int, int]


class Descriptors:
    """What was open when the server began.

    :param numbers: the descriptors by what they are for.
    """

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self._expected = {what: (number, identity(number)) for what, number in numbers.items()}

    def lost(self) -> str | None:
        """What is not open any more, None when all is as it was."""
        for what, (number, before) in self._expected.items():
            try:
                if identity(number) == before:
                    continue
            except OSError:
                pass
            return what
        return None


def identity(number: int) -> Identity:
    """What an open descriptor leads to.

    :raises OSError: when it is not open.
    """
    status = os.fstat(number)
    return status.st_dev, status.st_ino, stat.S_IFMT(status.st_mode)
