"""The old server's side of a takeover: it gives what it has to its successor, and serves what it still runs.

In this order: the successor is told the instances; when it is ready it is told those that were started
meanwhile, then it gets the listening socket, then the connections, each when no request of it is being
worked on.  Steps for events that still run here come over the link from then on.  It is over when no
connection and no event is left; or when the time is, and what still ran then is refused.  Rules kept here:

* until the listening socket is sent the server goes on as if nothing was asked, and so it does when
  anything fails before that;
* an instance that starts after the successor was told all is answered to Kong when the successor has it;
* of a frame that moves a connection the socket is closed here once it is sent;
* the link is closed last: what is refused is answered over it, and its connections still move.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol

from .. import logs
from ..errors import LinkError, RPCError
from ..runtime.connection import Detached
from ..runtime.moving import Mover
from ..runtime.pings import ponged
from ..runtime.pool import ThreadPool
from ..runtime.requests import Pong
from . import replies
from .calls import Context
from .frames import packer
from .instance import Instance
from .instances import Instances
from .link import BATCH, VERSION, Link, user_of
from .listeners import Listeners
from .methods import Methods

PREPARATION: Final = 60.0
"""Seconds that a successor gets to load its plugins and start the instances; as long as Kong waits for an
answer."""

REFUSAL: Final = 2.0
"""Seconds, at the end, until what still ran is refused and its connections have moved: twenty rounds of the
clock, which refuses it."""

LOOK: Final = 0.01
"""Seconds between two looks whether anything is left here."""

SPARE: Final = 64
"""Descriptors that a successor must be able to open beyond those of the connections."""

_log: Final = logs.get_logger()


class Listening(Protocol):
    """The listening socket of this server."""

    def suspend(self) -> tuple[socket.socket, int, int]:
        """Accept nobody for now.

        :returns: the socket, and device and inode of its file.
        """

    def go_on(self) -> None:
        """Accept again: the successor did not get it."""

    def let_go(self) -> None:
        """The file is another server's from now on."""


class _Caller:
    """Who has sent a step over the link."""

    pid: Final = 0

    def __init__(self, handover: Handover, number: int) -> None:
        self._handover = handover
        self._number = number

    def send(self, data: bytes, asked: int = 0) -> bool:
        """Not counted: nothing was begun for it."""
        return self._handover.reply(self._number, data)

    def expect(self) -> None:
        """Count it; on the thread of the link."""
        self._handover.running.add(self._number)

    def answer(self, data: bytes, asked: int = 0) -> bool:
        """Send the reply, and count it out."""
        sent = self._handover.reply(self._number, data)
        self._handover.running.discard(self._number)
        return sent


class Handover:
    """One try of one successor.

    :param asking: the connection of the successor.
    :param pool: the server's threads.
    :param methods: what can be called; steps that come over the link are read by it.
    :param instances: the server's instances.
    :param listening: its listening socket.
    :param listeners: what listens besides it.
    :param grace: seconds that events get to end here, once the successor serves.
    """

    def __init__(
        self,
        asking: Detached,
        pool: ThreadPool[Context],
        methods: Methods,
        instances: Instances,
        listening: Listening,
        listeners: Listeners,
        grace: float,
    ) -> None:
        self._pool = pool
        self._methods = methods
        self._instances = instances
        self._listening = listening
        self._listeners = listeners
        self._grace = grace
        self._asking = asking
        self._link = Link(asking.socket, asking.unhandled)
        self._mover = Mover(pool, self._send_connections)
        self._deciding = threading.Lock()
        self._told = threading.Lock()
        self._known: set[int] = set()
        self._acknowledged: dict[int, tuple[threading.Event, list[str]]] = {}
        self.running: set[int] = set()
        """The steps that came over the link and are not answered yet."""
        self.committed = False
        """Whether the listening socket is the successor's."""

    def run(self, request: tuple[int, Any] | None, answer: dict[str, Any], refusal: str) -> bool:
        """Hand over to who asks; returns when it is over.

        :param request: the id of its request, and what it says of itself; None when it is still to come.
        :param answer: what it is told, beside the instances.
        :param refusal: why it is refused; empty when it is not.
        :returns: whether it serves now.
        """
        try:
            message_id, argument = request or self._request()
            refusal = refusal or self._unfit(argument)
            if refusal:
                _log.warning(f"another server may not take over: {refusal}")
                self._link.send(1, message_id, refusal, None)
                return False
            known = [_told(instance) for instance in self._remember(self._instances.all())]
            self._link.send(1, message_id, None, {**answer, "Instances": known})
            self._give(argument["Pid"], argument.get("Beside", ()))
            self._serve()
        except LinkError as error:
            if not self.committed:
                _log.warning(f"the takeover failed, this server goes on: {error}")
        finally:
            if self._instances.follower is self:
                self._instances.follower = None
            self._link.close()
            for event, _ in list(self._acknowledged.values()):
                event.set()
            self._link.release()
        return self.committed

    def abort(self) -> None:
        """Have :meth:`run` come to its end if the successor does not serve yet; from any thread."""
        with self._deciding:
            if not self.committed:
                self._link.close()

    def _unfit(self, argument: Any) -> str:
        """Why who asks cannot take over; empty when it can."""
        if type(argument) is not dict or (
            argument.get("Version"),
            *map(type, (argument.get("Pid"), argument.get("Descriptors"))),
        ) != (VERSION, int, int):
            return "the two servers are of different versions"
        if user_of(self._asking.socket) != os.geteuid():
            return "it is another user's process"
        if "Processes" in argument:
            return f"it has {argument['Processes']} processes and this server one: stop this one first"
        needed = len(self._pool.connections) + SPARE
        if argument["Descriptors"] < needed:
            return f"it may open {argument['Descriptors']} files, and {needed} are needed"
        return ""

    # -- before the successor serves

    def _request(self) -> tuple[int, Any]:
        """What the successor asks, once it has loaded its plugins.

        :raises LinkError: when it does not.
        """
        frame = self._link.receive(PREPARATION)
        if frame is None or frame[0] != 0:
            raise LinkError(f"the other server did not ask in {PREPARATION:g} s")
        _, message_id, _method, params = frame
        return message_id, params[0]

    def _give(self, pid: int, beside: Sequence[str]) -> None:
        self._expect("ready", PREPARATION)
        with self._told:
            self._instances.follower = self
            for instance in self._remember(self._instances.all()):
                self._link.send("instance", *_told(instance))
            for number in self._known - {one.id for one in self._instances.all()}:
                self._link.send("closed", number)
        self._link.send("all")
        self._expect("all", PREPARATION)
        with self._deciding:
            listening, device, inode = self._listening.suspend()
            try:
                with self._listeners.handing_on(beside) as others:
                    for address, other in others.items():
                        self._link.send("beside", address, descriptors=[other.fileno()])
                    self._link.send("listener", device, inode, descriptors=[listening.fileno()])
            except LinkError:
                self._listening.go_on()
                raise
            self.committed = True
        self._listening.let_go()
        _log.info("another process serves from now on", process=pid)
        self._mover.start()

    def _expect(self, word: str, timeout: float) -> None:
        """Wait for a frame.

        :raises LinkError: when it does not come, or an instance could not be started.
        """
        deadline = monotonic() + timeout
        while (left := deadline - monotonic()) > 0:
            frame = self._link.receive(left)
            if frame is None:
                break
            if frame[0] == word:
                return
            if frame[0] == "started":
                self._acknowledge(*frame[1:])
                if frame[2] is not None:
                    raise LinkError(f"an instance cannot be started there: {frame[2]}")
        raise LinkError(f"the other server did not get ready in {timeout:g} s")

    def _remember(self, instances: list[Instance]) -> list[Instance]:
        """Those of some instances that the successor has not been told; it is, from now on."""
        new = [one for one in instances if one.id not in self._known]
        self._known.update(one.id for one in new)
        return new

    # -- instances that come and go meanwhile, on the threads of their requests

    def started(self, instance: Instance) -> None:
        """Have the successor start it too, and wait until it has.

        :raises RPCError: when it cannot.
        """
        acknowledged = threading.Event()
        errors: list[str] = []
        self._acknowledged[instance.id] = acknowledged, errors
        try:
            with self._told:
                if not self._remember([instance]):
                    return
                self._link.send("instance", *_told(instance))
            acknowledged.wait(PREPARATION)
        except LinkError:
            return
        finally:
            del self._acknowledged[instance.id]
        if errors and self.committed:
            raise RPCError(errors[0])

    def closed(self, instance_id: int) -> None:
        """Have the successor close it too."""
        try:
            with self._told:
                self._link.send("closed", instance_id)
        except LinkError:
            return

    def _acknowledge(self, instance_id: int, error: str | None) -> None:
        waiting = self._acknowledged.get(instance_id)
        if waiting is not None:
            event, errors = waiting
            if error is not None:
                errors.append(error)
            event.set()

    # -- when the successor serves

    def _send_connections(self, moved: list[Detached]) -> None:
        """Send connections; on the leader."""
        try:
            for start in range(0, len(moved), BATCH):
                batch = moved[start : start + BATCH]
                self._link.send(
                    "connections",
                    [[one.unhandled, one.unsent] for one in batch],
                    descriptors=[one.socket.fileno() for one in batch],
                )
        except LinkError as error:
            _log.error(f"{len(moved)} connections were lost: {error}")
        finally:
            for one in moved:
                one.socket.close()

    def _serve(self) -> None:
        """Serve the steps that come over the link until nothing is left here, or the time is over."""
        self._serve_while(self._something_is_left, self._grace)
        if self._something_is_left():
            self._pool.refuse_all("the plugin server stops")
            self._serve_while(self._something_is_owed, REFUSAL)

    def _serve_while(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = monotonic() + seconds
        while condition() and monotonic() < deadline:
            frame = self._link.receive(LOOK)
            if frame is None:
                continue
            if frame[0] == "step":
                self._step(*frame[1:])
            elif frame[0] == "started":
                self._acknowledge(*frame[1:])

    def _something_is_left(self) -> bool:
        """Whether a connection is not moved, or an event not over; on the thread of the link."""
        return bool(
            self._something_is_owed()
            or self._pool.waiting
            or self._pool.in_flight
            or self._methods.predecessor is not None
        )

    def _something_is_owed(self) -> bool:
        """Whether a connection is not moved, or a step not answered; on the thread of the link."""
        return not self._mover.done or bool(self.running)

    def _step(self, number: int, message_id: int, method: Any, argument: Any) -> None:
        caller = _Caller(self, number)
        try:
            request = self._methods.read(caller, message_id, method, [argument])
        except RPCError as error:
            caller.send(replies.failure(packer(), message_id, str(error)))
            return
        if isinstance(request, Pong):
            caller.expect()
            self._pool.calls.put(partial(ponged, self._pool, request))
            self._pool.wake_poll()
        elif request is not None and request.task is not None:
            caller.expect()
            self._pool.hand_over(request, monotonic())
            if self._pool.dozing:
                self._pool.wake_clock()

    def reply(self, number: int, data: bytes) -> bool:
        """Send what a step is answered; from any thread.

        :returns: False when the successor is gone, and its clients with it.
        """
        try:
            self._link.send("reply", number, data)
        except LinkError:
            return False
        return True


def _told(instance: Instance) -> list[Any]:
    """What a successor must know of an instance."""
    client = instance.client
    pid = client.pid if client.alive else 0
    return [instance.id, instance.plugin, instance.asked.text, instance.started, pid]
