"""Frames: any cut of the same bytes gives the same requests, and no bytes give anything but an error."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.paths import WIRE

from pluginserver.rpc import frames
from pluginserver.rpc.frames import Decoder, FrameError, packer
from pluginserver.rpc.replies import failure

WIRE = [json.loads(line) for line in WIRE.read_text().splitlines()]
RECORDED = [bytes.fromhex(entry["hex"]) for entry in WIRE]


def requests(pieces: list[bytes]) -> list[tuple[int, Any, Any]]:
    decoder = Decoder()
    found = []
    for piece in pieces:
        decoder.feed(piece)
        while (request := decoder.request()) is not None:
            found.append(request)
    return found


def plain(value: Any) -> Any:
    """A decoded value as the recording writes it down."""
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def test_recorded_requests_are_understood() -> None:
    assert len(RECORDED) == 55
    for entry, data in zip(WIRE, RECORDED, strict=True):
        ((_, method, params),) = requests([data])
        assert method == entry["method"]
        assert plain(params) == entry["params"]


@given(st.lists(st.integers(min_value=1, max_value=200), max_size=200))
def test_cuts_change_nothing(sizes: list[int]) -> None:
    stream = b"".join(RECORDED)
    pieces, position = [], 0
    for size in sizes:
        pieces.append(stream[position : position + size])
        position += size
    pieces.append(stream[position:])
    assert requests(pieces) == requests([stream])
    assert len(requests([stream])) == len(RECORDED)


@given(st.lists(st.integers(min_value=1, max_value=200), max_size=60), st.data())
def test_another_decoder_goes_on_with_what_is_unread(
    sizes: list[int], data: st.DataObject
) -> None:
    stream = b"".join(RECORDED)[: sum(sizes)]
    decoder = Decoder()
    found, position = [], 0
    for size in sizes:
        decoder.feed(stream[position : position + size])
        position += size
        for _ in range(data.draw(st.integers(0, 3))):
            if (request := decoder.request()) is not None:
                found.append(request)
        unread = decoder.unread()
        assert stream[:position].endswith(unread)
        if data.draw(st.booleans()):
            decoder = Decoder()
            decoder.feed(unread)
    while (request := decoder.request()) is not None:
        found.append(request)
    assert found == requests([stream])


def test_what_was_decoded_is_not_kept() -> None:
    decoder = Decoder()
    decoder.feed(RECORDED[0][:1])
    for _ in range(100):
        decoder.feed(RECORDED[0][1:] + RECORDED[0][:1])
        assert decoder.request() is not None
        assert decoder.unread() == RECORDED[0][:1]
        assert sum(map(len, decoder._pieces)) <= 2 * len(RECORDED[0])


def test_byte_by_byte() -> None:
    stream = b"".join(RECORDED)
    assert requests([bytes([byte]) for byte in stream]) == requests([stream])


@given(st.binary(max_size=200))
@example(b"\xdd\xff\xff\xff\xff" * 3)
@example(b"\x91" * 5000)
@example(b"\xdf\xff\xff\xff\xff")
@example(b"\xc1")
@example(b"\xd6\xff\x00\x00\x00\x01")
@example(b"\x81\x90\x01")
def test_any_bytes_are_requests_or_an_error(data: bytes) -> None:
    try:
        for message_id, _method, _params in requests([data]):
            assert type(message_id) is int and message_id >= 0
    except FrameError as error:
        assert str(error)


@pytest.mark.parametrize(
    "frame",
    [
        [],
        [0, 1, "m"],
        [0, 1, "m", [], 5],
        [1, 1, None, None],
        [2, "label", 1],
        [0, -1, "m", []],
        [0, "1", "m", []],
        [0, 1.0, "m", []],
        [0, True, "m", []],
        [False, 1, "m", []],
        [0.0, 1, "m", []],
        [None, 1, "m", []],
        {"0": 1},
        "text",
        None,
        7,
    ],
)
def test_what_is_no_request_is_an_error(frame: Any) -> None:
    with pytest.raises(FrameError, match="not a request"):
        requests([msgpack.packb(frame)])


@pytest.mark.parametrize("message_id", [0, 1, 2**32, 2**64 - 1])
def test_any_unsigned_message_id(message_id: int) -> None:
    assert requests([msgpack.packb([0, message_id, "m", []])]) == [(message_id, "m", [])]


def test_a_frame_may_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME", 10_000)
    decoder = Decoder()
    decoder.feed(msgpack.packb([0, 1, "m", [b"x" * 9000]]))
    assert decoder.request() is not None
    with pytest.raises(FrameError, match="larger than 10000 bytes"):
        decoder.feed(msgpack.packb([0, 1, "m", [b"x" * 11_000]]))


def test_a_large_frame_leaves_the_decoder_usable() -> None:
    body = b"x" * 3_000_000
    large = msgpack.packb([0, 1, "m", [body]])
    small = msgpack.packb([0, 2, "m", []])
    pieces = [large[:1_000_000], large[1_000_000:], small, large + small, small]
    assert [request[0] for request in requests(pieces)] == [1, 2, 1, 2, 2]


@given(st.binary(max_size=100))
def test_text_that_is_not_utf8_goes_both_ways(raw: bytes) -> None:
    as_str = b"\xda" + len(raw).to_bytes(2, "big") + raw
    ((_, method, _),) = requests([b"\x94\x00\x01" + as_str + b"\x90"])
    assert method.encode("utf-8", "surrogateescape") == raw
    assert msgpack.unpackb(packer()(method), raw=True) == raw


def test_binary_stays_binary() -> None:
    assert requests([msgpack.packb([0, 1, "m", [b"\x00\xff"]])]) == [(1, "m", [b"\x00\xff"])]
    assert packer()(b"\xff") == b"\xc4\x01\xff"


@given(st.text(st.characters(exclude_categories=[]), max_size=20))
def test_any_text_can_be_an_error(text: str) -> None:
    (frame,) = [msgpack.unpackb(failure(packer(), 5, text), unicode_errors="surrogateescape")]
    assert frame[:2] == [1, 5]
    assert frame[2] == text or "\\u" in frame[2]


def test_packing_again_after_a_failure() -> None:
    pack = packer()
    with pytest.raises(TypeError):
        pack([1, {"a": object()}])
    assert pack([1]) == b"\x91\x01"
