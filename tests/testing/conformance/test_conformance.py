"""The conformance suite: ours passes, and a server with faults does not.  See testing/conformance."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest
from support.paths import HELLO

from pluginserver import PluginServer
from pluginserver.testing.conformance.checks import CHECKS
from pluginserver.testing.conformance.command import Outcome, main, run, table
from pluginserver.testing.conformance.probe import PHASES, Probe
from pluginserver.testing.kong.quirks import Quirks
from pluginserver.testing.transports.base import GatewayError
from pluginserver.testing.transports.sockets import Socket

OWN = [sys.executable, "-m", "pluginserver", "-socket", "{socket}", "-log-level", "error"]

EVERY_PHASE = f"""
version = "1.0.0"
priority = 1

class Plugin:
    def access(self, kong):
        kong.response.exit(204)

{
    "".join(
        f'''
    def {phase}(self, kong):
        pass
'''
        for phase in PHASES
        if phase != "access"
    )
}
"""


def outcome(outcomes: list[Outcome], text: str) -> Outcome:
    [found] = [one for one in outcomes if text in one.check.text]
    return found


def test_ours_conforms_started_by_a_command(capfd: pytest.CaptureFixture[str]) -> None:
    command = [*OWN, "-plugins-directory", str(HELLO.parent)]
    assert main(["--plugin", "hello", "--strict", "--", *command]) == 0
    out = capfd.readouterr().out
    assert "FAIL" not in out
    assert f"{len(CHECKS)} ok, 0 failed, 0 skipped" in out


def test_ours_conforms_over_a_socket(
    serve: Callable[..., PluginServer], capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(HELLO)
    assert main([str(server.socket_path)]) == 0
    out = capsys.readouterr().out
    assert "FAIL" not in out
    assert "skip  should  SIGTERM ends it with status 0" in out


def test_a_plugin_without_callbacks(
    serve: Callable[..., PluginServer], prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (prefix / "all.py").write_text(EVERY_PHASE)
    server = serve(prefix / "all.py")
    assert main([str(server.socket_path)]) == 0
    out = capsys.readouterr().out
    assert "all makes no callback in access" in out
    assert "all has a handler for every phase" in out


def test_as_a_program(serve: Callable[..., PluginServer]) -> None:
    server = serve(HELLO)
    command = [sys.executable, "-m", "pluginserver.testing.conformance", str(server.socket_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 failed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give either a socket or"),
        (["/x", "--", "y"], "give either a socket or"),
        (["/x", "--config", "{"], "--config is not JSON"),
    ],
)
def test_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/no/such/socket"], "No such file"),
        (["--", "/no/such/command"], "cannot be started"),
        (["--", sys.executable, "-c", "raise SystemExit(3)"], "ended with status 3"),
    ],
)
def test_nothing_to_check(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_choosing_plugin_and_phase(serve: Callable[..., PluginServer]) -> None:
    server = Socket(serve(HELLO).socket_path, Quirks(), 20.0)
    with pytest.raises(GatewayError, match="the plugin hello has no phase log"):
        Probe.of(server, None, {}, "log")
    assert Probe.of(server, None, {}).phase == "access"
    empty = Socket(serve().socket_path, Quirks(), 20.0)
    with pytest.raises(GatewayError, match="no plugin: name one"):
        Probe.of(empty, None, {})
    server.close()
    empty.close()


class Faulty:
    """A single plugin server with canned answers, and with one fault or none.

    :param faults: for a method the answer it gives: a function of the request that returns frames.
    """

    def __init__(self, path: Path, faults: dict[Any, Callable[[list[Any]], bytes]]) -> None:
        self.faults = faults
        self._ids = itertools.count(1)
        self._instances: dict[int, dict[str, Any]] = {}
        self._events: set[int] = set()
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(128)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, ValueError):
            unpacker = msgpack.Unpacker(
                raw=False, strict_map_key=False, unicode_errors="surrogateescape"
            )
            while data := client.recv(65536):
                unpacker.feed(data)
                for request in unpacker:
                    client.sendall(self._reply(request))

    def _reply(self, request: list[Any]) -> bytes:
        if not (isinstance(request, list) and len(request) == 4 and request[0] == 0):
            raise ValueError
        _, message_id, method, [argument] = request
        if isinstance(method, str) and method in self.faults:
            return self.faults[method](request)
        with self._lock:
            try:
                result, error = self._do(method, argument), None
            except (LookupError, TypeError) as why:
                result, error = None, str(why.args[0])
        packed: bytes = msgpack.packb([1, message_id, error, result])
        return packed

    def _do(self, method: Any, argument: Any) -> Any:
        match method:
            case "plugin.GetPluginInfo":
                return {
                    "Name": "p",
                    "Version": "1",
                    "Priority": 1,
                    "Phases": ["access"],
                    "Schema": {
                        "name": "p",
                        "fields": [{"config": {"type": "record", "fields": []}}],
                    },
                }
            case "plugin.GetStatus":
                times = dict.fromkeys(
                    ("Modtime", "LoadTime", "LastStartInstance", "LastCloseInstance"), 0
                )
                instances = list(self._instances.values())
                return {"Pid": 1, "Plugins": {"p": {"Name": "p", "Instances": instances, **times}}}
            case "plugin.StartInstance":
                number = next(self._ids)
                status = {"Name": "p", "Id": number, "Config": {}, "StartTime": 0}
                self._instances[number] = status
                return status
            case "plugin.InstanceStatus" | "plugin.CloseInstance":
                if argument not in self._instances:
                    raise LookupError(f"No plugin instance {argument}")
                if method == "plugin.CloseInstance":
                    return self._instances.pop(argument)
                return self._instances[argument]
            case "plugin.HandleEvent":
                if argument["InstanceId"] not in self._instances:
                    raise LookupError(f"No plugin instance {argument['InstanceId']}")
                number = next(self._ids)
                self._events.add(number)
                return {
                    "EventId": number,
                    "Data": {"Method": "kong.request.get_method", "Args": None},
                }
            case _ if isinstance(argument, dict) and "EventId" in argument:
                if argument["EventId"] not in self._events:
                    raise LookupError(f"No running event {argument['EventId']}")
                self._events.remove(argument["EventId"])
                return {"EventId": argument["EventId"], "Data": "ret"}
            case _:
                raise LookupError(f"rpc: can't find method {method}")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def check(prefix: Path) -> Iterator[Callable[..., list[Outcome]]]:
    """Runs the checks of some group against a server with faults."""
    servers: list[Faulty] = []

    def start(
        text: str, faults: dict[Any, Callable[[list[Any]], bytes]], timeout: float = 20.0
    ) -> Outcome:
        path = prefix / f"{len(servers)}"
        servers.append(Faulty(path, faults))
        server = Socket(path, Quirks(), timeout)
        probe = Probe(server, "p", {}, "access", frozenset({"access"}))
        try:
            return outcome(run(probe, [one for one in CHECKS if text in one.text]), text)
        finally:
            server.close()

    yield start  # type: ignore[misc]
    for server in servers:
        server.close()


def gives(result: Any = None, error: Any = None) -> Callable[[list[Any]], bytes]:
    return lambda request: msgpack.packb([1, request[1], error, result])  # type: ignore[no-any-return]


def raw(data: bytes) -> Callable[[list[Any]], bytes]:
    return lambda _request: data


@pytest.mark.parametrize(
    "text",
    [
        "runs to its end",
        "at most one is taken",
        "takes no more steps",
        "closed in mid-request",
        "64",
    ],
)
def test_a_server_without_that_fault(check: Callable[..., Outcome], text: str) -> None:
    assert check(text, {}).result == "ok"


@pytest.mark.parametrize(
    ("text", "faults", "detail"),
    [
        ("serverPid is sent", {}, "no answer: timeout"),
        (
            "if it is sent",
            {"plugin.GetStatus": raw(msgpack.packb([2, "serverPid", "5"]))},
            "serverPid is '5'",
        ),
        ("describes the plugin", {"plugin.GetPluginInfo": gives({"Name": "q"})}, "Name is 'q'"),
        ("describes the plugin", {"plugin.GetPluginInfo": gives({"Name": "p"})}, "another shape"),
        ("describes the plugin", {"plugin.GetPluginInfo": gives(5)}, "another shape"),
        ("of an unknown plugin", {}, "instead of an error"),
        ("tells of plugins", {"plugin.GetStatus": gives(error=5)}, "the error 5 is not a string"),
        ("tells of plugins", {"plugin.GetStatus": raw(b"\xc1")}, "not MessagePack"),
        ("tells of plugins", {"plugin.GetStatus": raw(msgpack.packb("x"))}, "'x' is not a frame"),
        (
            "tells of plugins",
            {"plugin.GetStatus": raw(msgpack.packb([7]))},
            "[7] is not a response",
        ),
        (
            "tells of plugins",
            {"plugin.GetStatus": raw(msgpack.packb([1, 0, None, {}]))},
            "has the id 0",
        ),
        ("begins 'Decoding", {}, "instead of an error"),
        ("begins 'Decoding", {"plugin.StartInstance": gives(error="bad")}, "the error is 'bad'"),
        (
            "starting an unknown plugin",
            {"plugin.StartInstance": gives(error="No plugin instance")},
            "retry for ever",
        ),
        ("services are errors", {}, "instead of"),
        ("in Go's words", {"GetStatus": gives("x")}, "instead of"),
        ("a phase without a handler", {}, "instead of an error"),
        (
            "not used again",
            {"plugin.StartInstance": gives({"Id": 7}), "plugin.CloseInstance": gives({})},
            "was given out again",
        ),
        ("runs to its end", {"plugin.HandleEvent": gives(5)}, "is not a map"),
        ("runs to its end", {"plugin.HandleEvent": gives({"EventId": 1})}, "has the keys"),
        ("runs to its end", {"plugin.HandleEvent": gives({"EventId": 1, "Data": 5})}, "neither"),
        (
            "runs to its end",
            {"plugin.HandleEvent": gives({"EventId": 1, "Data": {"Method": "m", "Args": 5}})},
            "neither a list",
        ),
        (
            "runs to its end",
            {"plugin.Step": gives({"EventId": 0, "Data": "ret"})},
            "was answered for 0",
        ),
        ("runs to its end", {"plugin.HandleEvent": gives(error="no luck")}, "unexpected error"),
        (
            "a double holds",
            {"plugin.StartInstance": gives({"Id": 2**60})},
            "No plugin instance",
        ),
        ("at most one is taken", {"plugin.Step": gives(error="busy")}, "none was taken"),
        (
            "events of one instance run at once",
            {"plugin.HandleEvent": gives({"EventId": 1, "Data": "ret"})},
            "two events have one id",
        ),
        ("wrong type", {"plugin.StartInstance": gives({"Id": 1})}, "instead of an error"),
    ],
)
def test_a_server_with_a_fault(
    check: Callable[..., Outcome],
    text: str,
    faults: dict[Any, Callable[[list[Any]], bytes]],
    detail: str,
) -> None:
    found = check(text, faults, 0.5 if "serverPid is sent" in text else 20.0)
    assert found.result == "FAIL"
    assert detail in found.detail


def test_a_silent_server(check: Callable[..., Outcome]) -> None:
    found = check("runs to its end", {"plugin.HandleEvent": raw(b"")}, 0.3)
    assert (found.result, found.detail) == ("FAIL", "no answer: timeout")


def test_the_table() -> None:
    outcomes = [Outcome(CHECKS[0], "ok"), Outcome(CHECKS[1], "FAIL", "why")]
    lines = table(outcomes).splitlines()
    assert lines[0] == CHECKS[0].group
    assert lines[1].startswith("  ok ")
    assert lines[2].endswith("why")
    assert lines[-1] == "1 ok, 1 failed, 0 skipped"
    assert table([]) == "0 ok, 0 failed, 0 skipped"


def test_the_exit_status(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that breaks a 'should' is good enough, unless one is strict; a 'must' is a must."""
    server = Faulty(prefix / "f", {})
    try:
        assert main([os.fspath(prefix / "f"), "--timeout", "0.5"]) == 1
    finally:
        server.close()
    assert "FAIL  must" in capsys.readouterr().out
