"""A server that is one of several processes: led by a supervisor, which hands it its clients.

Rules kept here:

* when the supervisor is gone this process ends, and removes the socket file, at which nobody listens then;
  one that does not serve yet ends at once;
* it is led on a thread of its own, so that a sign of life says only that the interpreter runs.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from .. import logs
from ..errors import LinkError
from ..rpc.link import Link
from ..runtime.connection import Detached
from ..server import PluginServer
from ..supervisor.heritage import Heritage
from .exit import end_within, leave_at_once
from .serve import Settings, serve, stop_time

PATIENCE: Final = 86_400.0
"""Seconds to wait for the next word of the supervisor, before waiting again."""

OPEN: Final = 32
"""Questions to the supervisor that may wait for answers; with more, this process answers for itself."""

_log: Final = logs.get_logger()


def serve_as_member(server: PluginServer, settings: Settings, heritage: Heritage) -> None:
    """Run a server until the supervisor has it stopped, or is gone; raises what ``serve`` raises."""
    server.receive_from(heritage.clients, heritage.path)
    led = _Led(server, heritage)
    serve(server, settings, begun=led.begin, started=led.ready)


class _Led:
    """The member's end of the link.

    :param server: what is led.
    :param heritage: what the supervisor gave.
    """

    def __init__(self, server: PluginServer, heritage: Heritage) -> None:
        self._server = server
        self._bound = heritage.bound
        self._serves = False
        self._link = Link(_given(heritage.link))
        self._shared = _Shared(server, 0, self._tell)
        self._actions: dict[str, Callable[..., object]] = {
            "beat": self._beat,
            "bound": self._note_bound,
            "reload": lambda: self._beside(self._reload),
            "status": lambda: self._beside(self._status),
            "figures": lambda question: self._tell("figures", question, server.figures()),
            "whole": self._whole,
            "stacks": lambda: self._beside(server.log_stacks),
            "stop": self._stop,
            "hand over": self._hand_over,
            "commit": self._commit,
        }
        self._surveys: dict[int, Callable[[dict[str, Any]], None]] = {}
        """Who waits for the figures of all processes."""
        self._numbers = itertools.count(1)
        server.whole = self._survey
        server.succession.pass_on = self._pass_on
        if heritage.predecessor is not None:
            server.succession.predecessor = _given(heritage.predecessor)

    def begin(self) -> None:
        """Listen to the supervisor, on a thread."""
        threading.Thread(target=self._run, name="pluginserver-led", daemon=True).start()

    def ready(self) -> None:
        """Say that clients may come."""
        self._serves = True
        self._tell("ready")

    def _run(self) -> None:
        try:
            while True:
                frame = self._link.receive(PATIENCE)
                if frame is not None:
                    word, *arguments = frame
                    self._actions[word](*arguments)
        except LinkError:
            self._orphaned()
        except Exception as error:
            _log.critical("this process cannot be led any more, and ends", exc_info=error)
            self._stop()

    def _orphaned(self) -> None:
        _log.warning("the supervisor of this process is gone")
        if not self._serves:
            leave_at_once(1)
        if self._bound is not None:
            self._server.succeed(*self._bound)
        self._shared.decide(False)
        self._stop()

    def _beat(self) -> None:
        self._tell("beat", self._server.status().get("connections", 0))

    def _note_bound(self, device: int, inode: int) -> None:
        self._bound = device, inode

    def _stop(self) -> None:
        self._server.request_stop()
        end_within(stop_time(self._server.options), 1)

    def _reload(self) -> None:
        try:
            self._server.reload()
        finally:
            self._tell("reloaded")

    def _status(self) -> None:
        self._tell("status", self._server.status())

    def _survey(self, answer: Callable[[dict[str, Any]], None]) -> None:
        """Ask the supervisor for the figures of all processes; from any thread."""
        if len(self._surveys) >= OPEN:  # the supervisor hangs
            answer(self._server.figures())
            return
        number = next(self._numbers)
        self._surveys[number] = answer
        try:
            self._link.send("survey", number)
        except LinkError:  # the supervisor is gone
            self._whole(number, self._server.figures())

    def _whole(self, number: int, figures: dict[str, Any]) -> None:
        answer = self._surveys.pop(number, None)
        if answer is not None:
            answer(figures)

    def _pass_on(self, asking: Detached, message_id: int, argument: Any) -> None:
        """Give the supervisor who asks to take over."""
        with contextlib.suppress(LinkError), asking.socket as sock:
            self._link.send("take over", message_id, argument, descriptors=[sock.fileno()])

    def _hand_over(self, number: int) -> None:
        self._shared = _Shared(self._server, number, self._tell)
        asking = socket.socket(fileno=self._link.descriptor())
        self._server.succession.hand_over(
            asking, self._shared, lambda done: self._tell("handed over", number, done)
        )

    def _commit(self, number: int, agreed: bool) -> None:
        if agreed:
            self._bound = None  # the file is another server's
        if number == self._shared.number:
            self._shared.decide(agreed)

    def _beside(self, function: Callable[[], object]) -> None:
        """Do what may take its time on a thread."""
        threading.Thread(target=function, name="pluginserver-led-by", daemon=True).start()

    def _tell(self, *frame: Any) -> None:
        with contextlib.suppress(LinkError):
            self._link.send(*frame)


class _Shared:
    """The listening of all processes together: one of them gives it away when all can.

    :param server: the server of this process.
    :param number: which try of a successor it is for.
    :param tell: tells the supervisor.
    """

    def __init__(self, server: PluginServer, number: int, tell: Callable[..., None]) -> None:
        self.number = number
        self._server = server
        self._tell = tell
        self._decisions: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def decide(self, agreed: bool) -> None:
        """Say whether all processes can hand over."""
        self._decisions.put(agreed)

    def suspend(self) -> tuple[socket.socket, int, int]:
        """Take no more clients, as soon as all can do so.

        :raises LinkError: when one cannot.
        """
        self._tell("prepared", self.number)
        if not self._decisions.get():
            raise LinkError("not every process can hand over")
        return self._server.suspend()

    def go_on(self) -> None:
        """Take clients again."""
        self._server.go_on()

    def let_go(self) -> None:
        """There is nothing to let go: the supervisor has the socket file."""


def _given(descriptor: int) -> socket.socket:
    """A socket that this process was given, and its children are not."""
    given = socket.socket(fileno=descriptor)
    given.set_inheritable(False)
    return given
