"""The listening socket of the supervisor.

Rules kept here:

* clients are accepted in turns, so that a crowd of them does not keep the loop from all else;
* while there is a reason to accept nobody, or several, clients wait in the queue;
* a socket that can accept no more, because somebody who shares it has shut it down, ends the whole;
* a socket file that somebody removes is bound again, and who connected to the old one loses nothing.
"""

from __future__ import annotations

import contextlib
import enum
import select
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from .. import logs
from ..errors import ListenError
from ..runtime.directory_watch import DirectoryChanges
from ..runtime.listener import OUT_OF_RESOURCES, PAUSE, UNUSABLE, Listener
from ..runtime.socket_file import SocketFile
from .loop import Loop

BATCH: Final = 64
"""Clients that are accepted in one turn."""

_log: Final = logs.get_logger()


class Reason(enum.Enum):
    """Why nobody is accepted."""

    CROWD = "as many wait as can"
    RESOURCES = "files or memory are missing"
    GIVEN = "the socket is another server's"
    CLOSED = "it is over"


class Door:
    """Where clients come in.

    :param loop: waits for them.
    :param path: the socket's path.
    :param mode: the permissions of the socket file.
    :param group: its group, by name or number; the process's when None.
    :param descriptor: of a socket that listens already and is somebody else's to remove; None for none.
    """

    def __init__(
        self, loop: Loop, path: Path, mode: int, group: str | None, descriptor: int | None
    ) -> None:
        self._loop = loop
        self._options = mode, group
        self._listeners = [Listener(path, mode, group)]
        """The first, and the one that took its place at the path."""
        self._inherited = descriptor is not None
        if descriptor is not None:
            self._listeners[0].inherit(descriptor)
        self._admit: Callable[[socket.socket], object] | None = None
        """Gets each client; None before :meth:`open`."""
        self._moved: Callable[[int, int], object] = lambda _device, _inode: None
        self._lost: Callable[[str], object] = lambda _why: None
        self._reasons: set[Reason] = set()
        """Why nobody is accepted now."""
        self._changes: DirectoryChanges | None = None
        self._watched: int | None = None
        self._looks = 0

    @property
    def path(self) -> Path:
        """Where clients connect."""
        return self._listeners[-1].socket_path

    @property
    def bound(self) -> tuple[int, int] | None:
        """Device and inode of the socket file that is ours; None when there is none."""
        return self._listeners[-1].bound

    def listen(self) -> None:
        """Bind the socket; clients wait until :meth:`open`.

        :raises SocketInUseError: when another server has it.
        :raises ListenError: when it cannot be had.
        """
        self._listeners[0].listen()

    def open(
        self,
        admit: Callable[[socket.socket], object],
        moved: Callable[[int, int], object],
        lost: Callable[[str], object],
    ) -> None:
        """Accept from now on, and look after the socket file.

        :param admit: gets each client.
        :param moved: told of device and inode of a socket file that takes the place of one that was removed.
        :param lost: told why nobody can be accepted any more.
        """
        self._admit, self._moved, self._lost = admit, moved, lost
        self._watch()
        if not self._inherited:
            file = SocketFile(self.path, lambda: self.bound, self._listen_again)
            self._changes = DirectoryChanges(self.path.parent, file.look)
            self._look()

    def pause(self, reason: Reason) -> None:
        """Accept nobody for now: clients wait in the queue."""
        self._reasons.add(reason)
        for listener in self._listeners:
            self._loop.unwatch(listener.socket.fileno())

    def go_on(self, reason: Reason) -> None:
        """Accept again, if that was the only reason not to."""
        if reason in self._reasons:
            self._reasons.remove(reason)
            self._watch()

    # -- for a successor, or from a predecessor

    def give(self) -> tuple[socket.socket, int, int]:
        """Accept nobody for now, and let the socket file be.

        :returns: the socket that clients connect to, and device and inode of its file.
        """
        self.pause(Reason.GIVEN)
        for listener in self._listeners[:-1]:  # nobody can connect to it any more
            self._accept_all(listener)
        self._unwatch_file()
        self._looks += 1
        assert self.bound is not None
        return (self._listeners[-1].socket, *self.bound)

    def take_back(self) -> None:
        """Go on: the successor did not get it."""
        self.go_on(Reason.GIVEN)
        self._look(self._looks)

    def let_go(self) -> None:
        """The file is another server's from now on."""
        for listener in self._listeners:
            listener.let_go()

    def adopt(self, listening: socket.socket, device: int, inode: int) -> None:
        """Have a socket that another process has bound, instead of :meth:`listen`."""
        self._listeners[0].adopt(listening, device, inode)

    def close(self) -> None:
        """Accept nobody any more, and remove the socket file; may be called again."""
        self.pause(Reason.CLOSED)
        self._unwatch_file()
        if self._changes is not None:
            self._changes.forget()
            self._changes = None
        for listener in self._listeners:
            listener.release()

    def _watch(self) -> None:
        """Wait for clients, unless there is a reason not to."""
        if self._admit is None or self._reasons:
            return
        for listener in self._listeners:
            listener.socket.setblocking(False)
            self._loop.watch(listener.socket.fileno(), partial(self._accept, listener))

    def _accept(self, listener: Listener) -> None:
        """Accept those who are there, a batch at the most."""
        for _ in range(BATCH):
            try:
                client, _ = listener.socket.accept()
            except OSError as error:
                self._failed(error, listener)
                return
            assert self._admit is not None
            self._admit(client)
            if self._reasons:
                return

    def _failed(self, error: OSError, listener: Listener) -> None:
        """Nobody was accepted, or nobody more."""
        if error.errno in OUT_OF_RESOURCES:
            _log.error(f"no more connections can be accepted: {error.strerror}")
            self.pause(Reason.RESOURCES)
            self._loop.later(PAUSE, partial(self.go_on, Reason.RESOURCES))
        elif error.errno in UNUSABLE or _is_shut_down(listener.socket):
            self.pause(Reason.CLOSED)
            self._lost("the listening socket was shut down or closed by somebody")

    def _accept_all(self, listener: Listener) -> None:
        """Accept all who are there, because nobody will look at this listener again."""
        assert self._admit is not None
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.socket.accept()
                self._admit(client)

    # -- the socket file

    def _look(self, number: int = 0) -> None:
        """Look at the socket's directory, and have the next look come when there is a reason.

        :param number: which look was to come by its time; a later one has made it needless.
        """
        if self._changes is None or number != self._looks:
            return
        self._looks += 1
        self._unwatch_file()
        self._changes.read()
        timeout = self._changes.look()
        self._watched = self._changes.descriptor
        if self._watched is not None:
            self._loop.watch(self._watched, lambda: self._look(self._looks))
        if timeout is not None:
            self._loop.later(timeout, partial(self._look, self._looks))

    def _unwatch_file(self) -> None:
        if self._watched is not None:
            self._loop.unwatch(self._watched)
            self._watched = None

    def _listen_again(self) -> None:
        """Bind another listener at the path; the first one stays."""
        another = Listener(self.path, *self._options)
        try:
            another.listen(only_missing=True)
        except (ListenError, OSError):
            another.release()
            raise
        for old in self._listeners:
            self._loop.unwatch(old.socket.fileno())
        for old in self._listeners[1:]:
            self._accept_all(old)
            old.release()
        self._listeners[1:] = [another]
        self._watch()
        assert another.bound is not None
        self._moved(*another.bound)


def _is_shut_down(listening: socket.socket) -> bool:
    """Whether a listening socket says that there is something, and will never have anything."""
    poller = select.poll()
    poller.register(listening, select.POLLIN)
    return any(events & select.POLLHUP for _descriptor, events in poller.poll(0))
