"""The new server's side of a takeover: it asks the old one, and goes on where that stops.

Steps for events that still run in the old server come to this one, since Kong mixes connections: they go
over the link, and the answers come back over it.  Rules kept here:

* nothing is taken before the plugins are loaded and the instances started: what fails then fails here, and
  the old server goes on;
* an instance keeps its id, since Kong goes on naming it; its object is a new one;
* a connection goes on with the bytes that the old server had read but not handled, and with those that it
  had still to send;
* when the link is gone every step that was forwarded is answered.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from pathlib import Path
from typing import Any, Final

from .. import logs
from ..errors import LinkError, PluginServerError, RPCError
from ..events.outcome import describe
from ..plugins.registry import Plugins
from ..runtime.codec import ProtocolError
from ..runtime.connection import Connection
from ..runtime.pool import ThreadPool
from ..runtime.requests import Peer
from . import replies
from .asking import asked, connect, in_use
from .calls import Context
from .clients import Clients
from .frames import packer
from .instances import Instances
from .link import Link
from .listeners import Listeners
from .methods import Methods
from .protocols import Unknown

PREPARATION: Final = 60.0
"""Seconds without a word from the old server after which it is given up."""

_log: Final = logs.get_logger()


class Takeover:
    """A takeover from one server.

    :param link: the link to it.
    :param path: the socket's path.
    :param answer: what it answered.
    :param listeners: get what listens besides the plugin socket.
    """

    def __init__(
        self, link: Link, path: Path, answer: dict[str, Any], listeners: Listeners
    ) -> None:
        self.server_pid: int = answer["Pid"]
        """The number that Kong knows the server by."""
        self.process: int = answer["Process"]
        self._known: list[list[Any]] = answer["Instances"]
        self._link = link
        self._path = path
        self._listeners = listeners
        self._plugins: Plugins
        self._instances: Instances
        self._clients: Clients
        self._pool: ThreadPool[Context]
        self._methods: Methods
        self._thread: threading.Thread
        self._numbers = itertools.count(1)
        self._forwarded: dict[int, tuple[Peer, int, str]] = {}

    # -- before this server serves

    def take(
        self, plugins: Plugins, instances: Instances, clients: Clients
    ) -> tuple[socket.socket, int, int]:
        """Start the old server's instances, and take its listening socket.

        :returns: the socket, and device and inode of its file.
        :raises SocketInUseError: when an instance cannot be started; the old server goes on.
        :raises LinkError: when the old server is gone.
        """
        self._plugins, self._instances, self._clients = plugins, instances, clients
        for known in self._known:
            self._start_or_give_up(*known)
        self._link.send("ready")
        while (frame := self._link.receive(PREPARATION)) is not None:
            if frame[0] == "instance":
                self._start_or_give_up(*frame[1:])
                self._link.send("started", frame[1], None)
            elif frame[0] == "closed":
                self._close(frame[1])
            elif frame[0] == "all":
                self._link.send("all")
            elif frame[0] == "beside":
                self._listeners.came(frame[1], socket.socket(fileno=self._link.descriptor()))
            elif frame[0] == "listener":
                return socket.socket(fileno=self._link.descriptor()), frame[1], frame[2]
        raise LinkError(f"the other server is silent for {PREPARATION:g} s")

    def _start_or_give_up(
        self, instance_id: int, plugin: str, config: Any, started: int, pid: int
    ) -> None:
        error = self._start(instance_id, plugin, config, started, pid)
        if error is not None:
            with contextlib.suppress(LinkError):
                self._link.send("started", instance_id, error)
            raise in_use(self._path, f"its instance {instance_id} cannot be started here: {error}")

    def _start(
        self, instance_id: int, plugin: str, config: Any, started: int, pid: int
    ) -> str | None:
        """Start an instance.

        :returns: why it cannot be started; None when it was.
        """
        try:
            self._instances.start_again(
                self._plugins.get(plugin), config, instance_id, started, self._clients.get(pid)
            )
        except PluginServerError as error:
            return str(error)
        except Exception as error:
            return describe(error)
        return None

    def _close(self, instance_id: int) -> None:
        with contextlib.suppress(RPCError):
            self._instances.close(instance_id)

    def give_up(self) -> None:
        """Take nothing: the old server goes on."""
        self._listeners.close()
        self._link.release()

    # -- when it serves

    def follow(self, pool: ThreadPool[Context], methods: Methods, name: str) -> None:
        """Take the connections as they come, and be the link to the events that run in the old server.

        :param name: for the thread that does it.
        """
        self._pool, self._methods = pool, methods
        methods.predecessor = self
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def give_up_the_rest(self) -> None:
        """End the link, and the thread that serves it."""
        self._link.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            while True:
                frame = self._link.receive(PREPARATION)
                if frame is not None:
                    self._handle(*frame)
        except LinkError:
            pass
        except Exception as error:
            _log.error("the link to the old server failed", exc_info=error)
        finally:
            self._link.release()
            self._methods.predecessor = None
            for number in list(self._forwarded):
                self._answer_for(number)
            _log.info("the old server has ended", process=self.process)

    def _handle(self, word: str, *arguments: Any) -> None:
        if word == "reply":
            number, data = arguments
            forwarded = self._forwarded.pop(number, None)
            if forwarded is not None:
                forwarded[0].answer(data)
        elif word == "connections":
            for unhandled, unsent in arguments[0]:
                self._add(socket.socket(fileno=self._link.descriptor()), unhandled, unsent)
        elif word == "closed":
            self._close(*arguments)
        elif word == "instance":
            threading.Thread(target=self._start_late, args=arguments, daemon=True).start()

    def _add(self, sock: socket.socket, unhandled: bytes, unsent: bytes) -> None:
        pool = self._pool
        connection = Connection(sock, pool.poller, Unknown(self._methods, b""))
        try:
            connection.restore(unhandled, unsent)
            pool.add(connection)
        except (OSError, ProtocolError) as error:
            connection.close()
            _log.error(f"a connection was lost: {error}")
            return
        pool.resumed.put(connection)
        pool.wake_poll()

    def _start_late(
        self, instance_id: int, plugin: str, config: Any, started: int, pid: int
    ) -> None:
        """Start an instance that Kong has asked the old server for; it waits for this, and so does Kong."""
        error = self._start(instance_id, plugin, config, started, pid)
        with contextlib.suppress(LinkError):
            self._link.send("started", instance_id, error)

    # -- steps for events that run in the old server

    def forward(self, peer: Peer, message_id: int, method: Any, argument: Any) -> bool:
        """Hand on a step, and have its answer sent to ``peer``.

        :returns: False when the old server is gone.
        """
        number = next(self._numbers)
        peer.expect()
        self._forwarded[number] = peer, message_id, str(argument.get("EventId"))
        try:
            self._link.send("step", number, message_id, method, argument)
        except LinkError:
            self._answer_for(number)
        return True

    def _answer_for(self, number: int) -> None:
        """Answer a step for an event that has ended with the old server."""
        forwarded = self._forwarded.pop(number, None)
        if forwarded is not None:
            peer, message_id, event_id = forwarded
            peer.answer(replies.failure(packer(), message_id, f"No running event {event_id}"))


def ask(path: Path, listeners: Listeners, link: Link | None = None) -> Takeover:
    """Ask the server that listens to let this process take over.

    :param listeners: what is wanted besides the plugin socket.
    :param link: a link to it, if there is one already.
    :raises SocketInUseError: when it does not, or does not answer in time.
    :raises LinkError: when it is gone.
    """
    link = link or connect(path)
    return Takeover(link, path, asked(link, path, {"Beside": list(listeners.wanted)}), listeners)
