"""The link between two servers of which the new one takes over from the old one.

It is a connection to the old server's socket: the new one asks with a request, ``pluginserver.TakeOver``,
and after the response both sides send frames of their own, MessagePack arrays that begin with a word:

    old -> new   ["instance", id, plugin, config, started, pid]   start this again, for that process
                 ["closed", id]                                   close it
                 ["all"]                                          that was all for now
                 ["beside", address]                              with the descriptor of what listens there
                 ["listener", device, inode]                      with the listening socket's descriptor
                 ["connections", [[unhandled, unsent], ..]]       with a descriptor for each
                 ["reply", number, bytes]                         what to send for a step
    new -> old   ["ready"]                                        its plugins are loaded
                 ["started", id, error | nil]                     an instance was started, or why not
                 ["all"]                                          all before "all" are started
                 ["step", number, msgid, method, argument]        a step for an event that runs there

Rules kept here:

* whoever sends may be any thread, whoever receives is one;
* a descriptor arrives before the frame that it belongs to is complete, in the order of the frames;
* what cannot be sent in :data:`TIMEOUT` breaks the link, and a broken link says so at once, for ever;
* received descriptors are closed with the link unless they were taken, and in each child that is forked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgpack

from ..errors import LinkError
from ..runtime.forks import close_in_children
from ..runtime.processes import credentials

TAKE_OVER: Final = "pluginserver.TakeOver"
"""The method by which a new server asks the one that listens."""

VERSION: Final = 1
"""Of the frames; two servers of different versions do not take over from each other."""

SETTLED: Final = 30.0
"""Seconds for which a server that has taken over lets no other one take over; whatever starts its server
again every second gives up, or has somebody look, before that."""

BATCH: Final = 200
"""Descriptors in one message; Linux takes 253 at the most."""

TIMEOUT: Final = 5.0
"""Seconds that the other side gets to take what is sent."""

_INT: Final = struct.Struct("i")

READ_SIZE: Final = 65_536
PAUSE: Final = 0.001
"""Seconds between two tries when too many descriptors are on their way."""


def user_of(sock: socket.socket) -> int:
    """The user of the process at the other end, which for a listening socket is who made it."""
    return credentials(sock)[1]


class Link:
    """One end.

    :param sock: the connection; it belongs to this object from now on.
    :param received: what was read from it before.
    """

    def __init__(self, sock: socket.socket, received: bytes = b"") -> None:
        sock.settimeout(TIMEOUT)
        self._socket = sock
        self._sending = threading.Lock()
        self._broken = False
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._unpacker = msgpack.Unpacker(
            raw=False,
            unicode_errors="surrogateescape",
            strict_map_key=False,
            max_buffer_size=0,
        )
        self._unpacker.feed(received)
        self._descriptors: deque[int] = deque()
        close_in_children(self)

    def fileno(self) -> int:
        """Readable when something has come, or the other end is closed."""
        return self._socket.fileno()

    def send(self, *frame: Any, descriptors: Sequence[int] = ()) -> None:
        """Send a frame; from any thread.

        :param descriptors: what travels with it; they stay open here.
        :raises LinkError: when the link is broken.
        """
        data: bytes = msgpack.packb(frame, unicode_errors="surrogateescape")
        with self._sending:
            if self._broken:
                raise LinkError("the link is broken")
            try:
                if descriptors:
                    data = data[self._send_descriptors(data, descriptors) :]
                self._socket.sendall(data)
            except OSError as error:
                self._break()
                raise LinkError(f"the other server is gone: {error}") from None

    def _send_descriptors(self, data: bytes, descriptors: Sequence[int]) -> int:
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                return socket.send_fds(self._socket, [data], descriptors)
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS or time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE)

    def receive(self, timeout: float) -> list[Any] | None:
        """The next frame; on one thread.

        :param timeout: seconds to wait for bytes.
        :returns: None when none has come whole.
        :raises LinkError: when the link is broken, or the other end closed.
        """
        while True:
            try:
                frame = next(self._unpacker, None)
            except ValueError as error:
                raise self._failed(f"what came is no frame: {error}") from None
            if frame is not None:
                if type(frame) is list and frame:
                    return frame
                raise self._failed("what came is no frame")
            if self._broken:
                raise LinkError("the link is broken")
            if not self._poll.poll(timeout * 1000):
                return None
            self._read()

    def _read(self) -> None:
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(
                READ_SIZE, socket.CMSG_SPACE(BATCH * _INT.size), socket.MSG_CMSG_CLOEXEC
            )
        except OSError as error:
            raise self._failed(str(error)) from None
        for _level, _kind, packed in ancillary:
            self._descriptors.extend(number for (number,) in _INT.iter_unpack(packed))
        if flags & socket.MSG_CTRUNC:
            raise self._failed("descriptors were lost: raise the limit of open files")
        if not data:
            raise self._failed("it has closed the link")
        self._unpacker.feed(data)

    def descriptor(self) -> int:
        """Take the next descriptor that came.

        :raises LinkError: when there is none.
        """
        if not self._descriptors:
            raise self._failed("a descriptor is missing")
        return self._descriptors.popleft()

    def close(self) -> None:
        """End the link; from any thread: what the other one waits for fails there."""
        with self._sending:
            self._break()

    def _failed(self, why: str) -> LinkError:
        self.close()
        return LinkError(f"the other server is gone: {why}")

    def _break(self) -> None:
        self._broken = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def forked(self) -> None:
        """Close what belongs to the parent, where the link goes on; this is a child."""
        self._broken = True
        for number in self._descriptors:
            os.close(number)
        self._socket.close()

    def release(self) -> None:
        """Close all that is left; on the thread that receives, when it does so no more."""
        self.close()
        while self._descriptors:
            os.close(self._descriptors.popleft())
        with self._sending:
            self._socket.close()
