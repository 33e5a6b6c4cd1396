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
from support.framed import Act, Line, Server
from support.paths import HELLO

from pluginserver import PluginServer
from pluginserver.rpc.protobuf.messages import encode
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
        text: str,
        faults: dict[Any, Callable[[list[Any]], bytes]],
        timeout: float = 20.0,
        protocol: str = "msgpack",
    ) -> Outcome:
        path = prefix / f"{len(servers)}"
        servers.append(Faulty(path, faults))
        server = Socket(path, Quirks(), timeout)
        probe = Probe(server, "p", {}, "access", frozenset({"access"}))
        try:
            chosen = [one for one in CHECKS if one.protocol == protocol and text in one.text]
            return outcome(run(probe, chosen), text)
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
        ("serverPid is sent", {}, "the first message is [1, "),
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
    found = check(text, faults)
    assert found.result == "FAIL"
    assert detail in found.detail


def test_a_silent_server(check: Callable[..., Outcome]) -> None:
    found = check("runs to its end", {"plugin.HandleEvent": raw(b"")}, 0.3)
    assert (found.result, found.detail) == ("FAIL", "no answer: timeout")


# -- ProtoBuf:1


class Framed(Server):
    """A server that conforms in ProtoBuf:1, until a test has it do something else.

    :param event: plays the handler.
    :param start: answers a start.
    :param unknown: answers an event for an instance that there is not; it closes the connection.
    """

    def __init__(self, path: Path, event: Act, start: Act, unknown: Act | None) -> None:
        self._handle, self._begin, self._unknown = event, start, unknown
        super().__init__(path, self._event, self._control)

    def _control(self, line: Line) -> None:
        fields = [call for call in self.calls if call[0] == line.number][-1]
        if fields[2] == "cmd_close_instance":
            instance = fields[3].get("instance_id", 0)
            self.alive.discard(instance)
            line.tell(instance)
        elif fields[3]["name"] != "p" or not fields[3]["config"].startswith(b"{"):
            raise OSError
        else:
            self._begin(line)

    def _event(self, line: Line) -> None:
        fields = [call for call in self.calls if call[0] == line.number][-1][3]
        if fields.get("instance_id", 0) in self.alive or self._unknown is None:
            self._handle(line)
        else:
            self._unknown(line)


def greets(line: Line) -> None:
    line.ask("kong.response.clear_header", {"v": "x"})
    line.ask("kong.request.get_header", {"v": "host"})
    line.end()


def closes(_line: Line) -> None:
    raise OSError


@pytest.fixture
def check_frames(prefix: Path) -> Iterator[Callable[..., Outcome]]:
    """Runs a check of ProtoBuf:1 against a server with faults."""
    servers: list[Framed] = []

    def start(
        text: str,
        event: Act = greets,
        start: Act = Line.started,
        unknown: Act | None = closes,
        timeout: float = 20.0,
        both: bool = False,
    ) -> Outcome:
        path = prefix / f"framed-{len(servers)}"
        servers.append(Framed(path, event, start, unknown))
        server = Socket(path, Quirks(), timeout)
        protocols = frozenset({"msgpack", "protobuf"} if both else {"protobuf"})
        probe = Probe(server, "p", {}, "access", frozenset({"access"}), protocols)
        chosen = [one for one in FRAMED if text in one.text]
        try:
            return outcome(run(probe, chosen), text)
        finally:
            server.close()

    yield start
    for server in servers:
        server.close()


FRAMED = [one for one in CHECKS if one.protocol == "protobuf"]


@pytest.mark.parametrize("text", [one.text for one in FRAMED])
def test_a_server_that_conforms_in_protobuf(
    check_frames: Callable[..., Outcome], text: str
) -> None:
    found = check_frames(text)
    assert (found.result, found.detail) == ("ok", "")


def asks(name: bytes, data: bytes = b"") -> Act:
    def event(line: Line) -> None:
        line.send(name, data)
        line.frame()
        line.end()

    return event


def ends_with(*contents: bytes) -> Act:
    return lambda line: line.send(*contents)


def starts_as(instance: int) -> Act:
    return lambda line: line.tell(instance)


def exits(line: Line) -> None:
    line.ask("kong.response.exit", {"status": 403})


def without_a_status(line: Line) -> None:
    line.send(encode("RpcReturn", {"sequence": line.sequence}))


def one_more(line: Line) -> None:
    line.sequence += 1
    line.started()


def too_much(line: Line) -> None:
    line.started()
    line.send(b"serverPid")


@pytest.mark.parametrize(
    ("text", "faults", "detail"),
    [
        ("carries the sequence", {"start": one_more}, "the answer to call 1 has the sequence 2"),
        ("carries the sequence", {"start": without_a_status}, "has no instance_status"),
        ("carries the sequence", {"start": ends_with(b"\x0a")}, "is not a RpcReturn"),
        ("not asked for", {"start": too_much}, "Kong has no function 'serverPid'"),
        ("one byte at a time", {"start": closes}, "no answer: closed"),
        ("ends with an empty frame", {"event": ends_with(b"", b"\x08\x01")}, "has the sequence 1"),
        ("ends with an empty frame", {"event": ends_with(b"", b"\x0a")}, "is not a RpcReturn"),
        ("ends with an empty frame", {"event": asks(b"kong.vault.get")}, "has no function"),
        (
            "ends with an empty frame",
            {"event": asks(b"kong.request.get_header", b"\x08\x01")},
            "the argument of kong.request.get_header is not a String",
        ),
        ("64 events", {"event": closes}, "64 of 64 failed, the first: ['closed']"),
        ("unknown instance", {"unknown": Line.end}, "is sent, where the connection"),
        ("a closed instance", {"unknown": Line.end}, "is sent, where the connection"),
        ("is positive", {"start": starts_as(0)}, "the id is 0"),
        ("is positive", {"start": starts_as(-5)}, "the id is -5"),
        ("not used again", {"start": starts_as(7)}, "the id 7 was given out again"),
    ],
)
def test_a_server_with_a_fault_in_protobuf(
    check_frames: Callable[..., Outcome], text: str, faults: dict[str, Act], detail: str
) -> None:
    found = check_frames(text, **faults)
    assert found.result == "FAIL"
    assert detail in found.detail


def test_an_event_that_does_not_end(
    check_frames: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pluginserver.testing.conformance.line.MOST", 5)

    def event(line: Line) -> None:
        while True:
            line.ask("kong.request.get_method")

    found = check_frames("ends with an empty frame", event)
    assert (found.result, found.detail) == ("FAIL", "the event made 5 callbacks")


def test_a_silent_server_in_protobuf(check_frames: Callable[..., Outcome]) -> None:
    found = check_frames("ends with an empty frame", lambda line: line.frame(), timeout=0.3)  # type: ignore[arg-type, return-value]
    assert (found.result, found.detail) == ("FAIL", "no answer: timeout")
    found = check_frames("unknown instance", unknown=lambda line: line.frame(), timeout=0.3)  # type: ignore[arg-type, return-value]
    assert "neither answered nor closed" in found.detail


@pytest.mark.parametrize(
    ("text", "event", "why"),
    [
        ("one event after another", exits, "ends with an exit"),
        ("a large answer", exits, "asks for no text"),
        ("a large answer", Line.end, "asks for no text"),
    ],
)
def test_what_does_not_apply_to_a_plugin(
    check_frames: Callable[..., Outcome], text: str, event: Act, why: str
) -> None:
    found = check_frames(text, event)
    assert found.result == "skip"
    assert why in found.detail


def test_a_server_that_speaks_one_protocol(
    check: Callable[..., Outcome], check_frames: Callable[..., Outcome]
) -> None:
    found = check("carries the sequence", {}, protocol="protobuf")
    assert (found.result, found.detail) == ("skip", "the server does not speak ProtoBuf:1")
    assert check_frames("carries the sequence", both=True).result == "ok"


def test_one_protocol_alone(
    serve: Callable[..., PluginServer], prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(serve(HELLO).socket_path)
    for protocol, there, absent in (
        ("msgpack", "events", "protobuf"),
        ("protobuf", "protobuf", "events"),
    ):
        assert main(["--protocol", protocol, path]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert there in lines
        assert absent not in lines
    server = Framed(prefix / "f", greets, Line.started, closes)
    try:
        arguments = ["--protocol", "protobuf", "--plugin", "p", "--phase", "access"]
        assert main([*arguments, os.fspath(prefix / "f")]) == 0
        assert main(["--protocol", "protobuf", os.fspath(prefix / "f")]) == 2
    finally:
        server.close()


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
