"""Events in ProtoBuf:1 over a real socket."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from support import client as msgpack_client
from support.client import TIMEOUT
from support.plugins import Flag, eventually, gated, plugin
from support.protobuf import Client

from pluginserver import Kong, PDKError, PluginServer
from pluginserver.events.callbacks import callback
from pluginserver.rpc.protobuf.messages import encode

BODY = b'{"message":"An unexpected error occurred"}'
CLOSED = {
    "status": 500,
    "body": BODY,
    "headers": {"Content-Type": "application/json; charset=utf-8"},
}


def serve(prefix: Path, *plugins: type, **options: Any) -> PluginServer:
    return PluginServer(prefix / "s.sock", list(plugins), **options)


class Hello:
    name, version, priority = "hello", "1.2.3", 7

    def access(self, kong: Kong) -> None:
        host = kong.request.get_header("host")
        kong.response.set_header("x-hello", f"hello {host}")


@pytest.mark.parametrize("threads", ["own", "shared"])
def test_an_event_has_all_its_callbacks_on_its_connection(prefix: Path, threads: str) -> None:
    kind = plugin(Hello.access, name="hello", threads=threads)
    with serve(prefix, kind) as server, Client(server.socket_path) as client:
        instance = client.start("hello")
        for _ in range(5):
            assert client.play(instance, answers=[{"v": "example.com"}]) == [
                ("kong.request.get_header", {"v": "host"}),
                ("kong.response.set_header", {"k": "x-hello", "v": "hello example.com"}),
            ]


def test_method_and_argument_are_sent_together_and_so_is_the_end(prefix: Path) -> None:
    with serve(prefix, Hello) as server, Client(server.socket_path) as client:
        instance = client.start("hello")
        client.request("cmd_handle_event", instance_id=instance, event_name="access")
        first = client.socket.recv(65536)
        assert first.hex() == (
            "17000000" + b"kong.request.get_header".hex() + "06000000" + "0a04" + b"host".hex()
        )
        client.answer("kong.request.get_header", {"v": "a"})
        client.socket.recv(65536)
        client.send(b"")
        end = client.socket.recv(65536)
        assert end[:4] == bytes(4)
        assert end[8:] == encode("RpcReturn", {"sequence": client.sequence})


def test_both_protocols_are_served_on_one_socket(prefix: Path) -> None:
    with (
        serve(prefix, Hello) as server,
        Client(server.socket_path) as one,
        msgpack_client.Client(server.socket_path) as other,
    ):
        instance = one.start("hello")
        assert other.call("plugin.InstanceStatus", instance)["Name"] == "hello"
        assert other.notifications == [[2, "serverPid", os.getpid()]]
        begun = other.begin(instance)
        assert one.play(instance, answers=[{"v": "x"}])[0][0] == begun["Data"]["Method"]
        out = other.step(begun["EventId"], "y")
        assert out["Data"]["Args"] == ["x-hello", "hello y"]


def test_what_is_asked_besides_events(prefix: Path) -> None:
    with serve(prefix, Hello) as server, Client(server.socket_path) as client:
        before = int(time.time())
        started = client.call("cmd_start_instance", name="hello", config=b"{}")
        status = started["instance_status"]
        assert status["name"] == "hello"
        assert 0 < status["instance_id"] < 2**31
        assert before <= status["started_at"] <= time.time()
        number = status["instance_id"]
        assert client.call("cmd_get_instance_status", instance_id=number) == started
        assert client.call("cmd_get_plugin_names") == {"plugin_names": {"names": ["hello"]}}
        info = client.call("cmd_get_plugin_info", name="hello")["plugin_info"]
        assert (info["name"], info["version"], info["priority"]) == ("hello", "1.2.3", 7)
        assert info["phases"] == ["access"]
        assert info["schema"].startswith('{"name": "hello"')
        assert client.call("cmd_close_instance", instance_id=number) == started
        client.request("cmd_get_instance_status", instance_id=number)
        assert client.ended()


# -- the connection


@pytest.mark.parametrize(
    "start",
    [b"\x94\x00\x05\x00", b"GET / HTTP/1.0\r\n\r\n", b"\xff\xff\xff\xff", b"\x93\x02\xa1s"],
)
def test_a_client_that_speaks_neither_is_closed(prefix: Path, start: bytes) -> None:
    with (
        serve(prefix, Hello, io_timeout=0.3) as server,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.settimeout(TIMEOUT)
        client.connect(str(server.socket_path))
        client.sendall(start)
        assert client.recv(100) == b""


@pytest.mark.parametrize("start", [b"", b"\x94", b"\x94\x00\x01"])
def test_a_client_that_says_too_little_is_closed(prefix: Path, start: bytes) -> None:
    with serve(prefix, Hello, io_timeout=0.2) as server:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT)
            client.connect(str(server.socket_path))
            client.sendall(start)
            assert client.recv(100) == b""
        assert server._pool.counts["io_timeouts"] == 1


def test_a_client_that_has_said_enough_may_be_idle(prefix: Path) -> None:
    with serve(prefix, Hello, io_timeout=0.2) as server, Client(server.socket_path) as client:
        instance = client.start("hello")
        with socket.socket(socket.AF_UNIX) as other:
            other.settimeout(TIMEOUT)
            other.connect(str(server.socket_path))
            assert other.recv(100) == b""  # closed later than the idle one would be
        assert client.play(instance)


def test_the_protocol_is_known_however_the_bytes_are_cut(prefix: Path) -> None:
    with serve(prefix, Hello) as server, Client(server.socket_path) as client:
        call = encode("RpcCall", {"sequence": 9, "cmd_get_plugin_names": {}})
        client.sequence = 9
        for byte in len(call).to_bytes(4, "little") + call:
            client.socket.sendall(bytes([byte]))
        assert client.result() == {"plugin_names": {"names": ["hello"]}}


def test_an_unknown_instance_closes_the_connection(prefix: Path) -> None:
    with serve(prefix, Hello) as server, Client(server.socket_path) as client:
        client.request("cmd_handle_event", instance_id=5, event_name="access")
        assert client.ended()


def test_a_phase_without_a_handler_closes_the_request_and_not_the_connection(prefix: Path) -> None:
    with serve(prefix, Hello) as server, Client(server.socket_path) as client:
        instance = client.start("hello")
        assert client.begin(instance, "rewrite") == ("kong.response.exit", CLOSED)
    with serve(prefix, Hello) as server, Client(server.socket_path) as client:
        instance = client.start("hello")
        assert client.begin(instance, "log") == (
            "kong.log.err",
            ["undefined method log on plugin hello"],
        )
        client.answer("kong.log.err", {})
        assert client.asked() is None
        assert client.play(instance)


def test_a_configuration_that_is_refused_closes_the_connection(
    prefix: Path, caplog: pytest.LogCaptureFixture
) -> None:
    @attrs.define
    class Picky:
        name, version, priority = "picky", "1.0.0", 1
        number: int

        def access(self, kong: Kong) -> None: ...

    with serve(prefix, Picky) as server:
        with Client(server.socket_path) as client:
            client.request("cmd_start_instance", name="picky", config=b'{"number": "x"}')
            assert client.ended()
        with Client(server.socket_path) as client:
            assert client.start("picky", '{"number": 3}')


@pytest.mark.parametrize("junk", [b"\x0a", b"", b"\x08\x05", b"\xff" * 30])
def test_a_frame_that_is_no_call_closes_the_connection(prefix: Path, junk: bytes) -> None:
    with serve(prefix, Hello) as server, Client(server.socket_path) as client:
        client.start("hello")
        client.send(junk)
        assert client.ended()


# -- how events end


def raises(_self: object, _kong: Kong) -> None:
    raise ValueError("broken")


def test_a_handler_that_raises_closes_the_request_and_waits_for_the_end(prefix: Path) -> None:
    with serve(prefix, plugin(raises, preread=raises, log=raises)) as server:
        for phase in ("access", "preread"):
            with Client(server.socket_path) as client:
                name, words = client.begin(client.start("p"), phase) or ("", [])
                assert name == "kong.log.err"
                assert "plugin p failed in" in words[0]
                assert "ValueError: broken" in words[0]
                client.answer(name, {})
                expected = CLOSED if phase == "access" else {"status": 500, "body": BODY}
                assert client.asked() == ("kong.response.exit", expected)
                client.socket.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    client.frame()
        with Client(server.socket_path) as client:
            instance = client.start("p")
            assert [name for name, _ in client.play(instance, "log")] == ["kong.log.err"]
            assert [name for name, _ in client.play(instance, "log")] == ["kong.log.err"]
        assert not server._pool.waiting


def test_a_plugin_may_fail_open(prefix: Path) -> None:
    kind = plugin(raises)
    kind.on_error = "continue"  # type: ignore[attr-defined]
    with serve(prefix, kind) as server, Client(server.socket_path) as client:
        instance = client.start("p")
        assert [name for name, _ in client.play(instance)] == ["kong.log.err"]
        assert [name for name, _ in client.play(instance)] == ["kong.log.err"]


def test_a_callback_that_is_answered_with_the_handlers_exit_ends_the_event(prefix: Path) -> None:
    ended = []

    def access(_self: object, kong: Kong) -> None:
        try:
            kong.response.exit(403, {"no": None}, {"x-a": ["1", "2"], "x-b": 5})
        finally:
            ended.append(True)

    with serve(prefix, plugin(access)) as server, Client(server.socket_path) as client:
        instance = client.start("p")
        assert client.begin(instance) == (
            "kong.response.exit",
            {
                "status": 403,
                "body": b'{"no":null}',
                "headers": {
                    "x-a": ["1", "2"],
                    "x-b": "5",
                    "Content-Type": "application/json; charset=utf-8",
                },
            },
        )
        assert ended == [True]
        client.send(b"")  # Kong does not; a connection that goes on is good for the next event
        assert client.asked() is None
        assert client.begin(instance) is not None


def test_a_handler_that_is_late_closes_the_request(prefix: Path) -> None:
    gate, blocked, access = gated()
    gate.clear()
    with (
        serve(prefix, plugin(access, threads="own", request_timeout=0.2, log=access)) as server,
        Client(server.socket_path) as client,
        Client(server.socket_path) as other,
    ):
        instance = client.start("p")
        assert client.begin(instance) == ("kong.response.exit", CLOSED)
        assert blocked.is_set()
        name, words = other.begin(instance, "log") or ("", [])
        assert (name, words) == ("kong.log.err", ["the plugin did not answer within 0.2 s"])
        other.answer(name, {})
        assert other.asked() is None
        gate.set()
        assert other.play(instance) == []


def test_a_late_handler_that_fails_open_leaves_its_connection_to_the_next_event(
    prefix: Path,
) -> None:
    gate, blocked, access = gated()
    gate.clear()
    kind = plugin(
        access, threads="own", request_timeout=0.2, log=lambda _self, kong: kong.node.get_id()
    )
    kind.on_error = "continue"  # type: ignore[attr-defined]
    with serve(prefix, kind) as server, Client(server.socket_path) as client:
        instance = client.start("p")
        assert client.begin(instance) is None
        assert blocked.is_set()
        asked = client.begin(instance, "log")
        assert asked == ("kong.node.get_id", {})
        gate.set()
        eventually(lambda: not any(t.current for t in server._pool.threads()))
        client.answer(asked[0], {"v": "x"})
        assert client.asked() is None
        assert client.play(instance) == []


def test_an_answer_that_comes_late_closes_the_request(prefix: Path) -> None:
    with (
        serve(prefix, Hello, callback_timeout=0.2) as server,
        Client(server.socket_path) as client,
    ):
        asked = client.begin(client.start("hello"))
        assert asked is not None
        eventually(lambda: not server._pool.waiting)
        client.answer(asked[0], {"v": "late"})
        assert client.asked() == ("kong.response.exit", CLOSED)


@pytest.mark.parametrize("threads", ["own", "shared"])
def test_the_end_of_the_connection_ends_an_event_that_waits(prefix: Path, threads: str) -> None:
    unwound = Flag()

    def access(_self: object, kong: Kong) -> None:
        try:
            kong.request.get_host()
        finally:
            unwound.set()

    with serve(prefix, plugin(access, threads=threads)) as server:
        with Client(server.socket_path) as client:
            client.begin(client.start("p"))
        unwound.wait()
        eventually(lambda: server._pool.counts["abandoned"] == 1)


def test_the_end_of_the_connection_ends_an_event_that_runs(prefix: Path) -> None:
    blocked, unwound = threading.Event(), Flag()

    def access(_self: object, kong: Kong) -> None:
        try:
            blocked.set()
            while True:
                time.sleep(0.01)
        finally:
            unwound.set()

    with serve(prefix, plugin(access, threads="own")) as server:
        with Client(server.socket_path) as client:
            client.request("cmd_handle_event", instance_id=client.start("p"), event_name="access")
            assert blocked.wait(TIMEOUT)
        unwound.wait()
        eventually(lambda: server._pool.counts["abandoned"] == 1)
        eventually(lambda: not server._pool.in_flight)


def test_a_client_is_kept_waiting_by_a_ping(prefix: Path) -> None:
    gate, _, blocks = gated()
    gate.clear()

    def access(self: object, kong: Kong) -> None:
        blocks(self, kong)
        kong.response.set_status(int(kong.request.get_port()))

    with (
        serve(prefix, plugin(access, threads="own"), ping_interval=0.1) as server,
        Client(server.socket_path) as client,
    ):
        assert client.begin(client.start("p")) == ("kong.nginx.get_subsystem", {})
        gate.set()
        client.answer("kong.nginx.get_subsystem", {"v": "http"})
        out = client.asked()
        while out == ("kong.nginx.get_subsystem", {}):
            client.answer(out[0], {"v": "http"})
            out = client.asked()
        assert out == ("kong.request.get_port", {})
        client.answer("kong.request.get_port", {"v": 404})
        assert client.asked() == ("kong.response.set_status", {"v": 404})
        client.answer("kong.response.set_status", {})
        assert client.asked() is None


def test_a_server_that_stops_refuses_new_events_closed(prefix: Path) -> None:
    with serve(prefix, Hello, grace=5.0) as server:
        with Client(server.socket_path) as client, Client(server.socket_path) as other:
            instance = client.start("hello")
            client.begin(instance)
            stopping = threading.Thread(target=server.stop)
            stopping.start()
            eventually(lambda: server._methods.turn_away is not None)
            assert other.begin(instance) == ("kong.response.exit", CLOSED)
            other.close()
            client.answer("kong.request.get_header", {"v": "x"})
            assert client.asked() is not None
            client.send(b"")
            assert client.asked() is None
        stopping.join(TIMEOUT)
        assert not stopping.is_alive()


def test_frames_out_of_turn_close_the_connection(prefix: Path) -> None:
    gate, blocked, access = gated()
    gate.clear()
    with (
        serve(prefix, plugin(access, threads="own")) as server,
        Client(server.socket_path) as client,
    ):
        client.request("cmd_handle_event", instance_id=client.start("p"), event_name="access")
        assert blocked.wait(TIMEOUT)
        client.send(b"")
        assert client.ended()
        gate.set()


def test_an_answer_that_cannot_be_read_is_raised_in_the_handler(prefix: Path) -> None:
    seen = []

    def access(_self: object, kong: Kong) -> None:
        try:
            kong.request.get_host()
        except PDKError as error:
            seen.append(str(error))

    with serve(prefix, plugin(access)) as server, Client(server.socket_path) as client:
        client.begin(client.start("p"))
        client.send(b"\x0a\x05abc")
        assert client.asked() is None
    assert seen == [
        "kong.request.get_host: Kong's answer cannot be read: a field is longer than what it is in"
    ]


def test_what_cannot_be_sent_is_raised_in_the_handler(prefix: Path) -> None:
    seen = []

    def access(_self: object, _kong: Kong) -> None:
        for name, value in (("kong.vault.get", "{x}"), ("kong.response.set_status", "x")):
            try:
                callback(name, value)
            except (PDKError, TypeError) as error:
                seen.append(str(error))

    with serve(prefix, plugin(access)) as server, Client(server.socket_path) as client:
        assert client.play(client.start("p")) == []
    assert seen[0] == (
        "Kong's ProtoBuf:1 has no kong.vault.get: serve this plugin with protocol = 'msgpack'"
    )
    assert seen[1].startswith(
        "kong.response.set_status: Kong's ProtoBuf:1 cannot carry this: "
        "pluginserver.rpc.protobuf.wire.WireError: v: 'x' is not a whole number of 32 bits"
    )


@pytest.mark.parametrize("size", [100, 300_000, 5_000_000])
def test_bodies_go_both_ways(prefix: Path, size: int) -> None:
    sent = os.urandom(size)
    got: list[bytes] = []

    def access(_self: object, kong: Kong) -> None:
        got.append(kong.request.get_raw_body())
        kong.service.request.set_raw_body(got[0])

    with serve(prefix, plugin(access)) as server, Client(server.socket_path) as client:
        calls = client.play(client.start("p"), answers=[{"content": sent}])
        assert got == [sent]
        assert calls[1] == ("kong.service.request.set_raw_body", {"v": sent})


def test_a_retired_instance_is_told_once_by_the_end_of_the_connection(
    prefix: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    code = (
        "version = '1.0.0'\npriority = {}\n\n\nclass Plugin:\n"
        "    def access(self, kong):\n        kong.response.set_status({})\n"
    )
    file.write_text(code.format(1, 201))
    with PluginServer(prefix / "s.sock", [file]) as server:
        with Client(server.socket_path) as client:
            instance = client.start("mine")
            assert client.play(instance)[0][1] == {"v": 201}
            file.write_text(code.format(1, 202))
            server.reload([file])
            client.request("cmd_handle_event", instance_id=instance, event_name="access")
            assert client.ended()
        with Client(server.socket_path) as client:
            assert client.play(client.start("mine"))[0][1] == {"v": 202}
            assert client.play(instance)[0][1] == {"v": 201}


def test_many_events_at_once(prefix: Path) -> None:
    def access(_self: object, kong: Kong) -> None:
        for number in range(5):
            assert kong.request.get_header(f"h{number}") == f"v{number}"

    def run(client: Client, play: Callable[..., list[Any]]) -> None:
        instance = client.start("p")
        for _ in range(20):
            answers = [{"v": f"v{number}"} for number in range(5)]
            done.append(len(play(instance, answers=answers)))

    done: list[int] = []
    with serve(prefix, plugin(access), round_trips="plain") as server:
        clients = [Client(server.socket_path) for _ in range(8)]
        threads = [threading.Thread(target=run, args=(one, one.play)) for one in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
        for one in clients:
            one.close()
    assert done == [5] * 160


def test_a_connection_that_is_closed_in_the_middle_is_not_missed(prefix: Path) -> None:
    with serve(prefix, Hello) as server:
        with Client(server.socket_path) as client:
            instance = client.start("hello")
        for _ in range(20):
            with Client(server.socket_path) as client:
                client.request("cmd_handle_event", instance_id=instance, event_name="access")
        eventually(lambda: not server._pool.waiting and not server._pool.connections)
        with Client(server.socket_path) as client:
            assert client.play(instance)
