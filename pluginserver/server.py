"""The server: puts the parts together, starts them and stops them.

The socket file and ``accept`` are :mod:`.runtime.listener`'s; a connection belongs to the threads of
:mod:`.runtime.pool` from the moment that it is accepted.  Rules kept here:

* nobody is served before the plugins are loaded;
* nobody waits for the log while a server runs (see :mod:`.logs.writer`);
* :meth:`PluginServer.stop` leaves no thread, descriptor, socket or file behind, and may be called
  at any time, from any thread, more than once;
* who is told to stop refuses new events closed, and keeps socket and connections until the running ones
  have ended;
* what is done from time to time is done by the clock, and an idle server wakes nobody;
* a program's ``on_error`` that fails costs a line in the log, not the event;
* a server that cannot go on asks for its own end, and says why (:attr:`PluginServer.failure`);
* a process that is forked off this one has nothing of the server.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import monotonic
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from . import logs
from .events.about import about
from .events.event import Event
from .events.wrapping import wrapping
from .plugins.refresh import follow_files
from .plugins.registry import Change, Plugins
from .plugins.sources import registry_of
from .rpc.background import Background
from .rpc.calls import Context
from .rpc.clients import Clients
from .rpc.frames import notification
from .rpc.housekeeping import Housekeeping
from .rpc.instances import Instances
from .rpc.methods import Methods
from .rpc.protocols import Unknown
from .rpc.report import figures, stacks, status, versions
from .rpc.succession import Succession
from .rpc.trust import fixed_directory, warn_of_others
from .runtime.access import AllowedUsers
from .runtime.clock import Clock
from .runtime.connection import Connection
from .runtime.forks import end_child
from .runtime.options import OptionArguments, Options, documented
from .runtime.parent import watch_parent
from .runtime.pool import ThreadPool
from .runtime.supervision import Descriptors
from .runtime.watched_listener import WatchedListener
from .runtime.worker import Worker

if TYPE_CHECKING:
    from typing_extensions import Unpack

OnError: TypeAlias = Callable[[Event, BaseException], None]
"""Called with an event and what its handler raised."""

CLOSE_TIME: Final = 2.0
"""Seconds that the plugins' ``close()`` may take together when the server stops."""
LOG_TIME: Final = 1.0
"""Seconds that the end of a server waits for somebody to read what is still in its log."""
WAKEUP: Final = "the descriptor that wakes the leader"

_log: Final = logs.get_logger()
_numbers: Final = itertools.count(1)


class PluginServer(WatchedListener):
    """Serves plugins to Kong on a Unix socket.

    As a context manager it listens when the block begins, and leaves nothing behind when it ends::

        with PluginServer("/tmp/kong/python.sock", plugins=["hello.py"]) as server:
            ...

    :param socket: the socket's path; a stale socket file there is replaced.
    :param plugins: paths of plugin files or directories, modules, or ``Plugin`` classes; or a
        registry, which the server loads when it starts, and which stays its maker's to close.
    :param plugins_directory: a directory whose plugins are loaded too, as by Kong's ``SetPluginDir``.
    :param entry_points: load the plugins of installed distributions (group ``pluginserver.plugins``).
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
        self.plugins = registry_of(plugins, plugins_directory, entry_points)
        self._digest = logs.ErrorDigest()
        self._on_error = on_error
        self._name = f"pluginserver-{next(_numbers)}"
        self._life = threading.Lock()
        self._started = False
        self.failure: str | None = None
        """Why the server cannot go on; None while it can."""
        self.left: list[str] = []
        """The names of the threads that :meth:`stop` could not end."""
        self._succession = Succession(self, self.options.grace, self._name)
        self._greeting: bytes
        self._pool: ThreadPool[Context]
        self._clock: Clock[Context]
        self._instances: Instances
        self._methods: Methods
        self._housekeeping: Housekeeping
        self._background: Background
        self.whole: Callable[[Callable[[dict[str, Any]], None]], None] = lambda answer: answer(
            self.figures()
        )
        """Gives the figures of all processes that serve the socket to its argument, once, on any thread."""
        self._reloading = threading.Lock()
        self._descriptors = Descriptors({})
        self._allowed = AllowedUsers(self.options.allow_user)
        super().__init__(Path(socket), self.options.socket_mode, self.options.socket_group)

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
        :raises RuntimeError: when this server was started, and not stopped since.
        """
        with self._life:
            if self._started:
                raise RuntimeError(f"the server of {self.socket_path} is started: stop it first")
            with contextlib.ExitStack() as undo:
                logs.WRITER.start()
                undo.callback(logs.WRITER.stop, LOG_TIME)
                undo.callback(self._put_away)
                self._succession.listen(self._load, self.options.replace)
                self._load()
                self._make(undo)
                undo.pop_all()
            self._greeting = notification("serverPid", self._succession.server_pid)
            if self.options.watch_parent:
                watch_parent(self._pool, self._orphaned, self.options.parent)
            self._clock.start()
            self._succession.serve(
                self._pool, self._methods, self._instances, self.options.replace
            )
            self.start_accepting(f"{self._name}-acceptor")
            self._descriptors = self._open_descriptors()
            self._started = True
        begun = "serving" if self.handed else "listening"
        _log.info(
            begun,
            **versions(),
            process=os.getpid(),
            socket=str(self.socket_path),
            plugins={one.name: one.version for one in self.plugins.all()},
        )
        warn_of_others(self.socket_path.parent, self.plugins.directory)

    def _make(self, undo: contextlib.ExitStack) -> None:
        """Make the parts, and take what there is to take from a server that listens.

        :param undo: gets what is to be done if anything fails.
        """
        self._pool = ThreadPool(_worker, self._name, self.options)
        undo.callback(self._pool.close)
        self._background = Background(lambda errand: self._pool.submit(errand, monotonic()))
        plain = self.options.round_trips == "plain"
        self._instances = Instances(
            self._failed, self._background, self.options.replace, plain, wrapping(self.options)
        )
        clients = Clients(self._pool.watch)
        self._housekeeping = Housekeeping(
            self._instances, clients, self.options.instance_timeout, self._pool.counts
        )
        self._methods = Methods(
            self.plugins,
            self._instances,
            self._pool,
            clients=clients,
            fixed_directory=fixed_directory(self.options, self.handed),
        )
        self._methods.figures = lambda answer: self.whole(answer)
        self._clock = Clock(self._pool, f"{self._name}-clock", self._from_time_to_time)
        self._succession.take(self.plugins, self._instances, clients)

    def _load(self) -> None:
        process = os.getpid()
        self.plugins.load()
        if os.getpid() != process:
            end_child("a plugin that was loaded")

    def run(self) -> None:
        """Serve until :meth:`request_stop` is called, linger, then stop; raises what :meth:`start`
        raises."""
        with self:
            self.wait()
            self.linger()

    def wait(self) -> None:
        """Wait until :meth:`request_stop` is called, or another server has taken over."""
        self._succession.told_to_stop.wait()

    def linger(self) -> None:
        """Go on as before for ``linger`` seconds, if clients are connected; after :meth:`wait`."""
        if self.failure is None:
            self._succession.linger(self.options.linger)

    def reload(self, changed: Iterable[str | os.PathLike[str]] = ()) -> list[Change]:
        """Load the plugins whose files have changed, beside the code that runs; from any thread.

        Running events end on the old code.  The next event for an instance of a plugin that was loaded
        anew has Kong start a new one.  A plugin that cannot be loaded leaves its old version serving, and so
        does one whose file is gone.  What happens is logged.

        :param changed: files that changed, besides those whose time stamp tells it.
        :returns: what became of the plugins, in order.
        """
        with self._reloading:
            if not self._started:
                return follow_files(self.plugins, changed)
            return follow_files(self.plugins, changed, self._instances.retire)

    def request_stop(self) -> None:
        """Have :meth:`run` come to its end; for signal handlers, and from any thread."""
        self._succession.told_to_stop.set()

    def stop(self, grace: float | None = None) -> None:
        """Let running events finish, and put everything away.

        Until they have, clients can still connect, and are answered: new events with their refusal.

        :param grace: seconds that running events get, instead of the server's own.
        """
        with self._life:
            self._succession.told_to_stop.set()
            if not self._started:
                self._put_away()
                return
            self._started = False
            if not self._succession.handed_over:
                self._succession.drain(self.options.grace if grace is None else grace)
            self._succession.close()
            self.stop_accepting()
            self._close_instances()
            self._digest.flush(everything=True)
            self._pool.notices.flush(everything=True)
            self.left = self._clock.stop()
            for name in self.left:
                _log.error(f"the thread {name} could not be ended: its handler does not return")
            self._put_away()
            _log.info("stopped", socket=str(self.socket_path))
            logs.WRITER.stop(LOG_TIME)

    def log_stacks(self) -> None:
        """Write the stacks of every thread and of every suspended event to the log, one line each."""
        for what, stack in stacks(self._pool if self._started else None):
            _log.info(f"stack of {what}", frames=stack)

    @property
    def succession(self) -> Succession:
        """Who it takes over from, and who takes over from it."""
        return self._succession

    def status(self) -> dict[str, Any]:
        """What there is: plugins, instances, events, threads, placements, counts; while it serves."""
        return status(self.plugins, self._instances, self._pool) if self._started else {}

    def figures(self) -> dict[str, Any]:
        """What has been counted since the start, as :func:`~.rpc.report.figures` has it; while it serves."""
        if not self._started:
            return {}
        ready = not self._succession.told_to_stop.is_set()
        return figures(self.plugins, self._instances, self._pool, ready)

    def log_status(self) -> None:
        """Write :meth:`status` to the log."""
        if self._started:
            _log.info("status", **self.status())

    def lost(self, what: str) -> None:
        """Ask for the end: other code in the process has closed a descriptor of the server's."""
        if self.failure is None and not self._succession.told_to_stop.is_set():
            self.failure = (
                f"{what} was closed by other code in this process: find the plugin that does it"
            )
            _log.critical(f"the server ends: {self.failure}")
            self.request_stop()

    def forked(self) -> None:
        """Have nothing of the parent's server; this is a child."""
        self._started = False
        self._life = threading.Lock()
        super().forked()

    def _supervise(self) -> None:
        what = self._descriptors.lost()
        if what == WAKEUP:
            _log.error(f"{what} was closed by other code in this process: another one is opened")
            self._pool.counts["wakeups_renewed"] += 1
            self._pool.renew_wakeup()
            self._descriptors = self._open_descriptors()
        elif what is not None:
            self.lost(what)

    def _open_descriptors(self) -> Descriptors:
        return Descriptors(
            {
                **self.descriptors(),
                "the poller": self._pool.poller.fileno(),
                WAKEUP: self._pool.wakeup,
            }
        )

    def _close_instances(self) -> None:
        """Let the plugins' objects put away what they hold."""
        self._instances.close_all()
        if not self._background.wait(CLOSE_TIME):
            _log.warning("not every plugin could close its instances before the server stopped")

    def _put_away(self) -> None:
        self.release()
        if self._closes_plugins:
            self.plugins.close()

    def _failed(self, event: Event, error: BaseException) -> None:
        """Tell whoever wants to know what a handler raised."""
        fields = about(event)
        if self._on_error is None:
            self._digest.report(error, **fields)
            return
        try:
            self._on_error(event, error)
        except Exception as failure:
            _log.error("on_error failed", exc_info=failure, **fields)

    def _from_time_to_time(self) -> float | None:
        """What the clock has done for us; returns in how many seconds again at the latest."""
        self._supervise()
        delays = [self._digest.flush(), self._housekeeping.look(monotonic())]
        return min((delay for delay in delays if delay is not None), default=None)

    # -- what socketserver calls

    def verify_request(self, request: Any, _client_address: Any) -> bool:
        """Whether a new client's user may connect."""
        return self._allowed.admits(request, self._pool.counts)

    def process_request(self, request: Any, _client_address: Any) -> None:
        """Give a new client to the leader; a client of MsgPack:1 is told later which process it talks to."""
        if self._pool.is_full():
            request.close()
            return
        codec = Unknown(self._methods, self._greeting)
        connection = Connection(request, self._pool.poller, codec)
        connection.half_since = monotonic()
        try:
            self._pool.add(connection)
        except (OSError, ValueError):
            self._supervise()
            raise
        if self._pool.dozing:
            self._pool.wake_clock()

    def _orphaned(self) -> None:
        _log.warning("the process that started this server is gone")
        self.request_stop()


def _worker(pool: ThreadPool[Context], name: str, group: str) -> Worker[Context]:
    return Worker(pool, name, group, Context())


PluginServer.__doc__ = documented(PluginServer.__doc__)
