"""System calls that do not wait, and keep the interpreter's lock.

What :mod:`socket` and :mod:`select` do lets other threads run meanwhile.  For a call that does not wait that
is a bad bargain where others want to run: the lock is given away for a microsecond of work, and is back when
each of them has had its turn, or after a switch interval.  Rules kept here:

* nothing here waits (``MSG_DONTWAIT``), whatever the socket's mode is;
* what is not sent or received by one plain call is left to the socket; but an error of ``recv`` is raised
  here: a reset is told by the system once.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import select
import socket
import struct
from collections.abc import Callable
from typing import Final

_LIBRARY: Final = ctypes.PyDLL(None, use_errno=True)
_SEND: Final = ctypes.PyDLL(None).send  # the socket tells what is wrong: nobody looks at errno
_SEND.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
_SEND.restype = ctypes.c_ssize_t
_RECV: Final = _LIBRARY.recv
_RECV.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_RECV.restype = ctypes.c_ssize_t
_OPEN: Final = _LIBRARY.open
_OPEN.argtypes = [ctypes.c_char_p, ctypes.c_int]
_READ: Final = _LIBRARY.read
_READ.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
_READ.restype = ctypes.c_ssize_t
_CLOSE: Final = _LIBRARY.close
_CLOSE.argtypes = [ctypes.c_int]
_CONTROL: Final = _LIBRARY.epoll_ctl
_CONTROL.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_char_p]

_SENDING: Final = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_RECEIVING: Final = int(socket.MSG_DONTWAIT)

_ADD: Final = 1
_DELETE: Final = 2
_EVENT: Final = struct.Struct("=IiI" if platform.machine() == "x86_64" else "=I4xiI")
"""``struct epoll_event``, with the descriptor as its data; it is packed on x86-64 alone."""

SMALL: Final = 16_384
"""Bytes that are sent without giving others a turn: the system copies them in a few microseconds."""


def read_file(path: bytes, size: int) -> bytes:
    """The first bytes of one of the system's own files, which are never waited for.

    :raises OSError: when it cannot be read.
    """
    buffer = ctypes.create_string_buffer(size)
    descriptor = _OPEN(path, os.O_RDONLY | os.O_CLOEXEC)
    if descriptor < 0:
        raise _failure()
    got = _READ(descriptor, buffer, size)
    failure = _failure() if got < 0 else None
    _CLOSE(descriptor)
    if failure is not None:
        raise failure
    return buffer.raw[:got]


def _failure() -> OSError:
    """What the last call that failed here has failed of."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def register(poller: select.epoll, fd: int, events: int) -> None:
    """What ``poller.register(fd, events)`` does."""
    _control(poller, _ADD, fd, _EVENT.pack(events, fd, 0))


def unregister(poller: select.epoll, fd: int) -> None:
    """What ``poller.unregister(fd)`` does."""
    _control(poller, _DELETE, fd, _EVENT.pack(0, fd, 0))


def _control(poller: select.epoll, operation: int, fd: int, event: bytes) -> None:
    if _CONTROL(poller.fileno(), operation, fd, event):
        raise _failure()


def send(sock: socket.socket, data: bytes) -> int:
    """What ``sock.send(data)`` does."""
    if len(data) <= SMALL:
        sent: int = _SEND(sock.fileno(), data, len(data), _SENDING)
        if sent >= 0:
            return sent
    return sock.send(data)


class Receiver:
    """Receives for one thread.

    :param size: bytes for which it has room; what is longer takes a second call.
    """

    def __init__(self, size: int) -> None:
        self._buffer = ctypes.create_string_buffer(size)
        self._address = ctypes.addressof(self._buffer)
        self._bytes = memoryview(self._buffer).cast("B")

    def receive(self, fd: int, receive: Callable[[int], bytes], size: int) -> bytes:
        """What ``receive(size)`` does, the ``recv`` of a socket that does not block.

        :param fd: the socket's.
        """
        room = len(self._bytes)
        got: int = _RECV(fd, self._address, room, _RECEIVING)
        if got < 0:
            raise _failure()
        data = self._bytes[:got].tobytes()
        if got == room:
            with contextlib.suppress(BlockingIOError):
                data += receive(size - room)
        return data
