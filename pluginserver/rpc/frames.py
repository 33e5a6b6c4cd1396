"""MessagePack-RPC frames as bytes: no sockets, no threads, no plugins.

    request       [0, msgid, method, params]
    response      [1, msgid, error, result]
    notification  [2, label, argument]

Rules kept here:

* bytes arrive cut anywhere, many frames in one piece or one frame in many; what is decoded, and what
  is refused, does not depend on the cuts;
* text that is not UTF-8 travels as str: it is decoded, and encoded again, with surrogate escapes;
  binary is bytes, both ways;
* what is not a request is a :class:`FrameError`, after which the decoder is of no more use: nobody
  can tell where the next frame begins;
* a frame is decoded when it has arrived whole; until then it takes the memory of its bytes (see
  :mod:`.scan`), and a decoder without an unfinished frame holds nothing;
* no call into C takes long: see :mod:`.pieces`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import msgpack

from ..runtime.codec import ProtocolError
from . import pieces
from .scan import Large, Limits, ScanError, Scanner
from .shown import shown

MAX_FRAME: Final = 64 * 1024 * 1024
"""Bytes from the end of the frame before.  A request carries a body whole; Kong's own client needs a
minute and more for 16 MiB, so nothing that works is larger."""

MAX_CONTAINERS: Final = 65_536
MAX_ENTRIES: Final = 1024 * 1024
"""Arrays and maps of a frame, and what they hold in all, a key and its value as two: 42 MiB of empty
maps would become 3 GB of objects.  With these limits a frame stays under 256 MiB."""

SMALL: Final = 64 * 1024
"""Bytes of a frame that is decoded in one call."""

_INITIAL_BUFFER: Final = 4096
_AS_TEXT: Final[dict[str, Any]] = {
    "raw": False,
    "unicode_errors": "surrogateescape",
    "strict_map_key": False,
}
SMALL_ITEMS: Final = 1024
"""Entries of one array or map that are believed in a frame that has not been scanned: an array's
memory is taken when its header is read."""


class FrameError(ProtocolError):
    """The peer sent something that is not a MessagePack-RPC request."""


class Decoder:
    """Bytes in, requests out."""

    __slots__ = ("_decoded", "_fresh", "_scanner", "held")

    def __init__(self) -> None:
        self._fresh: bytes | None = None
        """What arrived when nothing was held: nearly always one whole frame."""
        self.held: bytearray | None = None
        """What is held of frames that were not whole, or not alone, when they arrived."""
        self._scanner: Scanner | None = None
        self._decoded: list[Any] = []
        """The next frame, if :meth:`prepare` has decoded it."""

    def pending(self) -> int:
        """How many bytes there are of requests that :meth:`frame` has not given out."""
        return len(self._fresh or b"") + len(self.held or b"")

    @property
    def begun(self) -> bool:
        """Whether something was fed that was not given out."""
        return bool(self._fresh or self.held or self._decoded)

    def feed(self, data: bytes) -> None:
        """Take what arrived.

        :raises FrameError: when the frame at hand grows beyond :data:`MAX_FRAME`.
        """
        if self.held is None and self._fresh is None and len(data) <= SMALL <= MAX_FRAME:
            self._fresh = data
            return
        self._hold()
        assert self.held is not None
        self.held += data
        if len(self.held) > MAX_FRAME and self._end() is None:
            raise FrameError(f"a frame is larger than {MAX_FRAME} bytes")

    def frame(self) -> tuple[int, Any, Any] | None:
        """The next request.

        :returns: message id, method and params as they came (any type), or None until more is fed.
        :raises FrameError: for bytes that are not MessagePack, and for a frame that is not a request.
        """
        fresh = self._fresh
        if fresh is not None:
            try:
                # msgpack believes no more entries than there are bytes
                if len(fresh) <= SMALL_ITEMS:
                    frame = msgpack.unpackb(
                        fresh, unicode_errors="surrogateescape", strict_map_key=False
                    )
                else:
                    frame = msgpack.unpackb(
                        fresh, **_AS_TEXT, max_array_len=SMALL_ITEMS, max_map_len=SMALL_ITEMS
                    )
                self._fresh = None
            except Exception:
                if not self.prepare():
                    return None
                frame = self._decoded.pop()
        elif (self.held is not None or self._decoded) and self.prepare():
            frame = self._decoded.pop()
        else:
            return None
        if type(frame) is list and len(frame) == 4:
            kind, message_id, method, params = frame
            if type(kind) is int and kind == 0 and type(message_id) is int and message_id >= 0:
                return message_id, method, params
        raise FrameError(
            f"the frame is not a request [0, msgid, method, params]: {shown(frame, 200)}"
        )

    def prepare(self) -> bool:
        """Decode the next frame, if it has arrived whole: for another thread than the one that asks for it.

        :raises FrameError: for bytes that are not MessagePack.
        """
        if self._decoded:
            return True
        if not self.pending():
            return False
        self._hold()
        end = self._end()
        if end is None:
            return False
        assert self.held is not None and self._scanner is not None
        try:
            if end <= SMALL:
                frame = msgpack.unpackb(
                    bytes(memoryview(self.held)[:end]),
                    **_AS_TEXT,
                )
            else:
                frame = _decode(self.held, end, self._scanner.large)
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise FrameError(f"the bytes are not MessagePack: {reason}") from None
        del self.held[:end]
        self._scanner = None
        if not self.held:
            self.held = None
        self._decoded.append(frame)
        return True

    def unhandled(self) -> bytes:
        """What was fed and :meth:`frame` has not given out; a frame that is decoded is encoded again."""
        decoded = [msgpack.packb(one, unicode_errors="surrogateescape") for one in self._decoded]
        return b"".join([*decoded, self.held or b"", self._fresh or b""])

    def _hold(self) -> None:
        """Have what arrived in the buffer."""
        if self.held is None:
            self.held = bytearray()
        if self._fresh is not None:
            self.held += self._fresh
            self._fresh = None

    def _end(self) -> int | None:
        """Where the frame at hand ends in the buffer; None when it is not whole."""
        assert self.held is not None
        if self._scanner is None:
            self._scanner = Scanner(Limits(MAX_FRAME, MAX_CONTAINERS, MAX_ENTRIES))
        try:
            return self._scanner.end(self.held)
        except ScanError as error:
            raise FrameError(str(error)) from None


def _decode(data: bytearray, end: int, large: list[Large]) -> Any:
    """A frame of which :class:`Scanner` has said that it is whole, in pieces.

    Each long string is decoded apart, and stands in the frame as an extension that nobody else can know.
    """
    mark = os.urandom(16)
    strings: list[str | bytes] = []

    def extension(code: int, content: bytes) -> Any:
        if content.startswith(mark):
            return strings[content[-1]]
        return msgpack.ExtType(code, content)

    unpacker = msgpack.Unpacker(
        **_AS_TEXT,
        ext_hook=extension,
        read_size=_INITIAL_BUFFER,
        max_buffer_size=MAX_FRAME,
        max_array_len=MAX_ENTRIES,
        max_map_len=MAX_ENTRIES,
        max_ext_len=MAX_FRAME,
    )
    with memoryview(data) as view:
        begin = 0
        for string in [*large, Large(end, end, end, False)]:
            for start in range(begin, string.header, SMALL):
                unpacker.feed(view[start : min(start + SMALL, string.header)])
                try:
                    return unpacker.unpack()
                except msgpack.OutOfData:
                    continue
            if string.header < end:
                content = view[string.start : string.end]
                unpacker.feed(msgpack.packb(msgpack.ExtType(0, mark + bytes([len(strings)]))))
                strings.append(pieces.decode(content) if string.text else bytes(content))
            begin = string.end
    return unpacker.unpack()


def packer() -> Callable[[Any], bytes]:
    """An encoder for the use of one thread.

    What it returns takes a value and gives its MessagePack bytes; it raises TypeError, ValueError
    or OverflowError for a value that MessagePack cannot carry, and :class:`~.pieces.LongText` for one
    that is to be given to :func:`.pieces.encode`.
    """
    pack: Callable[[Any], bytes] = msgpack.Packer(
        autoreset=True,
        use_bin_type=True,
        unicode_errors=pieces.ERRORS,
        buf_size=_INITIAL_BUFFER,
    ).pack
    return pack


def strict_packer() -> Callable[[Any], bytes]:
    """As :func:`packer`, but text that UTF-8 cannot carry raises UnicodeEncodeError, which is quicker."""
    pack: Callable[[Any], bytes] = msgpack.Packer(
        autoreset=True, use_bin_type=True, buf_size=_INITIAL_BUFFER
    ).pack
    return pack


def notification(label: str, argument: Any) -> bytes:
    """A notification's bytes."""
    return packer()([2, label, argument])
