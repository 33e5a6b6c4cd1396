"""Fuzzes the way from bytes to replies with atheris, which follows the code's branches.

``python -m chaos.fuzz SECONDS [CORPUS]`` in ``tests``; where atheris cannot be had it says so and ends with
0.  What is fuzzed is the codecs, the methods and the events, on one thread, without a socket; what a crash
was made of is written to the current directory.  The corpus, a directory that is kept for the next time when
it is named, begins with the frames that Kong's own client sends.  Each input is fed to the codecs of both
protocols.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import msgpack

FRAMES: Final = Path(__file__).parents[1] / "data" / "wire.jsonl"
LARGEST: Final = 4096
"""Bytes of one input."""

EVENTS: Final = 64
"""Requests of one input that are performed."""


class Peer:
    """Keeps what is sent."""

    pid = 0

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: bytes, asked: int = 0) -> None:
        self.sent.append(data)


class Tasks:
    """The events that wait for a step; none runs."""

    def __init__(self) -> None:
        self.waiting: dict[int, Any] = {}
        self.pinged: dict[int, Any] = {}

    def is_running(self, _number: int) -> bool:
        return False


class Harness:
    """Feeds inputs to the codecs of a server, and looks at what comes back."""

    def __init__(self) -> None:
        from pluginserver import PDKError
        from pluginserver.events.callbacks import callback
        from pluginserver.plugins import Plugins
        from pluginserver.rpc import methods
        from pluginserver.rpc.calls import Context

        class Fuzzed:
            """Repeats what it is answered."""

            name, version, priority = "fuzzed", "1", 1

            def access(self, _kong: object) -> None:
                answer = None
                for _ in range(3):
                    try:
                        answer = callback("kong.log.err", str(answer))
                    except PDKError as error:
                        answer = str(error)

        methods.first_id = lambda: 1  # ids that an input can guess
        self._plugins = Plugins([Fuzzed], entry_points=False)
        self._plugins.load()
        self._context = Context()
        self.callbacks = 0
        """How often a handler has asked for something."""

    def __call__(self, data: bytes) -> None:
        """Try one input."""
        from pluginserver.rpc.messagepack import MessagePack
        from pluginserver.rpc.protobuf.codec import ProtoBuf

        for reply in self._served(MessagePack, data):
            self._look(reply)
        replies = b"".join(self._served(ProtoBuf, data))
        while replies:
            size = int.from_bytes(replies[:4], "little")
            assert size <= len(replies) - 4
            replies = replies[4 + size :]

    def _served(self, kind: Any, data: bytes) -> list[bytes]:
        """What a server sends to a client that has sent these bytes."""
        from pluginserver.rpc.clients import UNSEEN
        from pluginserver.rpc.instances import Instances
        from pluginserver.rpc.methods import Methods
        from pluginserver.runtime.codec import ProtocolError

        instances = Instances(lambda _event, _error: None, lambda _what, _function: None)
        instances.start_again(self._plugins.get("fuzzed"), "{}", 1, 0, UNSEEN)
        tasks, peer = Tasks(), Peer()
        codec = kind(Methods(self._plugins, instances, tasks, fixed_directory="fuzzing"))
        try:
            for half in (data[: len(data) // 2], data[len(data) // 2 :]):
                codec.feed(half)
                for _ in range(EVENTS):
                    request: Any = codec.request(peer)
                    if request is None:
                        break
                    self._perform(request, peer, tasks)
        except ProtocolError:
            pass
        for event in tasks.waiting.values():
            event.cancel("the input is over")
            event.end()
        return peer.sent

    def _perform(self, request: Any, peer: Peer, tasks: Tasks) -> None:
        request.perform(self._context)
        peer.send(request.reply)
        event = request.task
        if request.suspended:
            self.callbacks += 1
            tasks.waiting[event.id] = event
        elif event is not None:
            event.end()

    def _look(self, reply: bytes) -> None:
        """Whether a reply is one that Kong's client can take."""
        kind, _message_id, error, result = msgpack.unpackb(
            reply, strict_map_key=False, unicode_errors="surrogateescape"
        )
        assert kind == 1
        assert error is None or (isinstance(error, str) and result is None)


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: its fuzzing is skipped")
        return
    import atheris

    with atheris.instrument_imports(include=["pluginserver"]):
        harness = Harness()
    corpus = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="corpus-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, line in enumerate(FRAMES.read_text().splitlines()):
        (corpus / f"wire-{number}").write_bytes(bytes.fromhex(json.loads(line)["hex"]))
    options = [f"-max_total_time={seconds}", f"-max_len={LARGEST}", "-timeout=10"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], harness)
    atheris.Fuzz()  # ends the process


if __name__ == "__main__":
    main()
