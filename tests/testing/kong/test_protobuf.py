"""Kong's side of ProtoBuf:1, against a server that does what a test says: see testing/kong/protobuf.py."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.client import TIMEOUT
from support.framed import Act, Line, Server

from pluginserver.rpc.protobuf.messages import encode
from pluginserver.testing import Gateway, GatewayError, PluginBug, Quirks
from pluginserver.testing.kong import client as kong_client
from pluginserver.testing.transports.sockets import Socket


class Described(Socket):
    """The way to a server that does not describe its plugin."""

    phases = ("access",)

    def call(self, _method: Any, _argument: Any) -> Any:
        return {
            "Name": "p",
            "Version": "1",
            "Priority": 1,
            "Phases": list(self.phases),
            "Schema": {},
        }


Make = Callable[..., tuple[Gateway, Server]]


@pytest.fixture
def make(prefix: Path) -> Iterator[Make]:
    made: list[tuple[Gateway, Server]] = []

    def start(
        event: Act,
        *,
        start: Act = Line.started,
        timeout: float = TIMEOUT,
        phases: tuple[str, ...] = ("access",),
        **quirks: Any,
    ) -> tuple[Gateway, Server]:
        path = prefix / f"{len(made)}"
        server = Server(path, event, start)
        transport = Described(path, Quirks(**quirks), timeout)
        transport.phases = phases
        gateway = Gateway(
            transport, raise_bugs=False, protocol="protobuf", quirks=Quirks(**quirks)
        )
        made.append((gateway, server))
        gateway.plugin("p", a=1)
        return made[-1]

    yield start
    for gateway, server in made:
        gateway.close()
        server.close()


def ends(kong: Gateway) -> list[str]:
    return [run.ended for run in kong.exchange.runs]


def logged(kong: Gateway) -> list[tuple[str, str]]:
    return [(line.level, line.message) for line in kong.exchange.logs]


def hello(line: Line) -> None:
    host = line.ask("kong.request.get_header", {"v": "host"})
    line.ask("kong.response.set_header", {"k": "x-hello", "v": host["v"]})
    line.end()


def test_an_event_with_all_its_callbacks_on_one_connection(make: Make) -> None:
    kong, server = make(hello)
    for _ in range(2):
        assert kong.get("/").headers["x-hello"] == "localhost"
        assert kong.exchange.problems == []
    assert [call[1:3] for call in server.calls] == [
        (2, "cmd_start_instance"),
        (3, "cmd_handle_event"),
        (4, "cmd_handle_event"),
    ]
    assert server.calls[0][3]["config"].startswith(b'{"a"')
    assert server.calls[1][3] == {"instance_id": 1, "event_name": "access"}
    assert kong.round_trips == 3
    assert [call.step for call in kong.callbacks] == ["String", "Empty"]


@pytest.mark.parametrize(("hopping", "lines"), [(False, [0, 0, 0, 0]), (True, [0, 1, 0, 1])])
def test_connections_are_kept(make: Make, hopping: bool, lines: list[int]) -> None:
    kong, server = make(hello, hopping=hopping)
    for _ in range(3):
        kong.get("/")
    assert [call[0] for call in server.calls] == lines


def test_instances_are_closed(make: Make) -> None:
    kong, server = make(hello)
    kong.get("/")
    kong.bindings[0].configure(a=2)
    kong.get("/")
    kong.unbind(kong.bindings[0])
    assert server.commands() == [
        "cmd_start_instance",
        "cmd_handle_event",
        "cmd_start_instance",
        "cmd_close_instance",
        "cmd_handle_event",
        "cmd_close_instance",
    ]
    assert [call[3].get("instance_id") for call in server.calls if "close" in call[2]] == [1, 2]


def test_a_connection_that_ends_runs_the_event_again(make: Make) -> None:
    def event(line: Line) -> None:
        line.ask("kong.response.add_header", {"k": "x-tries", "v": str(line.server.instances)})
        if line.server.instances < 3:
            line.socket.shutdown(socket.SHUT_RDWR)
            raise OSError
        line.end()

    kong, server = make(event)
    assert kong.get("/").headers.all("x-tries") == ["1", "2", "3"]
    assert server.commands() == ["cmd_start_instance", "cmd_handle_event"] * 3
    assert logged(kong) == [("warn", "closed")] * 2
    assert ends(kong) == ["ret"]
    assert kong.exchange.problems == []


def test_connections_that_all_end(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kong never stops; the simulated one does, and tells."""
    monkeypatch.setattr(kong_client, "RETRIES", 3)

    def event(_line: Line) -> None:
        raise OSError

    kong, server = make(event)
    assert kong.get("/").status == 500
    assert server.commands() == ["cmd_start_instance", "cmd_handle_event"] * 4
    assert [problem.kind for problem in kong.exchange.problems] == ["no answer"]


def test_a_handler_that_says_nothing(make: Make) -> None:
    def event(line: Line) -> None:
        line.frame()

    kong, server = make(event, timeout=0.3)
    response = kong.get("/")
    assert response.status == 500
    assert response.json()["message"] == "An unexpected error occurred"
    assert server.closed_by_kong.wait(TIMEOUT)
    assert ends(kong) == ["failed"]
    assert logged(kong) == [("err", "timeout")]
    [problem] = kong.exchange.problems
    assert problem.kind == "time-out"
    assert "the client gets a 500" in problem.message


def test_an_exit_closes_the_connection(make: Make) -> None:
    def event(line: Line) -> None:
        headers = {"x-a": ["1", "2"]}
        line.ask("kong.response.exit", {"status": 403, "body": "no", "headers": headers})

    kong, server = make(event)
    response = kong.get("/")
    assert (response.status, response.text) == (403, "no")
    assert response.headers.all("x-a") == ["1", "2"]
    assert server.closed_by_kong.wait(TIMEOUT)
    assert ends(kong) == ["exit"]


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("kong.request.get_query_arg", {"v": "flag"}, "string expected"),
        ("kong.request.get_headers", {"v": 0}, "max_headers must be >= 1"),
        ("kong.response.get_status", {}, "cannot be called in access phase"),
        ("kong.response.exit", {}, "code must be a number between"),
    ],
)
def test_a_throw_closes_the_connection(make: Make, name: str, fields: Any, words: str) -> None:
    kong, server = make(lambda line: line.ask(name, fields))
    response = kong.get("/?flag")
    assert response.status == 500
    assert response.json()["message"] == "An unexpected error occurred"
    assert server.closed_by_kong.wait(TIMEOUT)
    assert ends(kong) == ["throw"]
    assert words in kong.exchange.logs[0].message
    assert words in str(kong.callbacks[0].error)


def test_a_function_that_the_protocol_does_not_have(make: Make) -> None:
    def event(line: Line) -> None:
        line.send(b"kong.vault.get", b"\x0a\x00")
        line.frame()

    kong, server = make(event)
    assert kong.get("/").status == 500
    assert server.closed_by_kong.wait(TIMEOUT)
    assert logged(kong) == [("err", 'method "kong.vault.get" not found')]
    [problem] = kong.exchange.problems
    assert problem.kind == "unknown function"
    assert 'protocol = "msgpack"' in problem.message
    assert ends(kong) == ["failed"]


def test_an_argument_that_cannot_be_read(make: Make) -> None:
    def event(line: Line) -> None:
        line.send(b"kong.request.get_header", b"\x0a\x05x")
        line.frame()

    kong, server = make(event)
    assert kong.get("/").status == 500
    assert server.closed_by_kong.wait(TIMEOUT)
    assert ends(kong) == ["throw"]


def test_a_wrong_sequence_keeps_the_connection(make: Make) -> None:
    def event(line: Line) -> None:
        line.sequence += 1
        line.end()

    kong, server = make(event, hopping=False)
    for _ in range(2):
        assert kong.get("/").status == 500
        assert "assertion failed" in kong.exchange.logs[0].message
    assert [call[0] for call in server.calls] == [0, 0, 0]


def test_an_end_that_is_not_one(make: Make) -> None:
    kong, _ = make(lambda line: line.send(b"", b"\x0a"))
    assert kong.get("/").status == 500
    assert ends(kong) == ["throw"]


def test_a_start_without_a_status(make: Make) -> None:
    def start(line: Line) -> None:
        line.send(encode("RpcReturn", {"sequence": line.sequence}))

    kong, _ = make(hello, start=start)
    assert kong.get("/").status == 500
    assert "instance_status" in kong.exchange.logs[0].message


def test_a_start_that_is_refused_is_tried_with_the_next_request(make: Make) -> None:
    def start(line: Line) -> None:
        if len(line.server.calls) < 2:
            raise OSError
        line.started()

    kong, server = make(hello, start=start)
    assert kong.get("/").status == 500
    assert [problem.kind for problem in kong.exchange.problems] == ["bad instance"]
    assert kong.get("/").status == 200
    assert server.commands() == ["cmd_start_instance"] * 2 + ["cmd_handle_event"]


def test_nobody_listens(make: Make) -> None:
    kong, server = make(hello)
    server.close()
    assert kong.get("/").status == 500
    assert "Connection refused" in kong.exchange.logs[0].message


def test_an_error_in_the_log_phase_reaches_no_client(make: Make) -> None:
    def event(line: Line) -> None:
        line.send(b"kong.nope", b"")
        line.frame()

    kong, server = make(event, phases=("log",))
    assert kong.get("/").status == 200
    assert server.closed_by_kong.wait(TIMEOUT)
    assert kong.exchange.logs[0].message == 'method "kong.nope" not found'


def test_a_large_body_is_in_a_file_while_the_request_lasts(make: Make) -> None:
    found: list[Any] = []

    def event(line: Line) -> None:
        answer = line.ask("kong.request.get_raw_body")
        found.append(answer)
        if "body_filepath" in answer:
            found.append(Path(answer["body_filepath"]).read_bytes())
        line.end()

    kong, _ = make(event)
    kong.post("/", body=b"small")
    assert found == [{"content": b"small"}]
    body = bytes(range(256)) * 100
    kong.post("/", body=body)
    assert found[2] == body
    assert not Path(found[1]["body_filepath"]).exists()
    kong.faults.error("kong.request.get_raw_body", "cannot")
    kong.post("/", body=b"")
    assert found[3] == {"error": "cannot"}
    assert kong.callbacks[0].error == "cannot"


def test_all_of_a_large_body_without_the_quirk(make: Make) -> None:
    found: list[Any] = []

    def event(line: Line) -> None:
        found.append(line.ask("kong.request.get_raw_body"))
        line.end()

    kong, _ = make(event, body_limit=False)
    kong.post("/", body=b"x" * 100_000)
    assert found == [{"content": b"x" * 100_000}]


# -- faults


def test_a_connection_that_dies_at_a_callback_runs_the_event_again(make: Make) -> None:
    kong, server = make(hello)
    fault = kong.faults.disconnect("kong.response.set_header")
    assert kong.get("/").headers["x-hello"] == "localhost"
    assert fault.hits == 1
    assert server.closed_by_kong.wait(TIMEOUT)
    assert server.commands() == ["cmd_start_instance", "cmd_handle_event"] * 2
    assert logged(kong) == [("warn", "closed")]


def test_a_client_that_goes_away_leaves_the_connection_open(make: Make) -> None:
    answered = threading.Event()

    def event(line: Line) -> None:
        line.ask("kong.request.get_method")
        answered.set()

    kong, server = make(event)
    kong.faults.silence()
    assert kong.get("/").status == 499
    assert ends(kong) == ["abandoned"]
    assert not server.closed_by_kong.is_set()
    kong.close()
    assert server.closed_by_kong.wait(TIMEOUT)
    assert not answered.is_set()


def test_a_failure_is_nil(make: Make) -> None:
    found: list[Any] = []

    def event(line: Line) -> None:
        found.append(line.ask("kong.service.set_upstream", {"v": "none"}))
        found.append(line.ask("kong.request.get_header", {"v": "host"}))
        line.end()

    kong, _ = make(event)
    kong.faults.error("kong.request.get_header", "not today")
    assert kong.get("/").status == 200
    assert found == [{}, {}]
    assert [call.error for call in kong.callbacks] == [
        "could not find an Upstream named 'none'",
        "not today",
    ]


def test_answers_of_ones_own(make: Make) -> None:
    found: list[Any] = []

    def event(line: Line) -> None:
        found.append(line.ask("kong.request.get_header", {"v": "host"}))
        found.append(line.ask("kong.ip.is_trusted", {"v": "1.2.3.4"}))
        line.end()

    kong, _ = make(event)
    kong.faults.answer("kong.request.get_header", lambda name: f"no {name}")
    kong.functions["kong.ip.is_trusted"] = lambda address: address == "1.2.3.4"
    kong.get("/")
    assert found == [{"v": "no host"}, {"v": True}]


# -- the choice of the protocol


def test_there_are_two_protocols() -> None:
    with pytest.raises(GatewayError, match="'http' is not a protocol: say msgpack or protobuf"):
        Gateway(protocol="http")


def test_bugs_are_raised(make: Make) -> None:
    kong, _ = make(lambda line: line.ask("kong.response.get_status"))
    with pytest.raises(PluginBug, match=r"kong\.response\.get_status"):
        kong.get("/", raise_bugs=True)
