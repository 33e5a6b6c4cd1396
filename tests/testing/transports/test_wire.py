"""Kong's bytes and connections: see pluginserver/testing/transports/wire.py."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import WIRE

from pluginserver.testing.kong.lua import LuaError
from pluginserver.testing.kong.quirks import Quirks
from pluginserver.testing.transports.wire import NoAnswer, RemoteError, RPCClient, encode

FRAMES = [json.loads(line) for line in WIRE.read_text("utf-8").splitlines()]
SILENT = None
Answer = Callable[[list[Any]], "list[bytes] | None"]


def read(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, unicode_errors="surrogateescape", strict_map_key=False)


def plain(value: Any) -> Any:
    """A decoded message as the recording has it."""
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame["method"])
def test_frames_are_those_of_kong(frame: dict[str, Any]) -> None:
    data = bytes.fromhex(frame["hex"])
    _, message_id, method, params = read(data)
    assert method == frame["method"]
    assert plain(params) == frame["params"]
    assert encode([0, message_id, method, params]) == data


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False)
        | st.text()
        | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_what_is_encoded_is_read_again(value: Any) -> None:
    assert read(encode(value)) == value
    assert read(encode(value, no_str8=False)) == value


@pytest.mark.parametrize(
    ("length", "head"), [(31, "bf"), (32, "da0020"), (255, "da00ff"), (65536, "db00010000")]
)
def test_strings_have_no_str8(length: int, head: str) -> None:
    assert encode("x" * length).startswith(bytes.fromhex(head))


@pytest.mark.parametrize(
    ("value", "words"), [(2**64, "overflow in pack"), ([{"a": {1}}], "unimplemented.*'set'")]
)
def test_what_kong_cannot_encode_fails_as_in_lua(value: Any, words: str) -> None:
    with pytest.raises(LuaError, match=words):
        encode(value)


def test_str8_for_who_wants_it() -> None:
    assert encode("x" * 32, no_str8=False)[:2] == bytes.fromhex("d920")
    assert encode("x" * 256, no_str8=False)[:3] == bytes.fromhex("da0100")


@pytest.mark.parametrize("count", [15, 16, 65536])
def test_long_arrays_and_maps(count: int) -> None:
    assert read(encode(list(range(count)))) == list(range(count))
    assert read(encode(dict.fromkeys(range(count))))[count - 1] is None


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, object()])
def test_what_cannot_be_packed(value: Any) -> None:
    with pytest.raises(LuaError):
        encode(value)


class Server:
    """A plugin server with canned answers: for each request the frames to send, None for silence."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[tuple[int, list[Any]]] = []
        self.greeting = b""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.clients: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.clients.append(client)
            thread = threading.Thread(target=self._serve, args=(client, len(self.clients)))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket, number: int) -> None:
        with suppress(OSError):  # the peer, or close(), ends the conversation at any point
            self._talk(client, number)

    def _talk(self, client: socket.socket, number: int) -> None:
        unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
        if self.greeting:
            client.sendall(self.greeting)
        while data := client.recv(4096):
            unpacker.feed(data)
            for request in unpacker:
                self.requests.append((number, request))
                frames = self.answer(request)
                if frames is None:
                    continue
                for frame in frames:
                    client.sendall(frame)
                if not frames:
                    client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self.clients:
            with closing(client), suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


def answer(request: list[Any], result: Any = "fine", error: Any = None) -> bytes:
    packed: bytes = msgpack.packb([1, request[1], error, result])
    return packed


@contextmanager
def serving(prefix: Path, reply: Answer, greeting: bytes = b"") -> Iterator[Server]:
    server = Server(prefix / "s", reply)
    server.greeting = greeting
    try:
        yield server
    finally:
        server.close()


@contextmanager
def client(
    prefix: Path,
    quirks: Quirks | None = None,
    timeout: float = 20.0,
    notified: Callable[[Any, Any], None] = lambda _label, _argument: None,
) -> Iterator[RPCClient]:
    kong = RPCClient(str(prefix / "s"), quirks or Quirks(), timeout, notified)
    try:
        yield kong
    finally:
        kong.close()


def test_a_call_and_its_result(prefix: Path) -> None:
    with (
        serving(prefix, lambda request: [answer(request, {"Id": 3})]) as server,
        client(prefix) as kong,
    ):
        assert kong.call("plugin.StartInstance", {"Name": "p"}) == {"Id": 3}
    assert server.requests[0][1] == [0, 1, "plugin.StartInstance", [{"Name": "p"}]]


def test_an_answer_in_pieces(prefix: Path) -> None:
    def pieces(request: list[Any]) -> list[bytes]:
        data = answer(request, "x" * 10_000)
        return [data[:1], data[1:7], data[7:5000], data[5000:]]

    with serving(prefix, pieces), client(prefix) as kong:
        assert kong.call("m", None) == "x" * 10_000


def test_an_error(prefix: Path) -> None:
    with (
        serving(prefix, lambda request: [answer(request, None, "No plugin instance 9")]),
        client(prefix) as kong,
        pytest.raises(RemoteError, match=r"^No plugin instance 9$"),
    ):
        kong.call("m", None)


def test_an_error_in_bytes(prefix: Path) -> None:
    with (
        serving(prefix, lambda request: [answer(request, None, b"no")]),
        client(prefix) as kong,
        pytest.raises(RemoteError, match=r"^no$"),
    ):
        kong.call("m", None)


@pytest.mark.parametrize(
    "frame",
    [
        msgpack.packb([1, 77, None, None]),
        msgpack.packb([1, 1, 5, None]),
        msgpack.packb([3, 1, None, None]),
        msgpack.packb([1, 1, None]),
        msgpack.packb("hello"),
        msgpack.packb([]),
        b"\xc1",
    ],
)
def test_answers_on_which_kongs_client_fails(prefix: Path, frame: bytes) -> None:
    with (
        serving(prefix, lambda _request: [frame]),
        client(prefix) as kong,
        pytest.raises(LuaError),
    ):
        kong.call("m", None)


def test_notifications_before_the_answer(prefix: Path) -> None:
    seen: list[tuple[Any, Any]] = []
    greeting = msgpack.packb([2, "serverPid", 5]) + msgpack.packb([2])
    with (
        serving(prefix, lambda request: [answer(request)], greeting),
        client(prefix, notified=lambda *what: seen.append(what)) as kong,
    ):
        assert kong.call("m", None) == "fine"
    assert seen == [("serverPid", 5), (None, None)]


def test_nobody_listens(prefix: Path) -> None:
    with client(prefix) as kong, pytest.raises(NoAnswer, match="No such file") as failure:
        kong.call("m", None)
    assert not failure.value.timed_out


def test_a_closed_connection(prefix: Path) -> None:
    with (
        serving(prefix, lambda _request: []),
        client(prefix) as kong,
        pytest.raises(NoAnswer, match="closed") as failure,
    ):
        kong.call("m", None)
    assert not failure.value.timed_out


def test_a_late_answer_is_read_as_the_next_ones(prefix: Path) -> None:
    late: list[bytes] = []

    def slow(request: list[Any]) -> list[bytes] | None:
        if not late:
            late.append(answer(request))
            return SILENT
        return [*late, answer(request)]

    quirks = Quirks(hopping=False)
    with serving(prefix, slow), client(prefix, quirks, timeout=0.2) as kong:
        with pytest.raises(NoAnswer, match="timeout") as failure:
            kong.call("m", None)
        assert failure.value.timed_out
        kong.timeout = 20.0
        with pytest.raises(LuaError, match="unexpected RPC response ID"):
            kong.call("m", None)


def test_a_timed_out_connection_may_be_closed(prefix: Path) -> None:
    calls: list[Any] = []

    def first_is_silent(request: list[Any]) -> list[bytes] | None:
        calls.append(request)
        return SILENT if len(calls) == 1 else [answer(request)]

    quirks = Quirks(keep_timed_out=False, hopping=False)
    with serving(prefix, first_is_silent) as server, client(prefix, quirks, timeout=0.2) as kong:
        with pytest.raises(NoAnswer):
            kong.call("m", None)
        kong.timeout = 20.0
        assert kong.call("m", None) == "fine"
    assert [number for number, _ in server.requests] == [1, 2]


@pytest.mark.parametrize(("hopping", "used"), [(True, [1, 2, 1, 2, 1]), (False, [1, 1, 1, 1, 1])])
def test_which_connection_a_call_takes(prefix: Path, hopping: bool, used: list[int]) -> None:
    with (
        serving(prefix, lambda request: [answer(request)]) as server,
        client(prefix, Quirks(hopping=hopping)) as kong,
    ):
        for _ in used:
            kong.call("m", None)
    assert [number for number, _ in server.requests] == used


def test_calls_at_once_take_connections_of_their_own(prefix: Path) -> None:
    together = threading.Barrier(8)

    def all_at_once(request: list[Any]) -> list[bytes]:
        together.wait(20)
        return [answer(request, request[3][0])]

    results: list[Any] = []
    with serving(prefix, all_at_once) as server, client(prefix) as kong:
        threads = [
            threading.Thread(target=lambda n=n: results.append(kong.call("m", n)))  # type: ignore[misc]
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(results) == list(range(8))
    assert {number for number, _ in server.requests} == set(range(1, 9))


def test_breaking_off(prefix: Path) -> None:
    arrived = threading.Event()

    def note(_request: list[Any]) -> None:
        arrived.set()

    with serving(prefix, note), client(prefix) as kong:
        with pytest.raises(NoAnswer, match="closed"):
            kong.break_off("plugin.Step", {"EventId": 1})
        assert arrived.wait(20)


def test_old_connections_are_not_used(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluginserver.testing.transports.wire.KEEP_ALIVE", -1.0)
    with (
        serving(prefix, lambda request: [answer(request)]) as server,
        client(prefix, Quirks(hopping=False)) as kong,
    ):
        kong.call("m", None)
        kong.call("m", None)
    assert [number for number, _ in server.requests] == [1, 2]


def test_an_idle_connection_on_which_something_arrives_is_not_used(prefix: Path) -> None:
    def reply(request: list[Any]) -> list[bytes]:
        return [answer(request)]

    with serving(prefix, reply) as server, client(prefix, Quirks(hopping=False)) as kong:
        kong.call("m", None)
        server.clients[0].sendall(msgpack.packb([2, "x", None]))
        kong.call("m", None)
        server.clients[1].shutdown(socket.SHUT_RDWR)
        kong.call("m", None)
        kong.call("m", None)
    assert [number for number, _ in server.requests] == [1, 2, 3, 3]


def test_the_pool_is_limited(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluginserver.testing.transports.wire.POOL_SIZE", 1)
    with serving(prefix, lambda request: [answer(request)]) as server, client(prefix) as kong:
        for _ in range(3):
            kong.call("m", None)
    assert [number for number, _ in server.requests] == [1, 2, 3]
