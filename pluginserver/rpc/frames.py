"""MessagePack-RPC frames as bytes: no sockets, no threads, no plugins.

    request       [0, msgid, method, params]
    response      [1, msgid, error, result]
    notification  [2, label, argument]

Rules kept here:

* bytes arrive cut anywhere, many frames in one piece or one frame in many; what is decoded does
  not depend on the cuts;
* text that is not UTF-8 travels as str: it is decoded, and encoded again, with surrogate escapes;
  binary is bytes, both ways;
* what is not a request is a :class:`FrameError`, after which the decoder is of no more use: nobody
  can tell where the next frame begins;
* no frame may take more memory than :data:`MAX_FRAME`, and no length that a frame merely announces
  is believed beyond :data:`MAX_ITEMS`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgpack

from ..runtime.connection import ProtocolError

MAX_FRAME: Final = 100 * 1024 * 1024
"""Bytes; msgpack's own default.  A request carries a body whole, and Kong limits bodies itself."""

MAX_ITEMS: Final = 1024 * 1024
"""Entries of one array or map: an array's memory is taken when its header is read."""

_INITIAL_BUFFER: Final = 4096
_LARGE_FRAME: Final = 1024 * 1024
"""A decoder that held a frame of this size is replaced, because its buffer never shrinks."""


class FrameError(ProtocolError):
    """The peer sent something that is not a MessagePack-RPC request."""


class Decoder:
    """Bytes in, requests out."""

    __slots__ = ("_fed", "_held", "_pieces", "_start", "_unpacker")

    def __init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self._fed = 0
        self._held = 0
        self._pieces: deque[bytes] = deque()
        """What was fed since :attr:`_start`: msgpack does not give back the bytes of an unfinished frame."""
        self._start = 0
        self._unpacker = msgpack.Unpacker(
            raw=False,
            unicode_errors="surrogateescape",
            strict_map_key=False,
            read_size=_INITIAL_BUFFER,
            max_buffer_size=MAX_FRAME,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
        )

    def feed(self, data: bytes) -> None:
        """Take what arrived.

        :raises FrameError: when the frame at hand grows beyond :data:`MAX_FRAME`.
        """
        try:
            self._unpacker.feed(data)
        except msgpack.BufferFull:
            raise FrameError(f"a frame is larger than {MAX_FRAME} bytes") from None
        self._fed += len(data)
        self._pieces.append(data)

    def request(self) -> tuple[int, Any, Any] | None:
        """The next request.

        :returns: message id, method and params as they came (any type), or None until more is fed.
        :raises FrameError: for bytes that are not MessagePack, and for a frame that is not a request.
        """
        unpacker = self._unpacker
        if unpacker.tell() == self._fed:
            return None
        try:
            frame = unpacker.unpack()
        except msgpack.OutOfData:
            return None
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise FrameError(f"the bytes are not MessagePack: {reason}") from None
        end = unpacker.tell()
        if end == self._fed:
            self._pieces.clear()
            self._start = end
        else:
            self._forget(end)
        if end - self._held > _LARGE_FRAME and end == self._fed:
            self._restart()
        else:
            self._held = end
        if type(frame) is list and len(frame) == 4:
            kind, message_id, method, params = frame
            if type(kind) is int and kind == 0 and type(message_id) is int and message_id >= 0:
                return message_id, method, params
        raise FrameError(f"the frame is not a request [0, msgid, method, params]: {frame!r:.200}")

    def _forget(self, end: int) -> None:
        """Keep no piece that has been decoded whole."""
        pieces = self._pieces
        while pieces and self._start + len(pieces[0]) <= end:
            self._start += len(pieces.popleft())

    def unread(self) -> bytes:
        """What was fed after the last frame that was decoded."""
        return b"".join(self._pieces)[self._held - self._start :]


def packer() -> Callable[[Any], bytes]:
    """An encoder for the use of one thread.

    What it returns takes a value and gives its MessagePack bytes; it raises TypeError, ValueError
    or OverflowError for a value that MessagePack cannot carry.
    """
    pack: Callable[[Any], bytes] = msgpack.Packer(
        autoreset=True,
        use_bin_type=True,
        unicode_errors="surrogateescape",
        buf_size=_INITIAL_BUFFER,
    ).pack
    return pack


def notification(label: str, argument: Any) -> bytes:
    """A notification's bytes."""
    return packer()([2, label, argument])
