"""Handing accepted clients from the process that accepts to one that serves, over a pair of sockets.

The pair keeps the bounds of messages, and each message brings one client.  Rules kept here:

* who hands over waits for nobody: what does not fit now is tried again later;
* a client that was handed over and that nobody has taken is not lost: who handed it over can have it again;
* a client that the receiver cannot take, because it may open no more files, is closed, not left waiting.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

_INT: Final = struct.Struct("i")

_ONE: Final = b"c"
"""What stands for a client; a message of nothing is the end of the pair."""


def pair() -> tuple[socket.socket, socket.socket]:
    """The end that hands over, which does not block, and the end that takes."""
    handing, taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    handing.setblocking(False)
    return handing, taking


def hand(handing: socket.socket, client: socket.socket) -> bool:
    """Hand a client over, and close it here.

    :returns: False when it cannot be done now; the client is as it was.
    """
    with contextlib.suppress(OSError):
        socket.send_fds(handing, [_ONE], [client.fileno()])
        client.close()
        return True
    return False


def take(taking: socket.socket, poller: select.epoll) -> socket.socket:
    """The next client.

    :param poller: waits for clients; it forgets ``taking`` when the other end is closed.
    :raises OSError: when there is none, or this process may open no more files.
    """
    message = _receive(taking)
    if message.client is not None:
        return message.client
    number = errno.EMFILE if message.flags & socket.MSG_CTRUNC else errno.ECONNABORTED
    if message.is_end:
        poller.unregister(taking)
    raise OSError(number, os.strerror(number))


def untaken(taking: socket.socket) -> Iterator[socket.socket]:
    """The clients that nobody has taken yet; waits for none."""
    with contextlib.suppress(BlockingIOError):
        while not (message := _receive(taking, socket.MSG_DONTWAIT)).is_end:
            if message.client is not None:
                yield message.client


class _Message(NamedTuple):
    """What came.

    :param client: None when the system could not give its descriptor.
    :param flags: what the system says of the message.
    :param is_end: whether the other end is closed.
    """

    client: socket.socket | None
    flags: int
    is_end: bool


def _receive(taking: socket.socket, flags: int = 0) -> _Message:
    """Receive a message; not by ``socket.recv_fds``, which ignores flags."""
    data, ancillary, told, _ = taking.recvmsg(
        1, socket.CMSG_SPACE(_INT.size), flags | socket.MSG_CMSG_CLOEXEC
    )
    for _level, _kind, packed in ancillary:
        if len(packed) >= _INT.size:
            (number,) = _INT.unpack_from(packed)
            return _Message(socket.socket(fileno=number), told, is_end=False)
    return _Message(None, told, is_end=not data)
