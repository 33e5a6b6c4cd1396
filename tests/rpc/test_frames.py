"""Frames: any cut of the same bytes gives the same requests, and no bytes give anything but an error."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.paths import WIRE

from pluginserver.rpc import frames
from pluginserver.rpc.frames import SMALL, Decoder, FrameError, packer
from pluginserver.rpc.replies import failure
from pluginserver.rpc.shown import shown

WIRE = [json.loads(line) for line in WIRE.read_text().splitlines()]
RECORDED = [bytes.fromhex(entry["hex"]) for entry in WIRE]


def requests(pieces: list[bytes]) -> list[tuple[int, Any, Any]]:
    decoder = Decoder()
    found = []
    for piece in pieces:
        decoder.feed(piece)
        while (request := decoder.frame()) is not None:
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
def test_another_decoder_goes_on_with_what_is_unhandled(
    sizes: list[int], data: st.DataObject
) -> None:
    stream = b"".join(RECORDED)[: sum(sizes)]
    decoder = Decoder()
    found, position = [], 0
    for size in sizes:
        decoder.feed(stream[position : position + size])
        position += size
        for _ in range(data.draw(st.integers(0, 3))):
            if (request := decoder.frame()) is not None:
                found.append(request)
        unhandled = decoder.unhandled()
        assert stream[:position].endswith(unhandled)
        if data.draw(st.booleans()):
            decoder = Decoder()
            decoder.feed(unhandled)
    while (request := decoder.frame()) is not None:
        found.append(request)
    assert found == requests([stream])


def test_what_was_decoded_is_not_kept() -> None:
    decoder = Decoder()
    decoder.feed(RECORDED[0][:1])
    for _ in range(100):
        decoder.feed(RECORDED[0][1:] + RECORDED[0][:1])
        assert decoder.frame() is not None
        assert decoder.unhandled() == RECORDED[0][:1]
        assert decoder.pending() == 1


def test_a_frame_that_was_decoded_before_it_was_asked_for_is_unhandled() -> None:
    large = packer()([0, 1, "plugin.Step", [{"EventId": 1, "Data": "x" * (2 * SMALL) + "\udcff"}]])
    stream = large + RECORDED[0] + RECORDED[1][:5]
    decoder, other = Decoder(), Decoder()
    decoder.feed(stream)
    assert decoder.prepare()
    unhandled = decoder.unhandled()
    assert unhandled == stream
    other.feed(unhandled + RECORDED[1][5:])
    for one in requests([stream + RECORDED[1][5:]]):
        assert other.frame() == one
    assert other.frame() is None


def test_byte_by_byte() -> None:
    stream = b"".join(RECORDED)
    assert requests([bytes([byte]) for byte in stream]) == requests([stream])


def verdict(pieces: list[bytes]) -> list[Any]:
    """The requests, and a last word if the bytes break off in an error."""
    decoder = Decoder()
    found: list[Any] = []
    try:
        for piece in pieces:
            decoder.feed(piece)
            while (request := decoder.frame()) is not None:
                found.append(request)
    except FrameError as error:
        found.append(str(error))
    return found


@given(st.lists(st.sampled_from([*RECORDED[:5], b"\x94\x00"]) | st.binary(max_size=20)), st.data())
@example([b"\xdd\x00\x00\x10\x00" * 3], None)
@example([b"\x91" * 1025], None)
@example([b"\x94\x00\x01\xa1m\x81\x90\x01"], None)
def test_cuts_change_no_verdict(parts: list[bytes], data: st.DataObject | None) -> None:
    stream = b"".join(parts)
    whole = verdict([stream])
    assert verdict([bytes([byte]) for byte in stream]) == whole
    if data is not None:
        cut = data.draw(st.integers(0, len(stream)))
        assert verdict([stream[:cut], stream[cut:]]) == whole


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
    assert decoder.frame() is not None
    with pytest.raises(FrameError, match="larger than 10000 bytes"):
        decoder.feed(msgpack.packb([0, 1, "m", [b"x" * 11_000]]))


def test_a_large_frame_leaves_the_decoder_usable() -> None:
    body = b"x" * 3_000_000
    large = msgpack.packb([0, 1, "m", [body]])
    small = msgpack.packb([0, 2, "m", []])
    pieces = [large[:1_000_000], large[1_000_000:], small, large + small, small]
    assert [request[0] for request in requests(pieces)] == [1, 2, 1, 2, 2]


@pytest.mark.parametrize(
    "data",
    [
        b"\x94\x00\x01\xa1m\xc6\x04\x00\x00\x00",
        b"\x94\x00\x01\xa1m\xdb\xff\xff\xff\xff",
        b"\x94\x00\x01\xa1m\xdd\x00\x10\x00\x00",
        b"\x94\x00\x01\xa1m\xdf\x00\x08\x00\x00",
        b"\xdd\xff\xff\xff\xff",
        b"\x94\x00\x01\xa1m\xdd\x00\x0f\x00\x00" + b"\x80" * 70_000,
    ],
)
def test_what_breaks_a_limit_is_refused_before_it_is_here(data: bytes) -> None:
    with pytest.raises(FrameError, match=r"larger than|more than"):
        requests([data[:60_000], data[60_000:]])


def test_an_unfinished_frame_takes_the_memory_of_its_bytes() -> None:
    data = b"\x94\x00\x01\xa1m\xdd\x00\x0c\x00\x00" + b"\x92\x01\xc0" * 60_000 + b"\x05" * 700_000
    decoder = Decoder()
    tracemalloc.start()
    try:
        for start in range(0, len(data), 65_536):
            decoder.feed(data[start : start + 65_536])
            assert decoder.frame() is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert decoder.pending() == len(data)
    assert peak < 2 * len(data)


AT_BOTH_LIMITS = r"""
import resource, sys
from pluginserver.rpc.frames import MAX_CONTAINERS, MAX_ENTRIES, MAX_FRAME, Decoder

maps = MAX_CONTAINERS - 2
pair = b"\xd9\x3f" + b"%06x" + b"k" * 57 + b"\xd9\x3f" + b"%06x" + b"v" * 57
pairs = (MAX_ENTRIES - maps - 4) // 2
frame = bytearray(b"\x94\x00\x01\xa1m\xdd" + maps.to_bytes(4, "big"))
for number in range(maps):
    size = pairs // maps + (number < pairs % maps)
    frame += bytes([0x80 | size])
    for each in range(size):
        frame += pair % (number, each)
assert 0.9 * MAX_FRAME < len(frame) <= MAX_FRAME, len(frame)
decoder = Decoder()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for start in range(0, len(frame), 65_536):
    decoder.feed(bytes(frame[start : start + 65_536]))
    request = decoder.frame()
assert len(request[2]) == maps
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_frame_at_all_limits_takes_less_than_256_mib() -> None:
    run = subprocess.run(
        [sys.executable, "-c", AT_BOTH_LIMITS], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 256 * 1024


def test_what_a_message_shows_of_a_frame_is_never_built_whole() -> None:
    frame = msgpack.packb([1, [b"\xff" * 3_000_000, {"k" * 3_000_000: [[]] * 50_000}], None, None])
    decoder = Decoder()
    for start in range(0, len(frame), 65_536):
        decoder.feed(frame[start : start + 65_536])
    assert decoder.prepare()
    tracemalloc.start()
    try:
        with pytest.raises(FrameError, match=r"params\]: \[1, \[b'\\xff\\xff") as caught:
            decoder.frame()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 300 and peak < 100_000


@given(
    st.recursive(
        st.none()
        | st.integers()
        | st.text()
        | st.binary()
        | st.builds(msgpack.ExtType, st.integers(0, 9), st.binary()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.integers(1, 100),
)
def test_what_is_shown_is_how_repr_begins(value: Any, limit: int) -> None:
    text = shown(value, limit)
    assert len(text) == min(limit, len(repr(value)))
    if not {"'", '"'} & set(repr(value)[1:-1]):
        assert text == repr(value)[:limit]


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
