"""What a handler leaves to the garbage collector answers nobody else's request."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator

import pytest
from support.client import Client

from pluginserver import Kong, OutsideEventError, PluginServer

Serve = Callable[..., PluginServer]


class Exits:
    """Answers when it is collected; a cycle, so that this is not before the collector comes by."""

    def __init__(self, kong: Kong) -> None:
        self.kong, self.me = kong, self

    def __del__(self) -> None:
        with contextlib.suppress(OutsideEventError):
            self.kong.response.exit(403, "for Alice")


class Alice:
    """Leaves something behind."""

    name, version, priority = "alice", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        Exits(kong)


class Bob:
    """Is there when it is collected."""

    name, version, priority = "bob", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        gc.collect()
        kong.request.get_host()


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """The collector comes by when it is called, and at no other time."""
    gc.disable()
    yield
    gc.enable()


def test_an_exit_in_a_finaliser_does_not_answer_another_request(serve: Serve) -> None:
    server = serve(Alice, Bob)
    with Client(server.socket_path) as client:
        alice, bob = client.start("alice"), client.start("bob")
        for _ in range(3):
            assert client.play(alice) == []
            assert client.play(bob) == [("kong.request.get_host", None)]
