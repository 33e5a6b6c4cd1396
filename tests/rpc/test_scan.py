"""Where a value ends: told alike for any cut, with nothing decoded, and with limits that hold at once."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginserver.rpc.scan import DEPTH, PIECE, Large, Limits, ScanError, Scanner

LIMITS = Limits(size=64 * 1024 * 1024, containers=1000, entries=10_000)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=300)
    | st.binary(max_size=300)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=300))
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner)
)


@given(values, st.binary(max_size=5), st.integers(1, 50))
def test_the_end_is_found_and_not_before(value: Any, after: bytes, step: int) -> None:
    data = msgpack.packb(value)
    scanner, held = Scanner(LIMITS), bytearray()
    for start in range(0, len(data), step):
        assert scanner.end(held) is None
        held += data[start : start + step]
    held += after
    assert scanner.end(held) == len(data)
    assert scanner.end(held) == len(data)


@pytest.mark.parametrize(
    "packed",
    [
        *(bytes([0xCA + n]) + bytes(9) for n in range(10)),
        *(bytes([0xD4 + n]) + bytes(20) for n in range(5)),
        *(bytes([first]) + bytes(8) for first in (0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9)),
        *(bytes([first]) + bytes(8) for first in (0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF)),
        b"\xa3abc",
        b"\xbf" + bytes(31),
        b"\x00",
        b"\x7f",
        b"\xe0",
        b"\xff",
        b"\x80",
        b"\x90",
    ],
)
def test_every_type_ends_where_msgpack_says(packed: bytes) -> None:
    unpacker = msgpack.Unpacker(raw=True)
    unpacker.feed(packed)
    unpacker.skip()
    assert Scanner(LIMITS).end(bytearray(packed)) == unpacker.tell()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\xc1", "0xc1"),
        (b"\xc6\x04\x00\x00\x00", "larger than 67108864 bytes"),
        (b"\xdb\xff\xff\xff\xff", "larger than"),
        (b"\xc9\xff\xff\xff\xff", "larger than"),
        (b"\xdd\x00\x00\x27\x11", "more than 10000 entries"),
        (b"\xdf\x00\x00\x13\x89", "more than 10000 entries"),
        (b"\xdc\x20\x00" * 2, "more than 10000 entries"),
        (b"\xdc\x03\xe8" + b"\x80" * 1000, "more than 1000 arrays and maps"),
    ],
)
def test_a_limit_is_told_with_the_header(data: bytes, error: str) -> None:
    scanner = Scanner(LIMITS)
    assert scanner.end(bytearray(data[:-1])) is None
    with pytest.raises(ScanError, match=error):
        scanner.end(bytearray(data))


def test_what_is_announced_must_fit_into_what_is_left() -> None:
    scanner = Scanner(Limits(size=100, containers=1000, entries=10_000))
    assert scanner.end(bytearray(b"\xdc\x00\x61")) is None
    with pytest.raises(ScanError, match="larger than 100 bytes"):
        Scanner(Limits(size=100, containers=1000, entries=10_000)).end(bytearray(b"\xdc\x00\x62"))


def test_it_goes_as_deep_as_msgpack() -> None:
    deep = Limits(size=10_000, containers=10_000, entries=10_000)
    for depth in (DEPTH, DEPTH + 1):
        data = b"\x91" * depth + b"\xc0"
        if depth == DEPTH:
            assert Scanner(deep).end(bytearray(data)) == len(data)
            msgpack.unpackb(data)
        else:
            with pytest.raises(msgpack.StackError):
                msgpack.unpackb(data)
            with pytest.raises(ScanError, match="deep"):
                Scanner(deep).end(bytearray(data))


def test_long_strings_are_remembered() -> None:
    data = msgpack.packb(["a" * PIECE, b"b" * PIECE, "c" * (PIECE - 1)])
    scanner = Scanner(LIMITS)
    assert scanner.end(bytearray(data)) == len(data)
    first = Large(1, 6, 6 + PIECE, True)
    assert scanner.large == [first, Large(first.end, first.end + 5, first.end + 5 + PIECE, False)]
