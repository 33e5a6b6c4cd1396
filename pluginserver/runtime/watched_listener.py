"""A listener that survives the removal of its socket file.

Kong's container entrypoint and ``kong start`` remove the sockets that they find in Kong's prefix, also that
of a server which runs.  Nobody can connect to it then, though it listens.

Rules kept here:

* only when nothing is at the path, and under the lock of its directory, a second listener is bound there;
* the first one stays: whoever connected to it, or is about to be accepted, loses nothing;
* what somebody else has put at the path is not touched, and we go on with what we have.
"""

from __future__ import annotations

import socket as sockets
from pathlib import Path
from typing import Any

from ..errors import ListenError
from .directory_watch import DirectoryWatch
from .listener import Listener
from .socket_file import SocketFile


class WatchedListener(Listener):
    """A :class:`~.listener.Listener` that listens again when its socket file is removed.

    :param path: the socket's path.
    :param mode: the permissions of the socket file.
    :param group: its group, by name or number; the process's when None.
    """

    def __init__(self, path: Path, mode: int, group: str | None = None) -> None:
        super().__init__(path, mode, group)
        self._file_options = mode, group
        self._watch: DirectoryWatch | None = None
        self._beside: Listener | None = None
        self._thread_name = ""

    @property
    def current(self) -> Listener:
        """The listener that clients reach now: this one, or the one that took its place at the path."""
        return self._beside or self

    def start_accepting(self, name: str) -> None:
        """Accept clients on a thread of that name, and look after the socket file."""
        super().start_accepting(name)
        self._thread_name = name
        if self.handed:
            return
        file = SocketFile(self.socket_path, lambda: self.current.bound, self._listen_again)
        self._watch = DirectoryWatch(self.socket_path.parent, file.look, f"{name}-watch")

    def stop_accepting(self) -> None:
        """End the threads that accept, if there are any, and remove the socket file."""
        self.stop_watching()
        self._drop_beside()
        super().stop_accepting()

    def stop_watching(self) -> None:
        """Let the socket file be removed from now on; may be called again."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()

    def forked(self) -> None:
        """Close what belongs to the parent; this is a child, in which nobody watches."""
        self._watch = None
        super().forked()

    def release(self) -> None:
        """Close the sockets and remove their file; may be called again."""
        self.stop_watching()
        self._drop_beside()
        super().release()

    # -- for a successor

    def suspend(self) -> tuple[sockets.socket, int, int]:
        """Accept nobody for now: clients that connect wait.

        :returns: the socket that is at the path, and device and inode of its file.
        """
        self.stop_watching()
        if self._beside is None:
            return super().suspend()
        self.end_acceptor()  # nobody can connect to the first one any more
        return self._beside.suspend()

    def go_on(self) -> None:
        """Accept again."""
        if self._beside is not None:
            self._beside.go_on()
        super().go_on()

    def let_go(self) -> None:
        """The file is another server's from now on."""
        if self._beside is not None:
            self._beside.let_go()
        super().let_go()

    def _listen_again(self) -> None:
        """Bind another listener at the path; on the thread of the watch."""
        beside = _Beside(self, *self._file_options)
        try:
            beside.listen(only_missing=True)
            beside.start_accepting(f"{self._thread_name}-beside")
        except (ListenError, OSError, RuntimeError):
            beside.release()
            raise
        before, self._beside = self._beside, beside
        if before is not None:
            _put_away(before)

    def _drop_beside(self) -> None:
        beside, self._beside = self._beside, None
        if beside is not None:
            _put_away(beside)


def _put_away(beside: Listener) -> None:
    beside.stop_accepting()
    beside.release()


class _Beside(Listener):
    """Accepts for another listener, at its path."""

    def __init__(self, first: WatchedListener, mode: int, group: str | None) -> None:
        super().__init__(first.socket_path, mode, group)
        self._first = first

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """As the first one does it."""
        return self._first.verify_request(request, client_address)

    def process_request(self, request: Any, client_address: Any) -> None:
        """As the first one does it."""
        self._first.process_request(request, client_address)
