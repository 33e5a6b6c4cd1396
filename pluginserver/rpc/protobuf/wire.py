"""The bytes of ProtoBuf:1 below its messages: frames and varints.

A frame is its length, four bytes, little-endian, and then that many bytes; one of length 0 is a frame like
any other.

Rules kept here:

* bytes arrive cut anywhere, many frames in one piece or one frame in many; what comes out does not depend
  on the cuts;
* a number is never longer than ten bytes, and the 64 bits in them are what counts;
* what cannot be understood is a :class:`WireError`, after which nobody can tell where the next frame begins.
"""

from __future__ import annotations

from typing import Final

from ...runtime.codec import ProtocolError

MAX_FRAME: Final = 64 * 1024 * 1024
"""Bytes of a frame.  A result carries a body whole: as much as MsgPack:1 takes."""

MAX_VARINT: Final = 10
"""Bytes of a number of 64 bits."""

HEADER: Final = 4
"""Bytes of a frame's length."""

VARINT, FIXED64, LENGTH = 0, 1, 2
"""What follows a field's number: a number of variable length, eight bytes, a length and that many bytes."""

DEPTH: Final = 100
"""Messages inside of each other, as many as Google's libraries take."""

PLAIN: Final = frozenset({"Value", "Struct", "ListValue"})
"""The messages that are plain values here."""

_BITS: Final = 0xFFFFFFFFFFFFFFFF


class WireError(ProtocolError):
    """Bytes that are not ProtoBuf:1, or a value that its messages cannot carry."""


def frame(content: bytes) -> bytes:
    """The frame that carries ``content``."""
    return len(content).to_bytes(HEADER, "little") + content


def is_frame(data: bytes) -> bool:
    """Whether ``data`` is one frame, whole and no longer than may be."""
    size = len(data) - HEADER
    return size == int.from_bytes(data[:HEADER], "little") <= MAX_FRAME


def varint(number: int) -> bytes:
    """A number as its bytes.

    :param number: from -2**63 to 2**64 - 1; a negative one takes ten bytes.
    """
    number &= _BITS
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The number, from 0 to 2**64 - 1, that begins at ``start``, and where it ends.

    :raises WireError: when it does not end before ``end``, or is too long.
    """
    number = shift = 0
    for position in range(start, min(end, start + MAX_VARINT)):
        byte = data[position]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & _BITS, position + 1
        shift += 7
    raise WireError(
        "a number does not end" if end - start < MAX_VARINT else "a number is too long"
    )


class Frames:
    """Bytes in, frames out."""

    __slots__ = ("_fresh", "held")

    def __init__(self) -> None:
        self._fresh = b""
        """What arrived when nothing was held: nearly always one whole frame."""
        self.held: bytearray | None = None
        """What is held of frames that were not whole, or not alone, when they arrived."""

    def pending(self) -> int:
        """How many bytes there are of frames that :meth:`next` has not given out."""
        return len(self._fresh) + len(self.held or b"")

    def feed(self, data: bytes) -> None:
        """Take what arrived.

        :param data: at least one byte.
        """
        if self.held is None and not self._fresh:
            self._fresh = data
            return
        self._hold()
        assert self.held is not None
        self.held += data

    def next(self) -> bytes | None:
        """What the next frame carries; None until more is fed.

        :raises WireError: for one that is longer than :data:`MAX_FRAME`.
        """
        fresh = self._fresh
        if fresh:
            if is_frame(fresh):
                self._fresh = b""
                return fresh[HEADER:]
            self._hold()
        return self._next_held()

    def _next_held(self) -> bytes | None:
        held = self.held
        if held is None or len(held) < HEADER:
            return None
        size = int.from_bytes(held[:HEADER], "little")
        if size > MAX_FRAME:
            raise WireError(f"a frame is longer than {MAX_FRAME} bytes")
        end = HEADER + size
        if len(held) < end:
            return None
        with memoryview(held) as view:
            content = bytes(view[HEADER:end])
        del held[:end]
        if not held:
            self.held = None
        return content

    def unhandled(self) -> bytes:
        """What was fed and :meth:`next` has not given out."""
        return bytes(self.held or b"") + self._fresh

    def _hold(self) -> None:
        """Have what arrived in the buffer."""
        if self.held is None:
            self.held = bytearray()
        self.held += self._fresh
        self._fresh = b""
