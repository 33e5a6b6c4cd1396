"""The server: a Unix socket, its life from start to stop, and all that hangs on it.

``accept`` happens here, on a thread of its own; from then on a connection belongs to the steppers
(see :mod:`.steppers`).  Rules kept here:

* a socket that somebody serves is never taken away from them; one that nobody serves is no
  obstacle;
* nobody can connect before the socket's mode is set, nor is served before the plugins are loaded;
* :meth:`PluginServer.stop` leaves no thread, descriptor, socket or file behind, and may be called
  at any time, from any thread, more than once;
* what is done from time to time is done in :meth:`PluginServer.service_actions`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import socket as sockets
import socketserver
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from types import ModuleType, TracebackType
from typing import Any, Final

from . import logs
from .errors import ListenError
from .plugins.registry import Plugins
from .rpc.frames import notification
from .rpc.instances import Instances
from .rpc.methods import Methods, first_id
from .runtime.connection import Connection
from .runtime.pool import Crew

PATH_LIMIT: Final = 107
"""Bytes that the path of a Unix socket may have on Linux: ``sun_path`` less its closing zero."""

OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of ``accept`` that last: the client waits in the queue, and asking again at once is a
busy loop."""

_numbers = itertools.count(1)


class PluginServer(socketserver.ThreadingUnixStreamServer):
    """Serves plugins to Kong on a Unix socket.

    As a context manager it listens when the block begins, and leaves nothing behind when it ends::

        with PluginServer("/tmp/kong/python.sock", plugins=["hello.py"]) as server:
            ...

    :param socket: the socket's path; a stale socket file there is replaced.
    :param plugins: paths of plugin files or directories, modules, or ``Plugin`` classes; or a registry,
        which is loaded when the server starts, and stays its maker's to close.
    :param plugins_directory: a directory whose plugins are loaded too, as Kong's ``SetPluginDir``
        does.
    :param entry_points: load the plugins of installed distributions (group
        ``pluginserver.plugins``).
    :param socket_mode: the permissions of the socket file.
    :param max_threads: how many threads handlers that block may take.
    :param request_timeout: seconds in which a request is answered even if its handler still runs;
        keep it under Kong's ``lua_socket_read_timeout`` (60 s).
    :param callback_timeout: seconds after which an event is given up whose step does not come.
    :param grace: seconds that :meth:`stop` lets running events finish.
    :param watch_parent: stop when the process that started this one is gone.
    """

    request_queue_size = 1024
    daemon_threads = True

    def __init__(
        self,
        socket: str | os.PathLike[str],
        plugins: Plugins | Sequence[str | os.PathLike[str] | ModuleType | type] = (),
        *,
        plugins_directory: str | os.PathLike[str] | None = None,
        entry_points: bool = False,
        socket_mode: int = 0o600,
        max_threads: int = 256,
        request_timeout: float = 55.0,
        callback_timeout: float = 120.0,
        grace: float = 1.0,
        watch_parent: bool = False,
    ) -> None:
        self.socket_path = Path(socket)
        self._closes_plugins = not isinstance(plugins, Plugins)
        self.plugins = (
            plugins
            if isinstance(plugins, Plugins)
            else Plugins(plugins, plugins_directory, entry_points)
        )
        self._socket_mode = socket_mode
        self._grace = grace
        self._parent = os.getppid() if watch_parent else None
        self._log = logs.get_logger()
        self._digest = logs.ErrorDigest()
        self._name = f"pluginserver-{next(_numbers)}"
        self._max_threads = max_threads
        self._request_timeout = request_timeout
        self._callback_timeout = callback_timeout
        self._life = threading.Lock()
        self._stop_requested = threading.Event()
        self._started = False
        self._greeting = notification("serverPid", os.getpid())
        self._bound: tuple[int, int] | None = None
        self._crew: Crew
        self._acceptor: threading.Thread
        super().__init__(os.fspath(self.socket_path), _Unused, bind_and_activate=False)

    # -- life

    def __enter__(self) -> PluginServer:
        self.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Load the plugins and listen; returns when clients can connect.

        :raises ListenError: when the socket cannot be had.
        :raises PluginError: when a directory of plugins does not exist.
        """
        with self._life:
            try:
                self._listen()
                self.plugins.load()
                instances = Instances(first_id(), self._digest.report)
                self._crew = Crew(
                    Methods(self.plugins, instances),
                    self._name,
                    self._max_threads,
                    self._request_timeout,
                    self._callback_timeout,
                )
            except BaseException:
                self._release()
                raise
            self._crew.start()
            self._acceptor = threading.Thread(
                target=self.serve_forever, name=f"{self._name}-acceptor", daemon=True
            )
            self._acceptor.start()
            self._started = True
        self._log.info("listening", socket=str(self.socket_path), plugins=self.plugins.names())

    def run(self) -> None:
        """Serve until :meth:`request_stop` is called, then stop; raises what :meth:`start`
        raises."""
        with self:
            self._stop_requested.wait()

    def request_stop(self) -> None:
        """Have :meth:`run` come to its end; for signal handlers, and from any thread."""
        self._stop_requested.set()

    def stop(self, grace: float | None = None) -> None:
        """Stop accepting, let running events finish, and put everything away.

        :param grace: seconds that they get, instead of the server's own.
        """
        with self._life:
            self._stop_requested.set()
            if not self._started:
                self._release()
                return
            self._started = False
            with contextlib.suppress(OSError):
                self.socket.shutdown(sockets.SHUT_RDWR)
            self.shutdown()
            self._acceptor.join()
            self._unlink()
            self._drain(self._grace if grace is None else grace)
            self._digest.flush(everything=True)
            for name in self._crew.stop():
                self._log.error(
                    f"the thread {name} could not be ended: its handler does not return"
                )
            self._release()
        self._log.info("stopped", socket=str(self.socket_path))

    def _drain(self, grace: float) -> None:
        deadline = monotonic() + grace
        tick = threading.Event()
        while not self._crew.quiet() and monotonic() < deadline:
            tick.wait(0.01)

    def _release(self) -> None:
        self._unlink()
        self.server_close()
        if self._closes_plugins:
            self.plugins.close()

    # -- the socket

    def _listen(self) -> None:
        """Bind the socket, with nobody else doing the same at the same path."""
        path = self.socket_path
        length = len(os.fsencode(path))
        if length > PATH_LIMIT:
            raise ListenError(
                f"the socket's path {path} is {length} bytes long, and {PATH_LIMIT} is the most:"
                " choose a shorter one"
            )
        try:
            with _locked(path.parent):
                self._make_way()
                os.fchmod(self.socket.fileno(), self._socket_mode)
                self.server_bind()
                self.server_activate()
                status = os.stat(path)
                self._bound = (status.st_dev, status.st_ino)
                os.chmod(path, self._socket_mode)
        except FileNotFoundError:
            raise ListenError(
                f"the directory {path.parent} for the socket does not exist: create it or choose another"
            ) from None
        except OSError as error:
            raise ListenError(f"cannot listen on {path}: {error.strerror}") from None

    def _make_way(self) -> None:
        """Remove a socket file that nobody serves."""
        path = self.socket_path
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise ListenError(f"{path} exists and is no socket: remove it or choose another path")
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
                self._log.error(f"no more connections can be accepted: {error.strerror}")
                self._stop_requested.wait(1.0)
            raise

    def process_request(self, request: Any, _client_address: Any) -> None:
        """Give a new client to the steppers; Kong is told at once which process it talks to."""
        self._crew.add(Connection(request, self._crew.poller), self._greeting)

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A client could not be served: one line, not a traceback on stderr."""
        self._log.error("a connection could not be served", exc_info=True)

    def service_actions(self) -> None:
        """Twice a second: what became overdue, and whether the parent still lives."""
        self._crew.expire(monotonic())
        self._digest.flush()
        if self._parent is not None and os.getppid() != self._parent:
            self._log.warning("the process that started this server is gone")
            self._parent = None
            self.request_stop()


class _Unused(socketserver.BaseRequestHandler):
    """What socketserver wants to be given; connections are served by the steppers."""


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other servers from looking at, removing or binding a socket in ``directory``."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
