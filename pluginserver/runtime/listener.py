"""The socket file, and the thread that accepts.

Rules kept here:

* a socket that somebody serves is never taken away from them; one that nobody serves is not an
  obstacle;
* nobody can connect before the socket's mode is set;
* a file that has become somebody else's is not removed;
* an error of ``accept`` costs nobody but the client that it concerns, and never a busy loop.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket as sockets
import socketserver
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from .. import logs
from ..errors import ListenError
from .access import group_number

PATH_LIMIT: Final = 107
"""Bytes that the path of a Unix socket may have on Linux: ``sun_path`` less its closing zero."""

OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of ``accept`` that last: the client waits in the queue, and asking again at once is a
busy loop."""

POLL_INTERVAL: Final = 86_400.0
"""Seconds between two times that the accepting thread wakes for nothing; the end wakes it itself."""

PAUSE: Final = 1.0
"""Seconds between two tries when resources are missing."""

_log: Final = logs.get_logger()


class Listener(socketserver.ThreadingUnixStreamServer):
    """Listens on a Unix socket; what becomes of a client is for ``process_request`` of a subclass.

    :param path: the socket's path; a stale socket file there is replaced.
    :param mode: the permissions of the socket file.
    :param group: its group, by name or number; the process's when None.
    """

    request_queue_size = 1024
    daemon_threads = True

    def __init__(self, path: Path, mode: int, group: str | None = None) -> None:
        self.socket_path = path
        self._mode = mode
        self._group = group
        self._bound: tuple[int, int] | None = None
        self._closing = threading.Event()
        self._acceptor: threading.Thread | None = None
        super().__init__(os.fspath(path), _Unused, bind_and_activate=False)

    @property
    def bound(self) -> tuple[int, int] | None:
        """Device and inode of the socket file that is ours; None when there is none."""
        return self._bound

    def listen(self, only_missing: bool = False) -> None:
        """Bind the socket, with nobody else doing the same at the same path.

        :param only_missing: do it only when nothing is at the path, and do not wait for the lock.
        :raises ListenError: when it cannot be had.
        """
        path = self.socket_path
        length = len(os.fsencode(path))
        if length > PATH_LIMIT:
            raise ListenError(
                f"the socket's path {path} is {length} bytes long, and {PATH_LIMIT} is the most:"
                " choose a shorter one"
            )
        try:
            with _locked(path.parent, wait=not only_missing):
                if not only_missing:
                    self._remove_stale()
                self._bind(path)
        except FileNotFoundError:
            raise ListenError(
                f"the directory {path.parent} for the socket does not exist: create it or choose another"
            ) from None
        except OSError as error:
            raise ListenError(f"cannot listen on {path}: {error.strerror}") from None

    def _bind(self, path: Path) -> None:
        """Bind and listen; the group can connect only when it is the right one."""
        group = None if self._group is None else group_number(self._group)
        mode = self._mode if group is None else self._mode & ~stat.S_IRWXG
        os.fchmod(self.socket.fileno(), mode)
        self.server_bind()
        status = os.stat(path)
        self._bound = (status.st_dev, status.st_ino)
        if group is not None:
            try:
                os.chown(path, -1, group)
            except PermissionError:
                raise ListenError(
                    f"the socket cannot be given to the group {self._group}: its user must be a member of it"
                ) from None
        os.chmod(path, self._mode)
        self.server_activate()

    def start_accepting(self, name: str) -> None:
        """Accept clients on a thread of that name; after :meth:`listen`."""
        self._acceptor = threading.Thread(
            target=self.serve_forever, args=(POLL_INTERVAL,), name=name, daemon=True
        )
        self._acceptor.start()

    def stop_accepting(self) -> None:
        """End the thread that accepts, if there is one, and remove the socket file."""
        self._closing.set()
        if self._acceptor is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(sockets.SHUT_RDWR)  # wakes the thread
            self.shutdown()
            self._acceptor.join()
            self._acceptor = None
        self._unlink()

    def release(self) -> None:
        """Close the socket and remove its file; may be called again."""
        self._unlink()
        self.server_close()

    def _remove_stale(self) -> None:
        """Remove a socket file that nobody serves.

        :raises ListenError: when somebody does, or the file is something else.
        """
        path = self.socket_path
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise ListenError(
                f"{path} exists and is not a socket: remove it or choose another path"
            )
        with sockets.socket(sockets.AF_UNIX) as probe:
            probe.setblocking(False)
            try:
                probe.connect(os.fspath(path))
            except ConnectionRefusedError:
                path.unlink()
                return
            except FileNotFoundError:
                return
            except BlockingIOError:
                pass
        raise ListenError(f"another server is listening on {path}: stop it or choose another path")

    def _unlink(self) -> None:
        """Remove the socket file, unless it has become somebody else's."""
        if self._bound is None:
            return
        with contextlib.suppress(OSError):
            status = os.lstat(self.socket_path)
            if (status.st_dev, status.st_ino) == self._bound:
                self.socket_path.unlink()
        self._bound = None

    # -- what socketserver calls

    def get_request(self) -> tuple[sockets.socket, Any]:
        """Accept a client."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in OUT_OF_RESOURCES:
                _log.error(f"no more connections can be accepted: {error.strerror}")
                self._closing.wait(PAUSE)
            raise

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A client could not be served: one line, not a traceback on stderr."""
        _log.error("a connection could not be served", exc_info=True)


class _Unused(socketserver.BaseRequestHandler):
    """What socketserver wants to be given; connections are served by the leader."""


@contextlib.contextmanager
def _locked(directory: Path, wait: bool) -> Iterator[None]:
    """Keep other servers from looking at, removing or binding a socket in ``directory``.

    :param wait: whether to wait while one does that.
    :raises BlockingIOError: when not, and one does.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
