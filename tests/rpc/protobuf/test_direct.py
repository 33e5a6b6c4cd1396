"""The short way of beginnings and answers: what comes out is always what the general way gives."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from support.cases import CASES
from support.led import INSTANCE, Led, noting, without_short_way
from support.plugins import plugin

from pluginserver import Kong
from pluginserver.rpc.protobuf.codec import ProtoBuf
from pluginserver.rpc.protobuf.messages import encode
from pluginserver.rpc.protobuf.wire import frame


def access(_self: object, kong: Kong) -> None:
    """Ask until told to end, to raise or to exit."""
    while (answer := kong.request.get_path()) != "end":
        if answer == "raise":
            raise ValueError("told to")
        if answer == "exit":
            kong.response.exit(200)


class Served(Led):
    """One client of one leader, which is this thread."""

    def __init__(self, codec: type[ProtoBuf]) -> None:
        super().__init__(plugin(access, name="obeys", threads="shared", log=access), codec)

    def fed(self, data: bytes) -> bytes | None:
        """What is answered; None when the connection was closed."""
        self.client.send(data)
        self.attend()
        try:
            return self.client.recv(1 << 16) or None
        except BlockingIOError:
            return b""


SEQUENCE = st.one_of(st.integers(0, 9), st.integers(-(2**63), 2**63 - 1)).map(
    lambda number: encode("RpcCall", {"sequence": number})
)
EVENT = st.builds(
    lambda number, phase: encode(
        "RpcCall", {"cmd_handle_event": {"instance_id": number, "event_name": phase}}
    ),
    st.sampled_from([INSTANCE, INSTANCE, INSTANCE, INSTANCE + 1]),
    st.sampled_from(["access", "access", "log", "rewrite", "x" * 200]),
)
USUAL = st.tuples(SEQUENCE, EVENT)
BEGIN = st.one_of(
    USUAL,
    USUAL,
    USUAL.flatmap(st.permutations),
    st.lists(st.one_of(SEQUENCE, EVENT, st.binary(max_size=3)), max_size=3),
).map(b"".join)
ANSWER = st.sampled_from(["a", "", "end", "raise", "exit"]).map(
    lambda text: encode("String", {"v": text})
)
CONTENTS = st.one_of(BEGIN, ANSWER, ANSWER, ANSWER, st.binary(max_size=4))


@settings(max_examples=CASES // 8, deadline=None)
@given(st.lists(st.tuples(CONTENTS, st.integers(0, 3)), min_size=1, max_size=12), BEGIN)
def test_what_comes_out_is_what_the_general_way_gives(
    sent: list[tuple[bytes, int]], first: bytes
) -> None:
    short, general = Served(ProtoBuf), Served(without_short_way(ProtoBuf))
    try:
        for content, cut in [(first, 1), *sent]:
            data = frame(content)
            for piece in [data] if cut else [data[:-1], data[-1:]]:
                answers = short.fed(piece), general.fed(piece)
                assert answers[0] == answers[1]
                if answers[0] is None:
                    return
            assert short.pool.waiting.keys() == general.pool.waiting.keys()
            assert short.worker.live == general.worker.live
            assert short.connection.at_rest == general.connection.at_rest
    finally:
        short.close()
        general.close()


def test_a_beginning_and_the_answers_go_the_short_way() -> None:
    taken: list[bytes] = []
    noted = Served(noting(ProtoBuf, taken))
    fields = {"instance_id": INSTANCE, "event_name": "access"}
    call = frame(encode("RpcCall", {"sequence": 3, "cmd_handle_event": fields}))
    answers = [frame(encode("String", {"v": text})) for text in ("a", "end")]
    try:
        assert b"get_path" in (noted.fed(call) or b"")
        assert b"get_path" in (noted.fed(answers[0]) or b"")
        assert noted.fed(answers[1]) == bytes(4) + frame(b"\x08\x03")
        assert taken == [call, *answers]
    finally:
        noted.close()
