"""Long strings in pieces: the same result as at once, and other threads run in between."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginserver.rpc import pieces
from pluginserver.rpc.frames import Decoder, packer
from pluginserver.rpc.pieces import LongText
from pluginserver.rpc.replies import callback

LONG = os.urandom(16 * 1024 * 1024)


def from_wire(data: bytes, argument: int = 0) -> Any:
    """What a decoder gives for a frame."""
    decoder = Decoder()
    for start in range(0, len(data), 65_536):
        assert decoder.frame() is None
        decoder.feed(data[start : start + 65_536])
    request = decoder.frame()
    assert request is not None and decoder.pending() == 0
    return request[2]


@given(st.lists(st.binary(max_size=8) | st.text(max_size=4).map(str.encode)), st.integers(1, 9))
def test_text_is_decoded_as_at_once(parts: list[bytes], step: int) -> None:
    data = b"".join(parts)
    before, pieces.STEP = pieces.STEP, step  # type: ignore[misc]
    try:
        text = pieces.decode(memoryview(data))
        assert text == data.decode("utf-8", "surrogateescape")
        assert pieces.encode(packer(), text) == packer()(text)
    finally:
        pieces.STEP = before  # type: ignore[misc]


@pytest.mark.parametrize("text", [True, False])
def test_sixteen_mebibytes_of_any_bytes_go_both_ways(text: bool) -> None:
    value: Any = LONG.decode("utf-8", "surrogateescape") if text else LONG
    sent = [{"before": [1, "é"], "long": value, "after": msgpack.ExtType(5, b"x")}, value, "end"]
    wire = msgpack.packb([0, 1, "m", sent], unicode_errors="surrogateescape")
    got = from_wire(wire)
    assert got == sent
    reply = callback(packer(), 1, 2, "kong.test", tuple(got))
    response = msgpack.unpackb(reply, unicode_errors="surrogateescape")
    assert response == [1, 1, None, {"EventId": 2, "Data": {"Method": "kong.test", "Args": sent}}]


def test_an_encoder_hands_long_text_that_is_not_utf8_on() -> None:
    short = LONG[:1000].decode("utf-8", "surrogateescape")
    assert msgpack.unpackb(packer()(short), raw=True) == LONG[:1000]
    assert msgpack.unpackb(packer()("x" * 2_000_000)) == "x" * 2_000_000
    with pytest.raises(LongText):
        packer()(LONG.decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("length", [10, 3_000_000])
def test_what_utf8_cannot_carry_is_refused_at_its_place(length: int) -> None:
    with pytest.raises(UnicodeEncodeError) as caught:
        callback(packer(), 1, 2, "kong.test", ("\udcff" * length + "\ud800",))
    assert caught.value.start == length
    assert len(caught.value.object) == length + 1


def test_what_is_too_deep_beside_a_long_text_is_refused() -> None:
    value: Any = LONG[: 2 * 1024 * 1024].decode("utf-8", "surrogateescape")
    for _ in range(600):
        value = [value]
    with pytest.raises(ValueError, match="recursion"):
        callback(packer(), 1, 2, "kong.test", (value,))


def longest_hold(work: Callable[[], object]) -> tuple[float, float]:
    """How long other threads could not run while this one worked, and how long the work took.

    Both in seconds of this thread's own processor time, which a busy machine does not make longer.
    """
    clock = time.pthread_getcpuclockid(threading.get_ident())
    seen: list[float] = []
    done = threading.Event()
    started = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.append(time.clock_gettime(clock))
            started.set()
            time.sleep(0.0002)

    watcher = threading.Thread(target=look)
    watcher.start()
    started.wait()
    began = time.thread_time()
    work()
    ended = time.thread_time()
    done.set()
    watcher.join()
    times = [began, *(moment for moment in seen if began < moment < ended), ended]
    return max(b - a for a, b in pairwise(times)), ended - began


def test_decoding_holds_up_nobody_for_long() -> None:
    at_once, _ = longest_hold(lambda: LONG.decode("utf-8", "surrogateescape"))
    wire = msgpack.packb([0, 1, "m", [LONG]], use_bin_type=False)
    in_pieces, whole = longest_hold(lambda: from_wire(wire))
    assert in_pieces < at_once / 2 and in_pieces < whole / 2


def test_encoding_holds_up_nobody_for_long() -> None:
    text = LONG.decode("utf-8", "surrogateescape")
    at_once, _ = longest_hold(lambda: text.encode("utf-8", "surrogateescape"))
    pack = packer()
    in_pieces, whole = longest_hold(lambda: callback(pack, 1, 2, "kong.test", (text,)))
    assert in_pieces < at_once / 2 and in_pieces < whole / 2
