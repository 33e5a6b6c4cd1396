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


LEFT: list[object] = []


class Held:
    """Answers when the last reference to it is dropped."""

    def __init__(self, kong: Kong) -> None:
        self.kong = kong

    def __del__(self) -> None:
        self.kong.response.exit(403, "for Alice")


class Alice:
    """Leaves something behind."""

    name, version, priority = "alice", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        Exits(kong)

    def rewrite(self, kong: Kong) -> None:
        LEFT.append(Held(kong))


class Bob:
    """Is there when it is collected."""

    name, version, priority = "bob", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        gc.collect()
        kong.request.get_host()

    def rewrite(self, kong: Kong) -> None:
        LEFT.clear()
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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_who_drops_the_last_reference_to_anothers_object_is_answered_as_ever(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(Alice, Bob)
    with Client(server.socket_path) as client:
        alice, bob = client.start("alice"), client.start("bob")
        for _ in range(3):
            assert client.play(alice, "rewrite") == []
            assert client.play(bob, "rewrite") == [("kong.request.get_host", None)]
    server.stop()
    lines = [one for one in capfd.readouterr().err.splitlines() if "in a finaliser" in one]
    assert [one for one in lines if "plugin=bob" in one], lines
