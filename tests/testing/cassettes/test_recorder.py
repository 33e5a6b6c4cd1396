"""Recording between a Kong and a server: see pluginserver/testing/cassettes/recorder.py."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.client import TIMEOUT, Client, pack

from pluginserver import PluginServer
from pluginserver.spec.secrets import MASK
from pluginserver.testing import Gateway
from pluginserver.testing.cassettes.cassette import Conversation, read
from pluginserver.testing.cassettes.mask import HEADERS
from pluginserver.testing.cassettes.recorder import Recorder

PLUGIN = """
import attrs
from pluginserver.schema import attributes
version, priority = "1.0.0", 1
@attrs.define
class Plugin:
    key: str = attrs.field(metadata=attributes(referenceable=True))
    def access(self, kong):
        if kong.request.get_header("authorization") != self.key:
            kong.response.exit(401, b"no")
        kong.service.request.set_header("x-key", self.key)
        kong.service.request.set_raw_body(kong.request.get_raw_body())
        kong.ctx.shared.set("n", 1)
        kong.response.set_header("x-a", kong.request.get_header("x-one"))
        kong.response.set_header("x-b", kong.request.get_header("x-two"))
        kong.response.set_header("x-c", kong.request.get_header("host"))
    def log(self, kong):
        kong.log.notice(f"seen {self.key}")
"""
KEY = "a-very-secret-key"


@pytest.fixture
def directory(prefix: Path) -> Path:
    (prefix / "plugins").mkdir()
    (prefix / "into").mkdir()
    (prefix / "plugins" / "door.py").write_text(PLUGIN)
    return prefix


@contextmanager
def recording(directory: Path) -> Iterator[Recorder]:
    """A recorder at ``kong`` before the server at ``server``."""
    recorder = Recorder(directory / "kong", directory / "server", directory / "into", HEADERS)
    begun = threading.Event()
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def record() -> None:
        stop, ready = asyncio.Event(), asyncio.Event()
        ends.append((asyncio.get_running_loop(), stop))
        running = asyncio.create_task(recorder.run(stop, ready))
        await ready.wait()
        begun.set()
        await running

    thread = threading.Thread(target=lambda: asyncio.run(record()))
    thread.start()
    try:
        assert begun.wait(TIMEOUT)
        yield recorder
    finally:
        loop, stop = ends[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(TIMEOUT)
        assert not thread.is_alive()


@contextmanager
def serving(directory: Path, round_trips: str = "plain") -> Iterator[None]:
    server = PluginServer(directory / "server", [directory / "plugins"], round_trips=round_trips)
    server.start()
    try:
        yield
    finally:
        server.stop(grace=0)


def stored(directory: Path) -> list[Conversation]:
    return [one for path in sorted((directory / "into").iterdir()) for one in read(path)]


def requests(directory: Path, protocol: str) -> None:
    with Gateway(directory / "kong", protocol=protocol) as kong:
        kong.plugin("door", key=KEY)
        headers = {"authorization": KEY, "x-one": "1", "x-two": "2"}
        kong.post(headers=headers, body=b"body\xff")
        assert kong.service_request.headers["x-key"] == KEY
        assert kong.get(headers={"authorization": "not the key"}).status == 401


@pytest.mark.parametrize("protocol", ["msgpack", "protobuf"])
def test_what_was_said_is_stored_without_secrets_and_played_again(
    directory: Path, protocol: str
) -> None:
    with serving(directory), recording(directory) as recorder:
        requests(directory, protocol)
    assert recorder.stored == 4
    assert not (directory / "kong").exists()
    names = sorted(path.name for path in (directory / "into").iterdir())
    assert names == [
        "0001-door-access.json", "0002-door-log.json", "0003-door-access.json", "0004-door-log.json",
    ]  # fmt: skip
    said = stored(directory)
    assert [one.ended for one in said] == ["ret", "ret", "exit", "ret"]
    assert {one.protocol for one in said} == {protocol}
    assert [one.config for one in said] == [{"key": MASK}] * 4
    assert not [path for path in (directory / "into").iterdir() if KEY in path.read_text()]
    first, second = said[0].calls[:2]
    assert (first.method, first.answer) == ("kong.request.get_header", MASK)
    assert (second.method, second.args) == ("kong.service.request.set_header", ["x-key", MASK])
    with Gateway(root=directory) as kong:
        for name in names:
            assert kong.replay(f"into/{name}", "plugins/door.py")[0].differences == []
        assert kong.replay("into/0001-door-access.json", "plugins/door.py")


@pytest.mark.parametrize("protocol", ["msgpack", "protobuf"])
def test_what_travelled_together_is_the_same_as_what_did_not(
    directory: Path, protocol: str
) -> None:
    with serving(directory, "fewer"), recording(directory):
        for _ in range(3):
            requests(directory, protocol)
    for round_trips in ("plain", "fewer"):
        with Gateway(root=directory, round_trips=round_trips) as kong:
            for path in sorted((directory / "into").iterdir()):
                assert kong.replay(path, "plugins/door.py")[0].differences == []


def test_numbers_go_on_where_an_earlier_run_ended(directory: Path) -> None:
    with serving(directory):
        for _ in range(2):
            with recording(directory):
                requests(directory, "msgpack")
    assert len(stored(directory)) == 8
    assert (directory / "into" / "0008-door-log.json").exists()


def test_an_event_of_an_instance_that_is_not_known_is_passed_on(directory: Path) -> None:
    with serving(directory), Client(directory / "server") as direct:
        config = '{"key": "k"}'
        known = direct.call("plugin.StartInstance", {"Name": "door", "Config": config})["Id"]
        with recording(directory) as recorder, Client(directory / "kong") as through:
            event = {"InstanceId": known, "EventName": "log"}
            assert through.call("plugin.HandleEvent", event)["Data"]["Method"] == "kong.log.notice"
    assert recorder.stored == 0


def test_a_failure_is_stored(directory: Path) -> None:
    with serving(directory), recording(directory), Client(directory / "kong") as kong:
        config = '{"key": "k", "__plugin_id": "x"}'
        started = kong.call("plugin.StartInstance", {"Name": "door", "Config": config})
        with pytest.raises(Exception, match="undefined method rewrite"):
            kong.call("plugin.HandleEvent", {"InstanceId": started["Id"], "EventName": "rewrite"})
    (said,) = stored(directory)
    assert (said.ended, said.config) == ("failed", {"key": MASK})
    assert "undefined method rewrite" in str(said.error)


def test_what_cannot_be_understood_is_passed_on(directory: Path) -> None:
    with (
        serving(directory),
        recording(directory) as recorder,
        Client(directory / "kong") as odd,
        Client(directory / "kong") as kong,
    ):
        odd.send(pack([0, 1, "plugin.GetStatus", []]))
        assert odd.receive()
        assert kong.call("plugin.GetStatus", None)["Plugins"]
    assert recorder.stored == 0


def test_a_server_that_is_not_there_closes_the_connection(directory: Path) -> None:
    with (
        recording(directory),
        Gateway(directory / "kong", timeout=TIMEOUT) as kong,
        pytest.raises(Exception, match="closed"),
    ):
        kong.plugin("door", key=KEY)
