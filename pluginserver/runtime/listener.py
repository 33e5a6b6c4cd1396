"""The socket file, and the thread that accepts.

Rules kept here:

* a socket that somebody serves is never taken away from them; one that nobody serves is not an
  obstacle, even if a process that was forked off its server still holds it: who serves answers;
* a socket that was handed to this process (by systemd) is somebody else's: it is neither bound nor removed
  nor shut down here;
* where another process accepts, clients come over a socket pair, and there is no file to look after here;
* the thread that accepts goes on whatever fails, and says so when the listening socket is gone;
* nobody can connect before the socket's mode is set;
* a file that has become somebody else's is not removed;
* an error of ``accept`` costs nobody but the client that it concerns, and never a busy loop.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket as sockets
import socketserver
import stat
import threading
from pathlib import Path
from typing import Any, Final

from .. import logs
from ..errors import ListenError, SocketInUseError
from .accounts import group_number
from .directory_lock import locked
from .forks import close_in_children
from .handing import take, untaken
from .served import is_served

PATH_LIMIT: Final = 107
"""Bytes that the path of a Unix socket may have on Linux: ``sun_path`` less its closing zero."""

OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of ``accept`` that last: the client waits in the queue, and asking again at once is a
busy loop."""

POLL_INTERVAL: Final = 86_400.0
"""Seconds between two times that the accepting thread wakes for nothing; the end wakes it itself."""

PAUSE: Final = 1.0
"""Seconds between two tries when resources are missing."""

RETRY: Final = 0.02
"""Seconds until the thread that accepts goes on after a failure."""

UNUSABLE: Final = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP})
"""Errors of ``accept`` that say that the descriptor is no longer a socket that listens."""

_log: Final = logs.get_logger()


class Listener(socketserver.ThreadingUnixStreamServer):
    """Listens on a Unix socket; what becomes of a client is for ``process_request`` of a subclass.

    :param path: the socket's path; a stale socket file there is replaced.
    :param mode: the permissions of the socket file.
    :param group: its group, by name or number; the process's when None.
    """

    request_queue_size = 4096
    daemon_threads = True

    def __init__(self, path: Path, mode: int, group: str | None = None) -> None:
        self.socket_path = path
        self._mode = mode
        self._group = group
        self._bound: tuple[int, int] | None = None
        self._closing = threading.Event()
        self._acceptor: threading.Thread | None = None
        self._acceptor_name = ""
        self._ready: select.epoll | None = None
        """What the thread that accepts waits for: the socket, and what wakes it."""
        self._wakeup = -1
        """Wakes it: to close the socket or to shut it down would too, but it may be shared with others."""
        self._inherited = False
        self.handed = False
        """Whether another process accepts, and hands the clients over."""
        super().__init__(os.fspath(path), _Unused, bind_and_activate=False)
        close_in_children(self)

    def inherit(self, descriptor: int) -> None:
        """Listen on a socket that this process was given, instead of one of its own; before :meth:`listen`.

        :param descriptor: of a Unix stream socket that listens; it belongs to the listener from now on.
        :raises ListenError: when it is something else.
        """
        try:
            given = sockets.socket(fileno=descriptor)
            what = given.family, given.type
            path = given.getsockname()
            listens = given.getsockopt(sockets.SOL_SOCKET, sockets.SO_ACCEPTCONN)
        except OSError as error:
            raise ListenError(
                f"descriptor {descriptor} is not a socket: {error.strerror}"
            ) from None
        if what != (sockets.AF_UNIX, sockets.SOCK_STREAM) or not listens or not path:
            given.detach()
            raise ListenError(f"descriptor {descriptor} is not a Unix stream socket that listens")
        given.set_inheritable(False)
        given.setblocking(True)
        self.socket.close()
        self.socket = given
        self.socket_path = Path(os.fsdecode(path))
        self._inherited = True

    def receive_from(self, descriptor: int, path: Path) -> None:
        """Be handed the clients by another process, which listens; before :meth:`listen`.

        :param descriptor: of a socket that brings a client with each message; it belongs to the listener
            from now on.
        :param path: where that process listens.
        """
        self.socket.close()
        self.socket = sockets.socket(fileno=descriptor)
        self.socket.set_inheritable(False)
        self.socket_path = path
        self._inherited = self.handed = True

    def succeed(self, device: int, inode: int) -> None:
        """Remove the socket file at the end, because the process that listened there is gone."""
        self._bound = device, inode

    @property
    def bound(self) -> tuple[int, int] | None:
        """Device and inode of the socket file that is ours; None when there is none."""
        return self._bound

    def listen(self, only_missing: bool = False) -> None:
        """Bind the socket, with nobody else doing the same at the same path.

        :param only_missing: do it only when nothing is at the path, and do not wait for the lock.
        :raises SocketInUseError: when another server has it.
        :raises ListenError: when it cannot be had.
        """
        if self._inherited:
            return
        path = self.socket_path
        length = len(os.fsencode(path))
        if length > PATH_LIMIT:
            raise ListenError(
                f"the socket's path {path} is {length} bytes long, and {PATH_LIMIT} is the most:"
                " choose a shorter one"
            )
        try:
            with locked(path.parent, wait=not only_missing):
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
        self.server_activate()  # at once: who finds the file connects
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

    def start_accepting(self, name: str) -> None:
        """Accept clients on a thread of that name; after :meth:`listen`."""
        self._acceptor_name = name
        self._closing.clear()
        self.socket.setblocking(False)
        if self._ready is None:
            self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._ready = select.epoll()
            for descriptor in self.socket.fileno(), self._wakeup:
                self._ready.register(descriptor, select.EPOLLIN)
        self._acceptor = threading.Thread(target=self._accept, name=name, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                self.serve_forever(POLL_INTERVAL)
            except BaseException as error:
                if self._closing.is_set():
                    return
                if isinstance(error, _LostError) or self.socket.fileno() < 0:
                    self.lost("the listening socket")
                    return
                _log.error("the thread that accepts failed, and goes on", exc_info=error)
                self._closing.wait(RETRY)

    def lost(self, what: str) -> None:
        """Somebody has closed a descriptor of ours: there is no going on."""
        _log.critical(f"{what} was closed by other code in this process")

    def stop_accepting(self) -> None:
        """End the thread that accepts, if there is one, and remove the socket file."""
        self.end_acceptor()
        self._unlink()

    def end_acceptor(self) -> None:
        """End the thread that accepts; the socket is as it was, since it may be shared."""
        self._closing.set()
        if self._acceptor is not None:
            self._wake_acceptor()
            self._acceptor.join()
            self._acceptor = None
            with contextlib.suppress(OSError):
                os.eventfd_read(self._wakeup)

    def _wake_acceptor(self) -> None:
        try:
            os.eventfd_write(self._wakeup, 1)
        except OSError:  # somebody has closed it
            with contextlib.suppress(OSError), sockets.socket(sockets.AF_UNIX) as knock:
                knock.setblocking(False)
                knock.connect(os.fspath(self.socket_path))
                return
            with contextlib.suppress(OSError):
                self.socket.shutdown(sockets.SHUT_RDWR)

    # -- for a successor, or from a predecessor

    def suspend(self) -> tuple[sockets.socket, int, int]:
        """Accept nobody for now: clients that connect wait.

        :returns: the socket, and device and inode of its file.
        """
        assert self._acceptor is not None
        self.end_acceptor()
        if self.handed:
            self._take_the_rest()
        return (self.socket, *(self._bound or (0, 0)))

    def _take_the_rest(self) -> None:
        """Take the clients that were handed over and that nobody has taken yet."""
        for client in untaken(self.socket):
            if self.verify_request(client, ""):
                self.process_request(client, "")
            else:
                client.close()

    def go_on(self) -> None:
        """Accept again."""
        self.start_accepting(self._acceptor_name)

    def let_go(self) -> None:
        """The file is another server's from now on."""
        self._bound = None

    def adopt(self, listening: sockets.socket, device: int, inode: int) -> None:
        """Listen on a socket that another process has bound, instead of :meth:`listen`."""
        if self.handed:  # the supervisor has it
            listening.close()
            return
        self.socket.close()
        self.socket = listening
        self._bound = device, inode

    def forked(self) -> None:
        """Close what belongs to the parent; this is a child."""
        self._bound = None
        self._acceptor = None
        self._closing.set()
        name = os.fspath(self.socket_path) if self.handed else self.socket.getsockname()
        self.socket.close()
        self._close_ready()
        if not name:
            return
        for number in map(int, os.listdir("/proc/self/fd")):
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    with sockets.socket(fileno=os.dup(number)) as accepted:
                        ours = accepted.getsockname() == name
                    if ours:  # a client that the acceptor had in its hands
                        os.close(number)

    def release(self) -> None:
        """Close the socket and remove its file; may be called again."""
        self._unlink()
        with contextlib.suppress(OSError):  # somebody has closed it
            self.server_close()
        self._close_ready()

    def _close_ready(self) -> None:
        ready, self._ready = self._ready, None
        if ready is not None:
            with contextlib.suppress(OSError):  # somebody has closed them
                ready.close()
                os.close(self._wakeup)

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
        if is_served(path):
            raise SocketInUseError(
                f"another server is listening on {path}: stop it or choose another path"
            )
        path.unlink(missing_ok=True)

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

    def fileno(self) -> int:
        """What is readable when there is something to do for the thread that accepts."""
        assert self._ready is not None
        return self._ready.fileno()

    def descriptors(self) -> dict[str, int]:
        """What accepting needs, by what it is for."""
        return {
            "the listening socket": self.socket.fileno(),
            "the poller of the thread that accepts": self.fileno(),
            "the descriptor that wakes the thread that accepts": self._wakeup,
        }

    def get_request(self) -> tuple[sockets.socket, Any]:
        """Accept a client."""
        if self._closing.is_set():
            raise _LostError  # out of serve_forever, which may not know yet that it is to end
        try:
            if self.handed:
                assert self._ready is not None
                return take(self.socket, self._ready), ""
            return super().get_request()
        except OSError as error:
            if error.errno in OUT_OF_RESOURCES:
                _log.error(f"no more connections can be accepted: {error.strerror}")
                self._closing.wait(PAUSE)
            elif error.errno in UNUSABLE and not self._closing.is_set():
                raise _LostError from error
            raise

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A client could not be served: one line, not a traceback on stderr."""
        _log.error("a connection could not be served", exc_info=True)


class _LostError(Exception):
    """The listening socket is no longer one."""


class _Unused(socketserver.BaseRequestHandler):
    """What socketserver wants to be given; connections are served by the leader."""
