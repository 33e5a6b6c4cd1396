"""Long strings, decoded and encoded in pieces, so that other threads run in between.

One call into C keeps the interpreter's lock until it returns, and 16 MiB that are not UTF-8 take it 135 ms
to decode and 79 to encode.  Rules kept here:

* the result is that of one call, whatever the pieces are;
* what is long and UTF-8 is copied by the encoder itself, which is quick; only what is not is
  encoded apart.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgpack

from .scan import PIECE

STEP: Final = 64 * 1024
"""Bytes or characters of a piece: less than a millisecond, even if they are not UTF-8."""

DEPTH: Final = 511
"""Lists and dicts inside of each other that *msgpack* encodes."""

ERRORS: Final = "pluginserver.surrogateescape"
"""For an encoder: as ``surrogateescape``, but :class:`LongText` is raised for a long string."""


class LongText(Exception):
    """A long string is not UTF-8 and is to be encoded in pieces."""


def _escape(error: UnicodeError) -> tuple[bytes, int]:
    """Encode the rest of a string whose beginning is UTF-8."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object
    if len(text) >= PIECE:
        raise LongText
    return b"".join(escaped(text, error.start)), len(text)


codecs.register_error(ERRORS, _escape)


def decode(data: memoryview) -> str:
    """The text of UTF-8, with what is not that as surrogate escapes."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    text = ""
    for start in range(0, len(data), STEP):
        piece = decoder.decode(data[start : start + STEP])
        text += piece  # in place: nobody else has it
    return text + decoder.decode(b"", True)


def encode(pack: Callable[[Any], bytes], value: Any) -> bytes:
    """The MessagePack bytes of a value that holds long strings.

    :param pack: encodes what is short.
    :raises TypeError, ValueError, OverflowError: for what MessagePack cannot carry.
    """
    return b"".join(_encoded(pack, value, 0))


def _encoded(pack: Callable[[Any], bytes], value: Any, depth: int) -> Iterator[bytes]:
    if depth > DEPTH:
        raise ValueError("recursion limit exceeded")
    if type(value) is str and len(value) >= PIECE:
        pieces = [*escaped(value)]
        yield b"\xdb" + sum(map(len, pieces)).to_bytes(4, "big")
        yield from pieces
    elif isinstance(value, dict):
        yield msgpack.Packer().pack_map_header(len(value))
        for key, inner in value.items():
            yield from _encoded(pack, key, depth + 1)
            yield from _encoded(pack, inner, depth + 1)
    elif isinstance(value, (list, tuple)) and not isinstance(value, msgpack.ExtType):
        yield msgpack.Packer().pack_array_header(len(value))
        for inner in value:
            yield from _encoded(pack, inner, depth + 1)
    else:
        yield pack(value)


def escaped(text: str, begin: int = 0) -> Iterator[bytes]:
    """The UTF-8 of a text from ``begin`` on, in pieces."""
    for start in range(begin, len(text), STEP):
        try:
            yield text[start : start + STEP].encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise UnicodeEncodeError(
                error.encoding, text, start + error.start, start + error.end, error.reason
            ) from None
