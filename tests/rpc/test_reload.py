"""Reloading plugins while they serve: over the real socket, and behind the simulated Kong."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.client import TIMEOUT, Client, Failed

from pluginserver import PluginServer
from pluginserver.testing import Gateway

Serve = Callable[..., PluginServer]

PLUGIN = """
import attrs

name, version, priority = "{name}", "{version}.0.0", 1
round_trips = "plain"


@attrs.define
class Plugin:
    text: str = "none"
    {field}

    def access(self, kong):
        kong.response.set_header("x-version", "{version}")
        kong.response.set_header("x-text", self.text)
"""


class File:
    """A plugin's file that a test writes again and again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stamp = 1_000_000_000

    def write(self, version: int, field: str = "", text: str | None = None) -> None:
        if text is None:
            text = PLUGIN.format(name=self.path.stem, version=version, field=field)
        self.path.write_text(text)
        self.stamp += 10
        os.utime(self.path, (self.stamp, self.stamp))


@pytest.fixture
def file(tmp_path: Path) -> File:
    found = File(tmp_path / "changing.py")
    found.write(1)
    return found


def version(client: Client, instance: int) -> str:
    return client.play(instance)[0][1][1]  # type: ignore[no-any-return]


def test_changed_code_serves_after_one_request_to_start_anew(serve: Serve, file: File) -> None:
    server = serve(file.path)
    with Client(server.socket_path) as client:
        old = client.start("changing")
        assert version(client, old) == "1"
        file.write(2)
        assert [change.kind for change in server.reload()] == ["reloaded"]
        with pytest.raises(Failed, match=f"^No plugin instance {old}$"):
            client.begin(old)
        new = client.start("changing")
        assert new != old
        assert version(client, new) == "2"
        # Kong never comes back with the old id; whoever does is served, and never told to start again
        for _ in range(3):
            assert version(client, old) == "1"


def test_it_is_said_once_for_each_instance_and_to_one_of_many_at_the_same_time(
    serve: Serve, file: File
) -> None:
    server = serve(file.path)
    with Client(server.socket_path) as client:
        olds = [client.start("changing") for _ in range(3)]
        file.write(2)
        server.reload()

        def ask(number: int) -> bool:
            with Client(server.socket_path) as own:
                try:
                    assert version(own, olds[number % 3]) == "1"
                except Failed as error:
                    assert str(error) == f"No plugin instance {olds[number % 3]}"
                    return True
            return False

        with ThreadPoolExecutor(12) as pool:
            assert sum(pool.map(ask, range(60))) == 3


def test_a_second_reload_without_a_change_says_it_no_more(serve: Serve, file: File) -> None:
    server = serve(file.path)
    with Client(server.socket_path) as client:
        old = client.start("changing")
        file.write(2)
        server.reload()
        with pytest.raises(Failed, match="No plugin instance"):
            client.begin(old)
        server.reload()
        assert version(client, old) == "1"
        file.write(3)
        server.reload()
        assert version(client, old) == "1"


def test_running_events_end_on_the_old_code(serve: Serve, file: File) -> None:
    server = serve(file.path)
    with Client(server.socket_path) as client:
        old = client.start("changing")
        out = client.begin(old)
        file.write(2)
        server.reload()
        out = client.step(out["EventId"])
        assert out["Data"]["Args"] == ["x-text", "none"]
        assert client.step(out["EventId"])["Data"] == "ret"


def test_the_status_of_a_retired_instance_is_told_and_it_can_be_closed(
    serve: Serve, file: File
) -> None:
    server = serve(file.path)
    with Client(server.socket_path) as client:
        old = client.start("changing")
        file.write(2)
        server.reload()
        assert client.call("plugin.InstanceStatus", old)["Id"] == old
        status = client.call("plugin.GetStatus", None)["Plugins"]["changing"]
        assert [one["Id"] for one in status["Instances"]] == [old]
        assert client.call("plugin.CloseInstance", old)["Id"] == old
        with pytest.raises(Failed, match=f"^No plugin instance {old}$"):
            client.call("plugin.CloseInstance", old)


@pytest.mark.parametrize("text", ["def broken(:", "raise SystemExit('no')", "version = 1"])
def test_a_plugin_that_fails_to_load_leaves_its_old_version_serving(
    serve: Serve, file: File, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(file.path)
    with Client(server.socket_path) as client:
        instance = client.start("changing")
        file.write(2, text=text)
        assert [change.kind for change in server.reload()] == ["broken"]
        assert version(client, instance) == "1"
        assert version(client, client.start("changing")) == "1"
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "stays" in line]
    assert str(file.path) in line
    assert "version 1.0.0, loaded before, stays" in line


def test_a_plugin_whose_file_is_gone_goes_on(
    serve: Serve, file: File, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(file.path)
    with Client(server.socket_path) as client:
        instance = client.start("changing")
        file.path.unlink()
        assert [change.kind for change in server.reload()] == ["gone"]
        assert version(client, instance) == "1"
    assert "does not hold the plugin any more" in capfd.readouterr().err


def test_other_plugins_are_left_alone(serve: Serve, file: File, tmp_path: Path) -> None:
    other = File(tmp_path / "other.py")
    other.write(1)
    server = serve(file.path, other.path)
    with Client(server.socket_path) as client:
        instance = client.start("other")
        file.write(2)
        server.reload()
        assert version(client, instance) == "1"


def test_a_changed_schema_is_logged(
    serve: Serve, file: File, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(file.path)
    file.write(2)
    server.reload()
    assert "the schema has changed" not in capfd.readouterr().err
    file.write(3, field="limit: int = 5")
    server.reload()
    assert "the schema has changed, and Kong reads it when it starts" in capfd.readouterr().err


def test_a_configuration_that_new_code_refuses_goes_on_with_the_old(
    serve: Serve, file: File, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(file.path)
    with Client(server.socket_path) as client:
        old = client.start("changing", '{"text": "a", "__seq__": 1}')
        file.write(2, field="must: int = attrs.field(kw_only=True)")
        server.reload()
        with pytest.raises(Failed, match="No plugin instance"):
            client.begin(old)
        kept = client.start("changing", '{"__seq__": 2, "text": "a"}')
        assert version(client, kept) == "1"
        assert "config.must: is missing" in capfd.readouterr().err
        with pytest.raises(Failed, match=r"config\.must: is missing"):
            client.start("changing", '{"text": "another"}')
        server.reload()
        assert version(client, kept) == "1"
        # a version that takes it again
        file.write(3)
        server.reload()
        with pytest.raises(Failed, match=f"^No plugin instance {kept}$"):
            client.begin(kept)
        assert version(client, client.start("changing", '{"text": "a"}')) == "3"


def test_an_instance_that_is_started_during_a_reload_is_not_left_on_old_code(
    serve: Serve, file: File
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    file.write(
        1,
        text=f"""
import sys
name, version, priority = "changing", "1.0.0", 1

class Plugin:
    def __init__(self, config):
        hold = sys.modules["{__name__}"].HOLD
        if hold:
            hold[0].set()
            hold[1].wait({TIMEOUT})

    def access(self, kong):
        kong.response.set_header("x-version", "1")
""",
    )
    server = serve(file.path)
    HOLD[:] = [entered, go_on]
    try:
        with Client(server.socket_path) as client, ThreadPoolExecutor(1) as pool:
            starting = pool.submit(client.start, "changing")
            assert entered.wait(TIMEOUT)
            file.write(2)
            server.reload()
            go_on.set()
            instance = starting.result(TIMEOUT)
            with pytest.raises(Failed, match=f"^No plugin instance {instance}$"):
                client.begin(instance)
            assert version(client, client.start("changing")) == "2"
    finally:
        HOLD.clear()


HOLD: list[threading.Event] = []
"""What the constructor in the test above waits for."""


def test_reloads_at_the_same_time(serve: Serve, file: File) -> None:
    server = serve(file.path)
    file.write(2)
    with ThreadPoolExecutor(4) as pool:
        found = [
            change
            for changes in pool.map(lambda _: server.reload(), range(8))
            for change in changes
        ]
    assert [change.kind for change in found] == ["reloaded"]


def test_a_server_that_does_not_run_can_be_reloaded(prefix: Path, file: File) -> None:
    server = PluginServer(prefix / "s.sock", [file.path])
    assert [change.kind for change in server.reload()] == ["loaded"]
    with server, Client(server.socket_path) as client:
        assert version(client, client.start("changing")) == "1"
        server.stop(0)
    file.write(2)
    server.reload()
    server.stop()


def test_the_simulated_kong_meets_new_code_and_loses_no_request(serve: Serve, file: File) -> None:
    """Eight threads of one nginx worker, over two bindings, while the plugin changes ten times."""
    server = serve(file.path)
    versions: list[int] = []
    with Gateway(server.socket_path) as gateway:
        bindings = [
            gateway.route(paths=[f"/{name}"]).plugin("changing", text=name) for name in ("a", "b")
        ]
        assert len(bindings) == 2
        stop = threading.Event()

        def send(number: int) -> int:
            name = "ab"[number % 2]
            sent = 0
            while not stop.is_set():
                response = gateway.get(f"/{name}")
                assert response.status == 200
                assert response.headers["x-text"] == name
                versions.append(int(response.headers["x-version"]))
                sent += 1
            return sent

        with ThreadPoolExecutor(8) as pool:
            sending = [pool.submit(send, number) for number in range(8)]
            try:
                for number in range(2, 12):
                    file.write(number)
                    server.reload()
                    while number not in versions[-50:]:
                        assert not any(one.done() for one in sending), [
                            one.exception() for one in sending if one.done()
                        ]
            finally:
                stop.set()
            assert all(one.result(TIMEOUT) for one in sending)
    assert max(versions) == 11
