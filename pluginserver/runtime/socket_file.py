"""Looks after the socket file of a listener: it may be removed, or become somebody else's.

Rules kept here:

* only when nothing is at the path somebody listens there again;
* what somebody else has put there is not touched, and told once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .. import logs
from ..errors import ListenError

_log: Final = logs.get_logger()


class SocketFile:
    """The file at one path.

    :param path: the path.
    :param ours: gives device and inode of the file that should be there.
    :param listen_again: binds another listener there; may raise ``ListenError``, ``OSError`` or
        ``RuntimeError``.
    """

    def __init__(
        self,
        path: Path,
        ours: Callable[[], tuple[int, int] | None],
        listen_again: Callable[[], None],
    ) -> None:
        self._path = path
        self._ours = ours
        self._bind = listen_again
        self._stranger: tuple[int, int] | None = None
        """The file at the path that is not ours and was told of."""
        self._repeats = logs.Repeats()

    def look(self) -> bool:
        """See whose the file at the path is, and listen again when there is none.

        :returns: whether to look again although nothing happens.
        """
        try:
            status = os.lstat(self._path)
        except OSError:
            return self._listen_again()
        found = status.st_dev, status.st_ino
        if found == self._ours():
            self._stranger = None
        elif found != self._stranger:
            self._stranger = found
            _log.error(
                f"the file at {self._path} is not this server's any more, and new clients do not reach"
                " it: stop whoever put that there and remove it, and this server listens there again"
            )
        return False

    def _listen_again(self) -> bool:
        try:
            self._bind()
        except (ListenError, OSError, RuntimeError) as error:
            repeats = self._repeats.note(str(error))
            if repeats is not None:
                _log.error(f"the socket file was removed, and {error}", repeats=repeats)
            return True
        repeats = self._repeats.note("removed")
        if repeats is not None:
            _log.warning(
                "the socket file was removed by somebody: listening again",
                socket=str(self._path),
                repeats=repeats,
            )
        return False
