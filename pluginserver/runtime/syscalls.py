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

_LIBRARY: Final = ctypes.PyDLL(None)
_SEND: Final = _LIBRARY.send
_SEND.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
_SEND.restype = ctypes.c_ssize_t
_RECV: Final = ctypes.PyDLL(None, use_errno=True).recv
_RECV.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_RECV.restype = ctypes.c_ssize_t

_OPEN: Final = ctypes.PyDLL(None, use_errno=True).open
_OPEN.argtypes = [ctypes.c_char_p, ctypes.c_int]
_READ: Final = ctypes.PyDLL(None, use_errno=True).read
_READ.argtypes = _RECV.argtypes[:3]
_READ.restype = ctypes.c_ssize_t
_CLOSE: Final = _LIBRARY.close
_CLOSE.argtypes = [ctypes.c_int]

_SENDING: Final = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_RECEIVING: Final = int(socket.MSG_DONTWAIT)

_CONTROL: Final = ctypes.PyDLL(None, use_errno=True).epoll_ctl
_CONTROL.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_char_p]
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
    got = -1 if descriptor < 0 else _READ(descriptor, buffer, size)
    number = ctypes.get_errno()
    if descriptor >= 0:
        _CLOSE(descriptor)
    if got < 0:
        raise OSError(number, os.strerror(number))
    return buffer.raw[:got]


def register(poller: select.epoll, fd: int, events: int) -> None:
    """What ``poller.register(fd, events)`` does."""
    _control(poller, _ADD, fd, _EVENT.pack(events, fd, 0))


def unregister(poller: select.epoll, fd: int) -> None:
    """What ``poller.unregister(fd)`` does."""
    _control(poller, _DELETE, fd, _EVENT.pack(0, fd, 0))


def _control(poller: select.epoll, operation: int, fd: int, event: bytes) -> None:
    if _CONTROL(poller.fileno(), operation, fd, event):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


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
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        data = self._bytes[:got].tobytes()
        if got == room:
            with contextlib.suppress(BlockingIOError):
                data += receive(size - room)
        return data
