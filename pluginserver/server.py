"""The server: puts the parts together, starts them and stops them.

The socket file and ``accept`` are :mod:`.runtime.listener`'s; a connection belongs to the threads of
:mod:`.runtime.pool` from the moment that it is accepted.  Rules kept here:

* nobody is served before the plugins are loaded;
* :meth:`PluginServer.stop` leaves no thread, descriptor, socket or file behind, and may be called
  at any time, from any thread, more than once;
* what is done from time to time is done by the clock, and an idle server wakes nobody;
* a program's ``on_error`` that fails costs a line in the log, not the event.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from . import logs
from .events.event import Event
from .plugins.registry import Plugins
from .rpc.calls import Context
from .rpc.frames import notification
from .rpc.instances import Instances
from .rpc.messagepack import MessagePack
from .rpc.methods import Methods, first_id
from .runtime.clock import Clock
from .runtime.connection import Connection
from .runtime.listener import Listener
from .runtime.options import OptionArguments, Options, documented
from .runtime.parent import watch_parent
from .runtime.pool import ThreadPool
from .runtime.worker import Worker

if TYPE_CHECKING:
    from typing_extensions import Unpack

OnError: TypeAlias = Callable[[Event, BaseException], None]
"""Called with an event and what its handler raised."""

_log: Final = logs.get_logger()
_numbers: Final = itertools.count(1)


class PluginServer(Listener):
    """Serves plugins to Kong on a Unix socket.

    As a context manager it listens when the block begins, and leaves nothing behind when it ends::

        with PluginServer("/tmp/kong/python.sock", plugins=["hello.py"]) as server:
            ...

    :param socket: the socket's path; a stale socket file there is replaced.
    :param plugins: paths of plugin files or directories, modules, or ``Plugin`` classes; or a
        registry, which the server loads when it starts, and which stays its maker's to close.
    :param plugins_directory: a directory whose plugins are loaded too, as Kong's ``SetPluginDir``
        does.
    :param entry_points: load the plugins of installed distributions (group
        ``pluginserver.plugins``).
    :param on_error: called with the event and the exception for every exception that a handler
        raises, in the handler's thread, before Kong is told; it must not block. Default: the log
        gets each distinct one once a minute, with a count.
    :raises ValueError: when an option cannot work, or a registry is given with more sources.
    """

    def __init__(
        self,
        socket: str | os.PathLike[str],
        plugins: Plugins | Sequence[str | os.PathLike[str] | ModuleType | type] = (),
        *,
        plugins_directory: str | os.PathLike[str] | None = None,
        entry_points: bool = False,
        on_error: OnError | None = None,
        **options: Unpack[OptionArguments],
    ) -> None:
        self.options = Options(**options)
        self._closes_plugins = not isinstance(plugins, Plugins)
        self.plugins = _registry(plugins, plugins_directory, entry_points)
        self._digest = logs.ErrorDigest()
        self._on_error = on_error
        self._name = f"pluginserver-{next(_numbers)}"
        self._life = threading.Lock()
        self._stop_requested = threading.Event()
        self._started = False
        self._greeting = notification("serverPid", os.getpid())
        self._pool: ThreadPool[Context]
        self._clock: Clock[Context]
        self._methods: Methods
        super().__init__(Path(socket), self.options.socket_mode)

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
                self.listen()
                self.plugins.load()
                instances = Instances(first_id(), self._failed)
                self._pool = ThreadPool(_worker, self._name, self.options)
                self._methods = Methods(self.plugins, instances, self._pool)
                self._clock = Clock(self._pool, f"{self._name}-clock", self._digest.flush)
            except BaseException:
                self._put_away()
                raise
            if self.options.watch_parent:
                watch_parent(self._pool, self._orphaned)
            self._clock.start()
            self.start_accepting(f"{self._name}-acceptor")
            self._started = True
        _log.info("listening", socket=str(self.socket_path), plugins=self.plugins.names())

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
                self._put_away()
                return
            self._started = False
            self.stop_accepting()
            self._drain(self.options.grace if grace is None else grace)
            self._digest.flush(everything=True)
            self._pool.notices.flush(everything=True)
            for name in self._clock.stop():
                _log.error(f"the thread {name} could not be ended: its handler does not return")
            self._put_away()
        _log.info("stopped", socket=str(self.socket_path))

    def _drain(self, grace: float) -> None:
        deadline = monotonic() + grace
        tick = threading.Event()
        while not self._pool.quiet() and monotonic() < deadline:
            tick.wait(0.01)

    def _put_away(self) -> None:
        self.release()
        if self._closes_plugins:
            self.plugins.close()

    def _failed(self, event: Event, error: BaseException) -> None:
        """Tell whoever wants to know what a handler raised."""
        handler = event.handler
        about: dict[str, Any] = {
            "plugin": handler.plugin,
            "phase": handler.phase,
            "instance": handler.instance_id,
            "event": event.id,
        }
        if self._on_error is None:
            self._digest.report(error, **about)
            return
        try:
            self._on_error(event, error)
        except Exception as failure:
            _log.error("on_error failed", exc_info=failure, **about)

    # -- what socketserver calls

    def process_request(self, request: Any, _client_address: Any) -> None:
        """Give a new client to the leader; Kong is told at once which process it talks to."""
        if self._pool.is_full():
            request.close()
            return
        connection = Connection(request, self._pool.poller, MessagePack(self._methods))
        connection.send(self._greeting)
        self._pool.add(connection)

    def _orphaned(self) -> None:
        _log.warning("the process that started this server is gone")
        self.request_stop()


def _worker(pool: ThreadPool[Context], name: str, group: str) -> Worker[Context]:
    return Worker(pool, name, group, Context())


def _registry(
    plugins: Plugins | Sequence[str | os.PathLike[str] | ModuleType | type],
    directory: str | os.PathLike[str] | None,
    entry_points: bool,
) -> Plugins:
    """The registry that was given, or one of the sources that were.

    :raises ValueError: for both.
    """
    if not isinstance(plugins, Plugins):
        place = None if directory is None else Path(directory)
        return Plugins(plugins, directory=place, entry_points=entry_points)
    if directory is not None or entry_points:
        raise ValueError(
            "a registry knows its own sources: give no plugins_directory or entry_points"
        )
    return plugins


PluginServer.__doc__ = documented(PluginServer.__doc__)
