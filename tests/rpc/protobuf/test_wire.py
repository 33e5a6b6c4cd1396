"""Frames and numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginserver.rpc.protobuf import wire
from pluginserver.rpc.protobuf.wire import Frames, WireError, frame, read_varint, varint


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(1, 9)))
def test_frames_come_out_as_they_went_in_however_they_are_cut(
    contents: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(map(frame, contents))
    frames = Frames()
    found = []
    while data:
        size = cuts.pop() if cuts else len(data)
        frames.feed(data[:size])
        data = data[size:]
        before = frames.unhandled()
        assert len(before) == frames.pending()
        while (content := frames.next()) is not None:
            found.append(content)
    assert found == contents
    assert frames.pending() == 0
    assert frames.unhandled() == b""


def test_an_empty_frame_is_a_frame() -> None:
    frames = Frames()
    assert frames.next() is None
    frames.feed(frame(b"") * 2)
    assert [frames.next(), frames.next(), frames.next()] == [b"", b"", None]


def test_what_was_not_given_out_can_be_handed_on() -> None:
    frames = Frames()
    frames.feed(frame(b"one") + frame(b"two")[:5])
    assert frames.next() == b"one"
    other = Frames()
    other.feed(frames.unhandled())
    other.feed(frame(b"two")[5:])
    assert other.next() == b"two"


def test_a_frame_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_FRAME", 10)
    frames = Frames()
    frames.feed(frame(b"x" * 10))
    assert frames.next() == b"x" * 10
    frames.feed(frame(b"x" * 11))
    with pytest.raises(WireError, match="a frame is longer than 10 bytes"):
        frames.next()


@given(st.integers(0, 2**64 - 1))
def test_numbers_come_out_as_they_went_in(number: int) -> None:
    data = varint(number)
    assert read_varint(b"ab" + data + b"c", 2, len(data) + 2) == (number, len(data) + 2)


def test_a_negative_number_takes_ten_bytes() -> None:
    assert len(varint(-1)) == 10
    assert read_varint(varint(-1), 0, 10) == (2**64 - 1, 10)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9])
def test_a_number_must_end(data: bytes) -> None:
    with pytest.raises(WireError, match="does not end"):
        read_varint(data, 0, len(data))
