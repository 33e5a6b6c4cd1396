"""The short way of steps and events: whatever it is fed, what comes out is what the general way gives."""

from __future__ import annotations

from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cases import CASES
from support.led import INSTANCE, Led, noting, without_short_way

from pluginserver import PDKError
from pluginserver.events.callbacks import callback, finish
from pluginserver.rpc.messagepack import MessagePack
from pluginserver.runtime.sending import WRITABLE


class Obeys:
    """Asks Kong until it is told something else."""

    name, version, priority, threads = "obeys", "1.0.0", 1, "shared"

    def access(self, _kong: object) -> None:
        answer: Any = None
        while answer != "end":
            try:
                if answer == "raise":
                    raise ValueError("told to")
                if answer == "exit":
                    finish("kong.response.exit", 200)
                given = (
                    object() if answer == "object" else "\udcff" if answer == "bytes" else answer
                )
                answer = (
                    callback("kong.test", given, "x" * 300_000)
                    if answer == "long"
                    else (
                        callback("kong.test") if answer is None else callback("kong.test", given)
                    )
                )
            except (PDKError, TypeError) as error:
                answer = callback("kong.failed", str(error)[:20])

    def log(self, _kong: object) -> None:
        """Nothing to do."""


class Served(Led):
    """One client of one leader, which is this thread."""

    def __init__(self, codec: type[MessagePack]) -> None:
        self.ended: list[int] = []
        super().__init__(Obeys, codec, lambda event: self.ended.append(event.id))

    def fed(self, data: bytes) -> bytes | None:
        """What is answered; None when the connection was closed."""
        self.client.send(data)
        self.attend()
        answered = b""
        try:
            while True:
                piece = self.client.recv(1 << 20)
                if not piece:
                    return None
                answered += piece
                self.attend(WRITABLE)
        except BlockingIOError:
            return answered


WORDS = st.sampled_from(
    [None, "a", "end", "raise", "exit", "object", "bytes", "long", "é", 1, b"b"]
)
VALUES = st.one_of(WORDS, st.integers(-1, 2**64 - 1), st.lists(WORDS, max_size=2), st.booleans())


def usual(strategy: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> Any:
    """Mostly what is right."""
    return st.one_of(strategy, strategy, strategy, strategy, other)


BEGINNINGS = st.fixed_dictionaries(
    {
        "InstanceId": usual(st.just(INSTANCE), VALUES),
        "EventName": usual(st.sampled_from(["access", "log"]), VALUES),
    },
    optional={"other": VALUES},
)
STEPS = st.fixed_dictionaries(
    {"EventId": usual(st.integers(1, 4), VALUES)}, optional={"Data": WORDS, "other": VALUES}
)
REQUESTS = st.one_of(
    st.tuples(st.just("plugin.HandleEvent"), usual(BEGINNINGS, STEPS)),
    st.tuples(
        st.sampled_from(
            ["plugin.Step", "plugin.Step", "plugin.StepError", "plugin.StepRoute", "x"]
        ),
        usual(STEPS, BEGINNINGS),
    ),
)


@st.composite
def frames(draw: Any) -> bytes:
    """A request as Kong writes it, and now and then as it does not."""
    method, argument = draw(REQUESTS)
    kind = draw(usual(st.just(0), st.sampled_from([False, 0.0, 1])))
    message_id = draw(usual(st.integers(0, 2**32), VALUES))
    params = draw(usual(st.just([argument]), st.sampled_from([argument, [], [argument, 1], "s"])))
    raw = draw(usual(st.just(False), st.just(True)))
    return msgpack.packb(
        [kind, message_id, method.encode() if raw else method, params],
        use_bin_type=draw(st.booleans()),
    )


@settings(max_examples=CASES // 8, deadline=None)
@given(st.lists(st.tuples(frames(), st.integers(0, 3)), min_size=1, max_size=12))
def test_what_comes_out_is_what_the_general_way_gives(sent: list[tuple[bytes, int]]) -> None:
    short, general = Served(MessagePack), Served(without_short_way(MessagePack))
    try:
        for data, cut in sent:
            pieces = [data] if cut else [data[: len(data) // 2], data[len(data) // 2 :]]
            for piece in pieces:
                answers = short.fed(piece), general.fed(piece)
                assert answers[0] == answers[1]
                if answers[0] is None:
                    return
            assert short.pool.waiting.keys() == general.pool.waiting.keys()
            assert short.ended == general.ended
            assert short.worker.live == general.worker.live
            assert short.connection.at_rest and general.connection.at_rest
    finally:
        short.close()
        general.close()


def test_the_frames_of_kongs_client_go_the_short_way() -> None:
    taken: list[bytes] = []
    noted = Served(noting(MessagePack, taken))
    begin = {"InstanceId": INSTANCE, "EventName": "access"}
    requests = [
        msgpack.packb([0, 1, "plugin.HandleEvent", [begin]]),
        msgpack.packb([0, 2, "plugin.Step", [{"EventId": 1, "Data": "a"}]]),
        msgpack.packb([0, 3, "plugin.Step", [{"EventId": 1, "Data": "end"}]]),
    ]
    try:
        for request in requests:
            assert noted.fed(request)
        assert taken == requests
        assert noted.ended == [1]
    finally:
        noted.close()


def test_an_instance_that_is_closed_as_its_event_begins() -> None:
    served = Served(MessagePack)
    begin = msgpack.packb(
        [0, 1, "plugin.HandleEvent", [{"InstanceId": INSTANCE, "EventName": "access"}]]
    )
    try:
        handler = served.methods.find(INSTANCE, "access")
        assert handler is not None
        handler.closed = True
        assert b"No plugin instance" in (served.fed(begin) or b"")
        served.methods.turn_away = lambda _event: "it stops"
        assert b"kong.response.error" in (served.fed(begin) or b"")
        assert not handler.events
    finally:
        served.close()
