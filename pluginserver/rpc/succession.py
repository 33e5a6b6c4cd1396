"""Who a server has taken over from, who takes over from it, one at a time and seldom; and how it ends.

Rules kept here:

* what a server gives to its successor it gives once, and a server that cannot be replaced says why;
* who is told to stop refuses new events closed, and goes on until the running ones have ended;
* two supervisors that both keep a server alive do not have their servers chase each other: who has taken
  over stays for :data:`SETTLED` seconds, unless it is told to stop.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

from .. import logs
from ..errors import LinkError, RPCError, SocketInUseError
from ..events.event import Event
from ..plugins.registry import Plugins
from ..runtime.connection import Connection, Detached
from ..runtime.listener import Listener
from ..runtime.moving import detach
from ..runtime.pool import ThreadPool
from ..runtime.requests import Peer
from .calls import Context
from .clients import Clients
from .handover import Handover, Listening
from .instances import Instances
from .link import SETTLED, Link
from .listeners import Listeners
from .methods import Methods
from .takeover import Takeover, ask

LOOK: Final = 0.01
"""Seconds between two looks, at the end."""

_log: Final = logs.get_logger()


class Succession:
    """The succession of one server.

    :param server: its listener.
    :param grace: seconds that its events get to end when a successor serves.
    :param name: what the names of the threads begin with.
    """

    def __init__(self, server: Listener, grace: float, name: str) -> None:
        self.server_pid = os.getpid()
        """The number that Kong knows the server by."""
        self.handed_over = False
        """Whether a successor serves, and nothing is left here."""
        self.told_to_stop = threading.Event()
        """Set when the server is to end, by whoever wants that, and when :attr:`handed_over` is."""
        self.listeners = Listeners()
        """What listens besides the plugin socket."""
        self._server = server
        self._grace = grace
        self._name = name
        self._pool: ThreadPool[Context]
        self._methods: Methods
        self._instances: Instances
        self._takeover: Takeover | None = None
        self._succeeded = -SETTLED
        self._lock = threading.Lock()
        self._closed = False
        self._turned_away = logs.Repeats()
        self._handover: Handover | None = None
        self.predecessor: socket.socket | None = None
        """Leads to the process whose instances and connections this one gets, as a supervisor knows."""
        self.pass_on: Callable[[Detached, int, Any], None] | None = None
        """Gets who asks to take over, with the request, where that is a supervisor's to decide."""
        self._threads: set[threading.Thread] = set()

    # -- the server that listened before

    def listen(self, load: Callable[[], None], replace: bool) -> None:
        """Listen, or find a server to take over from, with the plugins loaded.

        :param load: loads them.
        :param replace: whether to take over at all.
        :raises ListenError: when neither can be.
        """
        try:
            self._server.listen()
        except SocketInUseError:
            if not replace:
                raise
            load()
            try:
                self._takeover = ask(self._server.socket_path, self.listeners)
            except LinkError:
                self._server.listen()
            return
        if self.predecessor is not None:
            load()
            with contextlib.suppress(LinkError):  # it is gone: its clients will start all anew
                self._takeover = ask(
                    self._server.socket_path, self.listeners, Link(self.predecessor)
                )

    def take(self, plugins: Plugins, instances: Instances, clients: Clients) -> None:
        """Take what the other server has, if there is one, or the place of one that has ended meanwhile.

        :raises SocketInUseError: when it goes on.
        """
        takeover = self._takeover
        if takeover is None:
            return
        try:
            self._server.adopt(*takeover.take(plugins, instances, clients))
        except LinkError as error:
            self._give_up()
            self._listen_instead(self._server.socket_path, error)
        except BaseException:
            self._give_up()
            raise
        else:
            self.server_pid = takeover.server_pid
            self._succeeded = monotonic()
            _log.info("took over from another process", process=takeover.process)

    def _give_up(self) -> None:
        assert self._takeover is not None
        self._takeover.give_up()
        self._takeover = None

    def _listen_instead(self, path: Path, why: LinkError) -> None:
        try:
            self._server.listen()
        except SocketInUseError:
            raise SocketInUseError(
                f"another server is listening on {path}, and goes on: {why}"
            ) from None

    def serve(
        self, pool: ThreadPool[Context], methods: Methods, instances: Instances, replace: bool
    ) -> None:
        """Go on with the other server's connections, and be ready for a successor.

        :param replace: whether there may be one.
        """
        self._pool, self._methods, self._instances = pool, methods, instances
        if replace:
            methods.take_over = self._asked
        if self._takeover is not None:
            self._takeover.follow(pool, methods, f"{self._name}-takeover")

    # -- the server that comes after

    def _asked(self, peer: Peer, message_id: int, argument: Any) -> None:
        """Another server asks to take over from this one; the leader calls."""
        if not isinstance(peer, Connection):
            raise RPCError("who takes over must be connected to the socket")
        asking = detach(self._pool, peer)
        if self.pass_on is not None:
            self.pass_on(asking, message_id, argument)
        else:
            self._begin(asking, (message_id, argument), self._server)

    def hand_over(
        self, asking: socket.socket, listening: Listening, ended: Callable[[bool], None]
    ) -> None:
        """Hand over to the process at the other end of a socket, which is about to ask for it.

        :param listening: stands for the listening socket.
        :param ended: told whether that process serves now.
        """
        self._begin(Detached(asking, b"", b""), None, listening, ended)

    def _begin(
        self,
        asking: Detached,
        request: tuple[int, Any] | None,
        listening: Listening,
        ended: Callable[[bool], None] = lambda done: None,
    ) -> None:
        """Hand over on a thread of its own.

        :param request: the request's id and argument; None when it is to be read.
        """
        with self._lock:
            refusal = self._refusal()
            handover = Handover(
                asking,
                self._pool,
                self._methods,
                self._instances,
                listening,
                self.listeners,
                self._grace,
            )
            if not refusal:
                self._handover = handover
            thread = threading.Thread(
                target=self._hand_over,
                args=(handover, request, refusal, ended),
                name=f"{self._name}-handover",
                daemon=True,
            )
            self._threads.add(thread)
            thread.start()

    def _refusal(self) -> str:
        """Why nobody may take over now; empty when anybody may."""
        if self._closed:
            return "it stops"
        if self._server.bound is None and not self._server.handed:
            return "its socket is not its own, but was handed to it"
        if self._handover is not None:
            return "another process is taking over"
        settled = self._server.handed or monotonic() - self._succeeded >= SETTLED
        if not settled and not self.told_to_stop.is_set():
            return f"it has itself taken over less than {SETTLED:g} s ago"
        return ""

    def _hand_over(
        self,
        handover: Handover,
        request: tuple[int, Any] | None,
        refusal: str,
        ended: Callable[[bool], None],
    ) -> None:
        """Hand over, and have the server end when that is done; on a thread of its own."""
        about = {"Pid": self.server_pid, "Process": os.getpid()}
        try:
            done = handover.run(request, about, refusal)
        except Exception as error:
            done = handover.committed
            _log.error("a takeover failed", exc_info=error)
        if done:
            self.handed_over = True
            self.told_to_stop.set()
        with self._lock:
            if self._handover is handover:
                self._handover = None
            self._threads.discard(threading.current_thread())
        ended(done)

    # -- the end

    def linger(self, seconds: float) -> None:
        """Go on as before for a while, so that a successor finds who can tell it everything.

        It ends early when no client is connected, and late when a successor has come.
        """
        deadline = monotonic() + seconds
        while not self.handed_over:
            handover = self._handover
            if handover is not None:
                if not handover.committed and monotonic() > deadline + self._grace:
                    return
            elif not self._pool.connections or monotonic() > deadline:
                return
            sleep(LOOK)

    def drain(self, grace: float) -> None:
        """Refuse what begins, and wait for the end of what runs.

        :param grace: seconds to wait at the most.
        """
        self._methods.turn_away = self._turn_away
        deadline = monotonic() + grace
        while (now := monotonic()) < deadline:
            if self._pool.quiet(now) and self._handover is None:
                return
            sleep(LOOK)

    def _turn_away(self, event: Event) -> str:
        """Why an event that begins now is refused."""
        self._pool.counts["turned_away"] += 1
        plugin = event.handler.plugin
        repeats = self._turned_away.note(plugin)
        if repeats is not None:
            _log.warning(
                "an event was refused, because the server stops: start the next server before this one"
                " is told to, or give it -linger seconds to come",
                plugin=plugin,
                phase=event.handler.phase,
                repeats=repeats,
            )
        return "the plugin server stops"

    def close(self) -> None:
        """Let nobody take over from now on; one who serves already is waited for."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
            if self._handover is not None:
                self._handover.abort()
        for thread in threads:
            thread.join()
        if self._takeover is not None:
            self._takeover.give_up_the_rest()
        self.listeners.close()
