"""One server takes over from another: what Kong notices of it, which is nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from support import protobuf
from support.client import TIMEOUT, Client, Closed, Failed, pack
from support.commands import MODULE, run, running
from support.hops import PLUGIN, Load, Pool, soon
from support.plugins import eventually, listens

from pluginserver import Kong, PluginServer
from pluginserver.errors import LinkError, SocketInUseError
from pluginserver.rpc import asking, handover, link, succession
from pluginserver.rpc.link import Link
from pluginserver.rpc.protobuf.messages import encode
from pluginserver.rpc.protobuf.wire import frame
from pluginserver.runtime.connection import Connection


@pytest.fixture
def pool(prefix: Path) -> Iterator[Pool]:
    pool = Pool(prefix / "s")
    yield pool
    pool.close()


@pytest.fixture
def arguments(prefix: Path) -> tuple[Any, ...]:
    (prefix / "plugins").mkdir()
    (prefix / "plugins" / "hops.py").write_text(PLUGIN)
    return (*MODULE, "-socket", prefix / "s", "-plugins-directory", prefix / "plugins")


def test_takeovers_under_load_lose_nothing(
    arguments: tuple[Any, ...], pool: Pool, prefix: Path
) -> None:
    rounds = 4
    with ExitStack() as stack:
        arguments = (*soon(arguments), f"-linger={TIMEOUT}")
        server = stack.enter_context(running(*arguments))
        first = server.process.pid
        load = Load(pool, 8)
        for number in range(rounds):
            load.more(20)
            if number % 2:
                server.signal(signal.SIGTERM)
            successor = stack.enter_context(running(*arguments))
            assert server.end() == 0, server.lines
            server = successor
        load.more(20)
        assert load.stop() > 20 * (rounds + 1)
        assert pool.greetings == {first}
        assert len(load.processes) == rounds + 1
        pool.close()
        server.signal(signal.SIGTERM)
        assert server.end() == 0
    assert not (prefix / "s").exists()


def test_who_may_not_replace_is_refused(arguments: tuple[Any, ...], pool: Pool) -> None:
    for old, new in (("-no-replace",), ()), ((), ("-no-replace",)):
        with running(*arguments, *old) as server:
            instance = pool.start("one")
            refused = run(*arguments, *new)
            assert refused.returncode == 1
            assert b"another server is listening" in refused.stderr.splitlines()[-1]
            assert pool.play(instance, "one") == server.process.pid
            pool.close()
            server.signal(signal.SIGTERM)
            assert server.end() == 0


def test_a_successor_without_the_plugin_is_refused(
    arguments: tuple[Any, ...], pool: Pool, prefix: Path
) -> None:
    (prefix / "others").mkdir()
    with running(*arguments) as server:
        load = Load(pool, 2)
        load.more(5)
        refused = run(*arguments[:-1], prefix / "others")
        assert refused.returncode == 1
        assert b"cannot be started here" in refused.stderr.splitlines()[-1]
        load.more(5)
        load.stop()
        assert load.processes == {server.process.pid}
        server.wait_for("this server goes on")


# -- two servers in one process


class Hops:
    """Asks, or hangs in its gate, or answers with much."""

    name, version, priority = "hops", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        kong.call("kong.test")

    def rewrite(self, kong: Kong) -> None:
        kong.call("kong.before")
        entered.set()
        assert gate.wait(TIMEOUT)
        kong.call("kong.after")

    def response(self, kong: Kong) -> None:
        kong.call("kong.much", "x" * MUCH)


MUCH = 4_000_000
REFUSED = {"Method": "kong.response.error", "Args": [500]}
PING = {"Method": "kong.nginx.get_subsystem", "Args": None}
entered, gate = threading.Event(), threading.Event()


class Slow:
    """Takes its time to be configured."""

    name, version, priority = "slow", "1.0.0", 1

    def __init__(self, _config: dict[str, Any]) -> None:
        configuring.set()
        assert may_configure.wait(TIMEOUT)

    def access(self, kong: Kong) -> None:
        kong.call("kong.test")


configuring, may_configure = threading.Event(), threading.Event()


@pytest.fixture
def path(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A socket's path; takeovers may follow each other, and all gates are closed."""
    monkeypatch.setattr(succession, "SETTLED", 0.0)
    for one in entered, gate, configuring, may_configure:
        one.clear()
    yield prefix / "s"
    gate.set()
    may_configure.set()


@contextmanager
def serving(path: Path, *plugins: Any, **options: Any) -> Iterator[PluginServer]:
    """A server that can be replaced; it is told to stop at the end, and must end."""
    server = PluginServer(
        path,
        plugins or [Hops, Slow],
        **{"replace": True, "linger": 0, "grace": TIMEOUT, **options},
    )
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(server.run)
        eventually(lambda: run.done() or server._started)
        if run.done():
            run.result()
        try:
            yield server
        finally:
            gate.set()
            server.request_stop()
            run.result(TIMEOUT)


def ended(server: PluginServer) -> bool:
    return server._succession.handed_over and not server._started


def test_what_is_half_read_and_half_sent_moves_with_its_connection(path: Path) -> None:
    with serving(path) as old, Client(path) as half, Client(path) as full:
        instance = half.start("hops")
        request = pack(
            [0, 77, "plugin.HandleEvent", [{"InstanceId": instance, "EventName": "access"}]]
        )
        half.send(request[:20])
        full.request("plugin.HandleEvent", {"InstanceId": instance, "EventName": "response"})
        eventually(lambda: len(old._pool.waiting) == 1)
        with serving(path):
            half.send(request[20:] + request[:5])
            _, message_id, error, result = half.response()
            assert (message_id, error) == (77, None)
            half.send(request[5:])
            assert half.response()[3]["Data"]["Method"] == "kong.test"
            much = full.response()[3]
            assert much["Data"]["Args"] == ["x" * MUCH]
            assert full.step(much["EventId"])["Data"] == "ret"
            assert half.step(result["EventId"])["Data"] == "ret"
            eventually(lambda: ended(old))


@pytest.mark.parametrize("rest", [0, 30_000])
def test_a_long_request_moves_when_the_thread_that_reads_it_gives_it_back(
    path: Path, monkeypatch: pytest.MonkeyPatch, rest: int
) -> None:
    """The request is whole, and decoded, when it moves, or it is not."""
    was_read, may_return = threading.Event(), threading.Event()
    read_on = Connection.read_on

    def held(connection: Connection[Any], patience: float) -> bool:
        while read_on(connection, patience if rest else TIMEOUT):
            pass
        was_read.set()
        assert may_return.wait(TIMEOUT)
        return False

    with serving(path) as old, Client(path) as client:
        instance = client.start("hops")
        event = client.begin(instance)["EventId"]
        request = pack([0, 77, "plugin.Step", [{"EventId": event, "Data": "x" * 350_000}]])
        monkeypatch.setattr(Connection, "read_on", held)
        client.send(request[: len(request) - rest])
        assert was_read.wait(TIMEOUT)
        with serving(path) as new:
            eventually(lambda: old._pool.moving is not None)
            assert len(old._pool.connections) == 1, "who is lent does not move"
            may_return.set()
            if rest:
                eventually(lambda: len(new._pool.connections) == 1)
                client.send(request[-rest:])
            _, message_id, error, result = client.response()
            assert (message_id, error, result["Data"]) == (77, None, "ret")
            eventually(lambda: ended(old))


def test_more_connections_than_one_message_takes(path: Path) -> None:
    with serving(path) as old, ExitStack() as stack:
        clients = [stack.enter_context(Client(path)) for _ in range(450)]
        instance = clients[0].start("hops")
        with serving(path):
            eventually(lambda: ended(old))
            for client in clients:
                assert client.play(instance) == [("kong.test", None)]


def test_an_event_goes_on_where_it_runs_until_it_ends(path: Path) -> None:
    with serving(path) as old, Client(path) as client, Client(path) as other:
        instance = client.start("hops")
        waits = client.begin(instance)["EventId"]
        runs = client.begin(instance, "rewrite")["EventId"]
        client.request("plugin.Step", {"EventId": runs})
        assert entered.wait(TIMEOUT)
        with serving(path) as new:
            assert other.play(instance) == [("kong.test", None)]
            assert other.step(waits)["Data"] == "ret"
            with pytest.raises(Failed, match=f"event {runs} is running"):
                other.step(runs)
            assert list(old._pool.connections.values()) and not ended(old)
            gate.set()
            assert client.response()[3]["Data"]["Method"] == "kong.after"
            assert client.step(runs)["Data"] == "ret"
            eventually(lambda: ended(old))
            for gone in waits, runs:
                with pytest.raises(Failed, match=f"No running event {gone}"):
                    client.step(gone)
            eventually(lambda: new._methods.predecessor is None)


class Bodies:
    """Asks for the body, and sends it on."""

    name, version, priority = "bodies", "1.0.0", 1

    def access(self, kong: Kong) -> None:
        kong.service.request.set_raw_body(kong.request.get_raw_body())


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_an_event_of_protobuf_ends_in_the_old_server_and_then_its_connection_moves(
    path: Path, size: int
) -> None:
    body = bytes(size)
    with (
        serving(path, Bodies) as old,
        protobuf.Client(path) as client,
        protobuf.Client(path) as idle,
    ):
        instance = client.start("bodies")
        assert idle.play(instance)
        asked = client.begin(instance)
        assert asked == ("kong.request.get_raw_body", {})
        with serving(path, Bodies) as new:
            assert idle.play(instance)  # by the new server: the old one reads no call any more
            assert not ended(old)
            client.answer(asked[0], {"content": body})
            assert client.asked() == ("kong.service.request.set_raw_body", {"v": body})
            assert len(old._pool.connections) == 1
            client.send(b"")
            assert client.asked() is None
            eventually(lambda: ended(old))
            assert client.play(instance)
            eventually(lambda: new._methods.predecessor is None)


def test_a_long_answer_that_is_being_read_when_the_connections_move(path: Path) -> None:
    body = bytes(4_000_000)
    with serving(path, Bodies) as old, protobuf.Client(path) as client:
        instance = client.start("bodies")
        assert client.begin(instance) is not None
        data = frame(encode("RawBodyResult", {"content": body}))
        client.socket.sendall(data[:1_000_000])
        eventually(lambda: any(one.lent for one in old._pool.connections.values()))
        with serving(path, Bodies):
            eventually(lambda: old._pool.moving is not None)
            client.socket.sendall(data[1_000_000:])
            assert client.asked() == ("kong.service.request.set_raw_body", {"v": body})
            client.send(b"")
            assert client.asked() is None
            eventually(lambda: ended(old))
            assert client.play(instance)


def test_what_answers_a_ping_reaches_the_event_that_runs_in_the_old_server(path: Path) -> None:
    with serving(path, ping_interval=0.05) as old, Client(path) as client, Client(path) as other:
        instance = client.start("hops")
        runs = client.begin(instance, "rewrite")["EventId"]
        assert client.step(runs)["Data"] == PING
        with serving(path):
            assert other.play(instance) == [("kong.test", None)]
            eventually(lambda: not old._pool.connections)
            assert client.step(runs, "http")["Data"] == PING
            assert not ended(old)
            other.request("plugin.Step", {"EventId": runs, "Data": "http"})
            gate.set()
            out = other.response()[3]
            while out["Data"] == PING:
                out = client.step(runs, "http")
            assert out["Data"]["Method"] == "kong.after"
            assert client.step(runs)["Data"] == "ret"
            eventually(lambda: ended(old))


def test_a_ping_that_kong_does_not_answer_holds_the_old_server_up_no_longer_than_its_grace(
    path: Path,
) -> None:
    with serving(path, ping_interval=0.05, grace=0.2) as old, Client(path) as client:
        instance = client.start("hops")
        runs = client.begin(instance, "rewrite")["EventId"]
        assert client.step(runs)["Data"] == PING
        with serving(path):
            assert client.play(instance) == [("kong.test", None)]
            eventually(lambda: ended(old))
            with pytest.raises(Failed, match=f"No running event {runs}"):
                client.step(runs, "http")


def test_a_socket_file_that_was_removed_before_is_handed_over_as_it_is_now(path: Path) -> None:
    with serving(path) as old, Client(path) as client:
        instance = client.start("hops")
        path.unlink()
        eventually(lambda: listens(path))
        with Client(path) as late, serving(path) as new:
            eventually(lambda: ended(old))
            assert old.bound is None
            assert path.exists()
            for one in client, late:
                assert one.play(instance) == [("kong.test", None)]
            with Client(path) as newest:
                assert newest.play(instance) == [("kong.test", None)]
            path.unlink()
            eventually(lambda: listens(path))
            with Client(path) as newest:
                assert newest.play(instance) == [("kong.test", None)]
            assert new.failure is None


def test_who_asked_for_an_instance_is_known_to_the_successor(path: Path) -> None:
    with serving(path) as old, Client(path) as client:
        client.start("hops")
        with serving(path) as new:
            eventually(lambda: ended(old))
            (instance,) = new._instances.all()
            assert (instance.client.pid, instance.client.known) == (os.getpid(), True)


def test_an_instance_on_old_code_starts_on_the_new_code(path: Path, prefix: Path) -> None:
    plugin = prefix / "turns.py"
    code = "version='1'\npriority=1\nclass Plugin:\n def access(self, kong):\n  kong.call('kong.{}')\n"
    plugin.write_text(code.format("old"))
    with serving(path, str(plugin)) as old, Client(path) as client:
        instance = client.start("turns")
        plugin.write_text(code.format("new"))
        old.reload([plugin])
        with serving(path, str(plugin)):
            eventually(lambda: ended(old))
            assert client.play(instance) == [("kong.new", None)]


def test_after_the_grace_nobody_waits_for_the_old_server(path: Path) -> None:
    with serving(path, grace=0.2) as old, Client(path) as client:
        instance = client.start("hops")
        event = client.begin(instance)["EventId"]
        with serving(path):
            eventually(lambda: ended(old))
            with pytest.raises(Failed, match=f"No running event {event}"):
                client.step(event)
            assert client.play(instance) == [("kong.test", None)]


def test_what_still_runs_after_the_grace_is_refused_before_its_connection_moves(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [0.0]
    monkeypatch.setattr(handover, "monotonic", lambda: monotonic() + late[0])
    with serving(path, request_timeout=TIMEOUT) as old, Client(path) as one, Client(path) as two:
        instance = one.start("hops")
        here, there = (client.begin(instance, "rewrite")["EventId"] for client in (one, two))
        one.request("plugin.Step", {"EventId": here})
        assert entered.wait(TIMEOUT)
        entered.clear()
        with serving(path) as new:
            eventually(lambda: len(new._pool.connections) == 1)
            two.request("plugin.Step", {"EventId": there})
            assert entered.wait(TIMEOUT), "it does not run in the old server"
            late[0] = TIMEOUT
            for client in one, two:
                assert client.response()[3]["Data"] == REFUSED
            gate.set()
            for client in one, two:
                assert client.play(instance) == [("kong.test", None)]
            eventually(lambda: ended(old))


def test_a_connection_that_does_not_come_to_rest_holds_the_old_server_up_no_longer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [0.0]
    monkeypatch.setattr(handover, "monotonic", lambda: monotonic() + late[0])
    with serving(path) as old, Client(path) as client:
        instance = client.start("hops")
        (connection,) = old._pool.connections.values()
        connection.expect()
        with serving(path):
            eventually(lambda: old._pool.moving is not None)
            late[0] = TIMEOUT
            eventually(lambda: bool(old._pool.refusing))
            late[0] += TIMEOUT
            eventually(lambda: ended(old))
            with pytest.raises(Closed):
                client.play(instance)


def test_an_instance_that_starts_meanwhile_follows_before_kong_knows_it(path: Path) -> None:
    with serving(path) as old, Client(path) as client, Client(path) as other:
        asked = client.request("plugin.StartInstance", {"Name": "slow", "Config": "{}"})
        assert configuring.wait(TIMEOUT)
        with serving(path) as new:
            eventually(lambda: len(old._pool.connections) == 1)
            may_configure.set()
            _, answered, error, result = client.response()
            assert (answered, error) == (asked, None)
            assert client.play(result["Id"]) == [("kong.test", None)]
            assert other.call("plugin.InstanceStatus", result["Id"]) == result
            assert result["Id"] in {one.id for one in new._succession._instances.all()}
            eventually(lambda: ended(old))


# -- a successor that is not one


def ask(path: Path, **about: Any) -> tuple[Link, list[Any]]:
    """Ask as a successor does; gives the link and the answer."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    one = Link(sock)
    one.send(0, 5, link.TAKE_OVER, [{"Version": 1, "Pid": 1, "Descriptors": 1000, **about}])
    while (frame := one.receive(TIMEOUT)) is not None and frame[0] != 1:
        pass
    assert frame is not None and frame[1] == 5
    return one, frame


def test_the_frames_of_a_takeover_that_fails(path: Path) -> None:
    with serving(path) as server, Client(path) as client:
        one, two, three = (client.start("hops") for _ in range(3))
        client.call("plugin.CloseInstance", three)
        successor, (_, _, error, answer) = ask(path)
        assert error is None
        assert answer["Pid"] == os.getpid()
        assert [known[:3] for known in answer["Instances"]] == [
            [one, "hops", "{}"],
            [two, "hops", "{}"],
        ]
        refused, (_, _, error, _) = ask(path)
        assert error == "another process is taking over"
        refused.release()

        four = client.start("hops")
        client.call("plugin.CloseInstance", two)
        successor.send("ready")
        told = [successor.receive(TIMEOUT) for _ in range(3)]
        assert [frame[:3] for frame in told if frame is not None] == [
            ["instance", four, "hops"],
            ["closed", two],
            ["all"],
        ]
        ask(path)[0].release()
        with ThreadPoolExecutor(1) as pool:
            start = pool.submit(client.start, "hops")
            frame = successor.receive(TIMEOUT)
            assert frame is not None and frame[0] == "instance"
            assert not start.done()
            successor.send("started", frame[1], None)
            assert start.result(TIMEOUT) == frame[1]
        event = client.begin(four)["EventId"]
        successor.release()
        eventually(lambda: server._succession._handover is None)
        assert client.step(event)["Data"] == "ret"
        assert client.play(client.start("hops")) == [("kong.test", None)]
        with Client(path) as late:
            assert late.play(four) == [("kong.test", None)]
        with serving(path):
            eventually(lambda: ended(server))
            assert client.play(four) == [("kong.test", None)]


def test_an_instance_that_the_successor_cannot_start_ends_the_takeover(path: Path) -> None:
    with serving(path) as server, Client(path) as client, ThreadPoolExecutor(1) as pool:
        successor, _ = ask(path)
        successor.send("ready")
        assert successor.receive(TIMEOUT) == ["all"]
        start = pool.submit(client.start, "hops")
        frame = successor.receive(TIMEOUT)
        assert frame is not None
        successor.send("started", frame[1], "it does not fit")
        assert client.play(start.result(TIMEOUT)) == [("kong.test", None)]
        eventually(lambda: server._succession._handover is None)
        with pytest.raises(LinkError):
            successor.receive(TIMEOUT)
        successor.release()


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({"Version": 2}, "the two servers are of different versions"),
        ({"Descriptors": 3}, "it may open 3 files, and"),
        ({"Descriptors": None}, "the two servers are of different versions"),
    ],
)
def test_who_is_not_fit_is_refused(path: Path, about: dict[str, Any], why: str) -> None:
    with serving(path), Client(path) as client:
        successor, (_, _, error, _) = ask(path, **about)
        assert why in error
        assert client.play(client.start("hops")) == [("kong.test", None)]
        successor.release()


def test_a_socket_that_was_handed_to_a_server_is_not_handed_on(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        server = PluginServer(path, [Hops], replace=True, grace=0)
        server.inherit(os.dup(listening.fileno()))
        with server, Client(path) as client:
            successor, (_, _, error, _) = ask(path)
            assert error == "its socket is not its own, but was handed to it"
            assert client.play(client.start("hops")) == [("kong.test", None)]
            successor.release()


def test_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(path):
        monkeypatch.setattr(handover, "user_of", lambda _sock: os.geteuid() + 1)
        with pytest.raises(SocketInUseError, match="it is another user's process"):
            PluginServer(path, [Hops], replace=True).start()
        monkeypatch.setattr(asking, "user_of", lambda _sock: os.geteuid() + 1)
        with pytest.raises(SocketInUseError, match="it is another user's"):
            PluginServer(path, [Hops], replace=True).start()


def test_who_has_just_taken_over_stays_unless_told_to_stop(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(path) as first, Client(path) as client:
        instance = client.start("hops")
        with serving(path, linger=TIMEOUT) as second:
            eventually(lambda: ended(first))
            monkeypatch.setattr(succession, "SETTLED", 60.0)
            with pytest.raises(SocketInUseError, match="taken over less than 60 s ago"):
                PluginServer(path, [Hops], replace=True).start()
            second.request_stop()
            with serving(path, Hops):
                eventually(lambda: ended(second))
                assert client.play(instance) == [("kong.test", None)]


def greet(listening: socket.socket) -> None:
    """Greet three clients, and answer nothing."""
    for _ in range(3):
        client, _ = listening.accept()
        with client, contextlib.suppress(OSError):
            client.sendall(pack([2, "serverPid", [1]]))
            while client.recv(4096):
                pass


def test_a_server_that_does_not_answer_is_not_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ANSWER", 0.1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        threading.Thread(target=greet, args=(silent,), daemon=True).start()
        with pytest.raises(SocketInUseError, match=r"it does not answer within 0\.1 s"):
            PluginServer(path, [Hops], replace=True).start()


def test_a_server_that_ends_meanwhile_is_followed_as_if_there_was_none(path: Path) -> None:
    class Ends(Slow):
        name = "ends"

    with serving(path, Ends, linger=TIMEOUT) as old, Client(path) as client:
        may_configure.set()
        instance = client.start("ends")
        may_configure.clear()
        configuring.clear()
        new = PluginServer(path, [Ends], replace=True, grace=0)
        with ThreadPoolExecutor(1) as pool:
            start = pool.submit(new.start)
            assert configuring.wait(TIMEOUT)
            old.stop(grace=0)
            may_configure.set()
            start.result(TIMEOUT)
        with ExitStack() as stack:
            stack.callback(new.stop)
            late = stack.enter_context(Client(path))
            assert late.play(instance) == [("kong.test", None)]


def test_inside_of_a_program_nobody_is_replaced(path: Path) -> None:
    with serving(path, replace=False), Client(path) as client:
        with pytest.raises(SocketInUseError, match="can't find service"):
            PluginServer(path, [Hops], replace=True).start()
        assert client.play(client.start("hops")) == [("kong.test", None)]
