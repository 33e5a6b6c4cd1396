"""A bare client of ProtoBuf:1, as :mod:`.client` is one of MessagePack-RPC."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from typing import Any

from pluginserver.rpc.protobuf.messages import decode, encode
from pluginserver.rpc.protobuf.wire import Frames, frame
from pluginserver.spec.protobuf import FUNCTIONS

from .client import Closed, Connected

_numbers = itertools.count(2)


class Client(Connected):
    """One client of ProtoBuf:1."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._frames = Frames()
        self.sequence = 0

    def send(self, content: bytes) -> None:
        super().send(frame(content))

    def frame(self) -> bytes:
        """What the next frame carries."""
        while (content := self._frames.next()) is None:
            self._frames.feed(self.receive())
        return content

    def ended(self) -> bool:
        """Whether the server has closed the connection, or will without sending more."""
        try:
            self.frame()
        except Closed:
            return True
        return False

    def request(self, kind: str, **fields: Any) -> None:
        """Send a call without waiting."""
        self.sequence = next(_numbers)
        self.send(encode("RpcCall", {"sequence": self.sequence, kind: fields}))

    def result(self) -> dict[str, Any]:
        """The end of a call."""
        answer = decode("RpcReturn", self.frame())
        assert answer.pop("sequence") == self.sequence
        return dict(answer)

    def call(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Make a call and wait for its result."""
        self.request(kind, **fields)
        return self.result()

    def start(self, plugin: str, config: str = "{}") -> int:
        """Start an instance; gives its id."""
        answer = self.call("cmd_start_instance", name=plugin, config=config.encode())
        return int(answer["instance_status"]["instance_id"])

    def begin(self, instance: int, phase: str = "access") -> tuple[str, Any] | None:
        """Start an event; gives its first callback, as :meth:`asked` does."""
        self.request("cmd_handle_event", instance_id=instance, event_name=phase)
        return self.asked()

    def asked(self) -> tuple[str, Any] | None:
        """The next callback, with what its argument holds; None at the end of the event."""
        name = self.frame().decode()
        if not name:
            assert self.result() == {}
            return None
        return name, decode(FUNCTIONS[name].argument, self.frame())

    def answer(self, name: str, fields: Any) -> None:
        """Answer a callback; None for nothing."""
        self.send(b"" if fields is None else encode(FUNCTIONS[name].result, fields))

    def play(
        self,
        instance: int,
        phase: str = "access",
        answers: Iterable[Any] | Callable[[str, Any], Any] = (),
    ) -> list[tuple[str, Any]]:
        """Run an event to its end as Kong would; gives its callbacks, with an ``exit`` as the last one.

        :param answers: the fields of what each callback gets in turn, or a function of its name and
            argument; None for nothing.
        """
        feed = None if callable(answers) else iter(answers)
        calls = []
        out = self.begin(instance, phase)
        while out is not None:
            calls.append(out)
            if out[0] == "kong.response.exit":
                break
            given = answers(*out) if callable(answers) else next(feed, None)  # type: ignore[arg-type]
            self.answer(out[0], given)
            out = self.asked()
        return calls
