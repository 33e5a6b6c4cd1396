"""Where a MessagePack value ends, and what it would cost, told from bytes that arrive in pieces.

Nothing is decoded here: an unfinished frame takes the memory of its bytes, whatever it announces, and
what breaks a limit is found when its header has arrived and not when its content has.  Rules kept here:

* each byte is looked at once, however the bytes were cut;
* an announced length is believed only while it fits into :attr:`Limits.size`;
* a map's entry counts as two: its key and its value are objects alike.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import attrs

DEPTH: Final = 1024
"""Arrays and maps inside of each other: what *msgpack* itself can decode."""

PIECE: Final = 1024 * 1024
"""Bytes of a string from which on it is remembered, to be decoded apart from its frame."""

_ARRAY, _MAP, _BINARY, _TEXT, _EXTENSION = range(5)


def _sizes() -> tuple[int, ...]:
    """The bytes of a value that begins with a certain byte; 0 where that byte alone does not say it."""
    sizes = [1] * 128 + [0] * 32 + [1 + length for length in range(32)]
    sizes += [1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 5, 9, 2, 3, 5, 9, 2, 3, 5, 9]
    sizes += [3, 4, 6, 10, 18, 0, 0, 0, 0, 0, 0, 0]
    return tuple(sizes + [1] * 32)


_SIZES: Final = _sizes()

_LENGTHS: Final = {
    0xC4: (_BINARY, 1),
    0xC5: (_BINARY, 2),
    0xC6: (_BINARY, 4),
    0xC7: (_EXTENSION, 1),
    0xC8: (_EXTENSION, 2),
    0xC9: (_EXTENSION, 4),
    0xD9: (_TEXT, 1),
    0xDA: (_TEXT, 2),
    0xDB: (_TEXT, 4),
    0xDC: (_ARRAY, 2),
    0xDD: (_ARRAY, 4),
    0xDE: (_MAP, 2),
    0xDF: (_MAP, 4),
}
"""What a length follows after, and the bytes of that length."""


class ScanError(ValueError):
    """The bytes are not MessagePack, or break a limit; the text says which."""


@attrs.frozen
class Limits:
    """What one frame may hold.

    :param size: bytes.
    :param containers: arrays and maps.
    :param entries: entries of all arrays and maps together.
    """

    size: int
    containers: int
    entries: int


class Large(NamedTuple):
    """A string of :data:`PIECE` bytes or more: where its header, its content and what follows begin."""

    header: int
    start: int
    end: int
    text: bool


class Scanner:
    """Looks for the end of one value.

    :param limits: what it may hold.
    """

    __slots__ = ("_at", "_containers", "_entries", "_limits", "_stack", "_wanted", "large")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._at = 0
        self._wanted = 1
        """The values that are missing in the innermost array or map."""
        self._stack: list[int] = []
        """The same for those around it."""
        self._containers = 0
        self._entries = 0
        self.large: list[Large] = []
        """The long strings, in their order."""

    def end(self, data: bytearray) -> int | None:
        """Where the value ends that ``data`` begins with; None when more bytes are needed.

        :param data: what was given before, and what has arrived since.
        :raises ScanError: when it never will, or breaks a limit.
        """
        available = len(data)
        at, wanted = self._at, self._wanted
        sizes, stack = _SIZES, self._stack
        while wanted and at < available:
            size = sizes[data[at]]
            if size:
                at += size
                wanted -= 1
            else:
                self._at, self._wanted = at, wanted
                if not self._header(data, available):
                    return None
                at, wanted = self._at, self._wanted
            while not wanted and stack:
                wanted = stack.pop() - 1
        self._at, self._wanted = at, wanted
        if at + self._missing() > self._limits.size:
            raise ScanError(f"a frame is larger than {self._limits.size} bytes")
        return at if not wanted and at <= available else None

    def _missing(self) -> int:
        """How many values must follow at least."""
        return self._wanted + sum(self._stack) - len(self._stack)

    def _header(self, data: bytearray, available: int) -> bool:
        """Take what has a length; False when the length has not arrived."""
        at = self._at
        first = data[at]
        if first < 0xA0:
            self._enter(first & 15, first < 0x90, at + 1)
            return True
        if first not in _LENGTHS:
            raise ScanError(f"the bytes are not MessagePack: 0x{first:x}")
        kind, width = _LENGTHS[first]
        start = at + 1 + width
        if start > available:
            return False
        length = int.from_bytes(data[at + 1 : start], "big")
        if kind in (_ARRAY, _MAP):
            self._enter(length, kind == _MAP, start)
            return True
        end = start + length + (kind == _EXTENSION)
        if end > self._limits.size:
            raise ScanError(f"a frame is larger than {self._limits.size} bytes")
        if length >= PIECE and kind != _EXTENSION:
            self.large.append(Large(at, start, end, kind == _TEXT))
        self._at = end
        self._wanted -= 1
        return True

    def _enter(self, length: int, is_map: bool, start: int) -> None:
        """Go into an array or a map, whose content starts there."""
        length *= 1 + is_map
        limits = self._limits
        self._containers += 1
        self._entries += length
        self._at = start
        if self._containers > limits.containers:
            raise ScanError(f"a frame has more than {limits.containers} arrays and maps")
        if self._entries > limits.entries:
            raise ScanError(f"a frame has more than {limits.entries} entries")
        if not length:
            self._wanted -= 1
        elif len(self._stack) == DEPTH:
            raise ScanError(f"arrays and maps are more than {DEPTH} deep")
        else:
            self._stack.append(self._wanted)
            self._wanted = length
