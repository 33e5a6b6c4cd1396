"""Notices when files come to a directory or go from it, and lets who looks sleep in between.

:class:`DirectoryChanges` is for a loop that waits for other things too; :class:`DirectoryWatch` has a
thread.

Rules kept here:

* nobody is woken while nothing happens, but where the system gives no inotify: there it is each second;
* a directory that goes itself is looked for again each second, until it is back; that it has gone is seen
  by its inode, since the system tells it only when nobody, a bound socket for one, holds it any more;
* what goes wrong in the function that is called ends nothing: there is a line, and the next call.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .. import logs
from .forks import close_all, close_in_children

INTERVAL: Final = 1.0
"""Seconds between two calls, where nothing tells of changes or the last call asked for another one."""

# From <sys/inotify.h>.
IN_MOVED_FROM: Final = 0x40
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100
IN_DELETE: Final = 0x200
IN_DELETE_SELF: Final = 0x400
IN_MOVE_SELF: Final = 0x800
IN_UNMOUNT: Final = 0x2000
IN_IGNORED: Final = 0x8000
IN_ONLYDIR: Final = 0x0100_0000

_WANTED: Final = (
    IN_MOVED_FROM
    | IN_MOVED_TO
    | IN_CREATE
    | IN_DELETE
    | IN_DELETE_SELF
    | IN_MOVE_SELF
    | IN_ONLYDIR
)
_GONE: Final = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED
"""What comes when the watch tells nothing more about what is at the path."""

_EVENT: Final = struct.Struct("iIII")
"""``struct inotify_event``: watch, mask, cookie, length of the name after it."""

_log: Final = logs.get_logger()


def inotify(directory: Path) -> int | None:
    """A descriptor that is readable after a change in a directory; None when there cannot be one."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor: int = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if descriptor < 0:
            return None
        if libc.inotify_add_watch(descriptor, os.fsencode(directory), _WANTED) >= 0:
            return descriptor
    except AttributeError:  # a C library without it
        return None
    os.close(descriptor)
    return None


class DirectoryChanges:
    """Calls a function when something came or went in a directory, and at the first look; for one thread.

    :param directory: the directory.
    :param changed: the function; it says whether it wants to be called again in :data:`INTERVAL` seconds
        even if nothing happens.
    """

    def __init__(self, directory: Path, changed: Callable[[], bool]) -> None:
        self._directory = directory
        self._changed = changed
        self.descriptor: int | None = None
        """Readable when it is time for the next look; None when nothing tells it."""
        self._watched: tuple[int, int] | None = None
        """The directory that was at the path when the descriptor was made."""

    def look(self) -> float | None:
        """Call the function.

        :returns: seconds to the next look, even if nothing happens; None when something has to.
        """
        # The watch comes first: what happens after the call is told by it.
        place = _inode(self._directory)
        if self.descriptor is None or place != self._watched:
            self.forget()
            self.descriptor, self._watched = inotify(self._directory), place
        try:
            again = self._changed()
        except Exception as error:
            _log.error("looking after the socket file failed", exc_info=error)
            again = True
        again |= _inode(self._directory) != self._watched
        return None if self.descriptor is not None and not again else INTERVAL

    def read(self) -> None:
        """Read what has happened, before the next look."""
        if self.descriptor is not None and self._masks() & _GONE:
            self.forget()

    def _masks(self) -> int:
        """All bits together of what has happened."""
        masks, at, data = 0, 0, b""
        assert self.descriptor is not None
        with contextlib.suppress(BlockingIOError):
            data = os.read(self.descriptor, 65_536)
        while at < len(data):
            _watch, mask, _cookie, length = _EVENT.unpack_from(data, at)
            masks |= mask
            at += _EVENT.size + length
        return masks

    def forget(self) -> None:
        """Close the descriptor; the next look opens another one."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class DirectoryWatch:
    """Has a thread look at a directory, whenever something comes or goes there.

    :param directory: the directory.
    :param changed: called on that thread, as :class:`DirectoryChanges` does it.
    :param name: the name of the thread.
    """

    def __init__(self, directory: Path, changed: Callable[[], bool], name: str) -> None:
        self._changes = DirectoryChanges(directory, changed)
        self._stopping = False
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        close_in_children(self)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the call that may be running."""
        self._stopping = True
        os.eventfd_write(self._wakeup, 1)
        self._thread.join()
        self._changes.forget()
        os.close(self._wakeup)
        self._wakeup = -1

    def forked(self) -> None:
        """Close what belongs to the parent; this is a child."""
        close_all(self._wakeup, *filter(None, [self._changes.descriptor]))

    def _run(self) -> None:
        while not self._stopping:
            self._wait(self._changes.look())

    def _wait(self, timeout: float | None) -> None:
        poller = select.poll()
        poller.register(self._wakeup, select.POLLIN)
        if self._changes.descriptor is not None:
            poller.register(self._changes.descriptor, select.POLLIN)
        poller.poll(None if timeout is None else 1000 * timeout)
        self._changes.read()


def _inode(directory: Path) -> tuple[int, int] | None:
    """Which directory is at a path; None when there is none."""
    try:
        status = os.stat(directory)
    except OSError:
        return None
    return status.st_dev, status.st_ino
