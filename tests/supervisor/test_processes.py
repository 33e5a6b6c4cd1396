"""Servers of several processes, as they run: real processes on both sides."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.client import Client
from support.commands import MODULE, Running, run, running, stop
from support.peer import Peer
from support.plugins import eventually

from pluginserver.cli.member import OPEN

HEAD = "import os, sys, time\nversion, priority = '1.0.0', 1\n"

TELLS = (
    HEAD
    + "class Plugin:\n    def access(self, kong):\n        kong.call('kong.process', os.getpid())\n"
)


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    directory = tmp_path / "plugins"
    directory.mkdir()
    (directory / "tells.py").write_text(TELLS)
    return directory


class Whole(Running):
    """A supervisor and its members."""

    def __init__(self, server: Running, path: Path) -> None:
        self.__dict__.update(server.__dict__)
        self.path = path

    @property
    def members(self) -> list[int]:
        """The process ids of the members that run now."""
        return children(self.process.pid)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(one) for one in text.split()]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def serving(
    plugins: Path, prefix: Path, *flags: str, ready: str = "listening ", **options: Any
) -> Iterator[Whole]:
    arguments = ("-socket", prefix / "s", "-plugins-directory", plugins, "-processes=2", *flags)
    with running(*MODULE, *arguments, ready=ready, **options) as server:
        yield Whole(server, prefix / "s")


@contextmanager
def peers(server: Whole, number: int = 2) -> Iterator[list[Peer]]:
    """Clients, connected one after the other; with two and two members each has one for itself."""
    with ExitStack() as stack:
        found = [stack.enter_context(Peer(server.path)) for _ in range(number)]
        for peer in found:
            peer.connect()
            peer.play()
        yield found


def process(peer: Peer) -> int:
    """The one process that serves all connections of a peer, and is what its greetings said."""
    (pair,) = {tuple(pair) for pair in peer.play()}
    assert pair[0] == pair[1]
    return pair[0]


def again(peer: Peer) -> int:
    """The same, for new connections; one that a member took into its grave is made anew, as Kong does it."""
    for _ in range(100):
        peer.ask("drop")
        peer.connect()
        if not isinstance(peer.play(), str):
            return process(peer)
    raise AssertionError("nobody serves")


# -- who serves whom


def test_all_connections_of_a_process_go_to_one_member_and_the_load_is_even(
    plugins: Path, prefix: Path
) -> None:
    with serving(plugins, prefix) as server, peers(server, 4) as clients:
        for peer in clients:
            peer.connect(3)
        served = [process(peer) for peer in clients]
        assert sorted(served) == sorted(2 * server.members)
        assert [again(peer) for peer in clients] == served, "while it lives a client stays"


def test_who_has_ended_leaves_its_place(plugins: Path, prefix: Path) -> None:
    with serving(plugins, prefix) as server, peers(server, 4) as clients:
        first, second, third, _ = clients
        left = {process(first), process(third)}
        assert len(left) == 1
        for peer in first, third:
            peer.process.kill()
            peer.process.wait()
        with peers(server, 2) as new:
            assert {process(peer) for peer in new} == left
        assert process(second) not in left


def test_no_client_chooses_the_plugins_directory(plugins: Path, prefix: Path) -> None:
    with serving(plugins, prefix) as server, peers(server, 1) as (peer,):
        answer = peer.ask("call", "plugin.SetPluginDir", str(plugins))
        assert answer.startswith("Failed: SetPluginDir is refused: with -processes")


def test_the_supervisor_has_one_thread_and_no_plugins_code(plugins: Path, prefix: Path) -> None:
    loaded = prefix / "loaded"
    (plugins / "loads.py").write_text(
        f"{HEAD}with open({str(loaded)!r}, 'a') as file:\n    print(os.getpid(), file=file)\n"
        "class Plugin:\n    def access(self, kong):\n        pass\n"
    )
    with serving(plugins, prefix) as server, peers(server) as clients:
        for peer in clients:
            process(peer)
        assert len(list(Path(f"/proc/{server.process.pid}/task").iterdir())) == 1
        assert sorted(map(int, loaded.read_text().split())) == sorted(server.members)


def test_each_line_of_a_member_says_whose_it_is(plugins: Path, prefix: Path) -> None:
    with serving(plugins, prefix) as server:
        begun = [line for line in server.lines if "serving" in line]
        assert sorted(re.findall(r"member=(\d)", line)[0] for line in begun) == ["1", "2"]
        assert "member" not in server.lines[-1]


def test_one_process_has_no_supervisor(plugins: Path, prefix: Path) -> None:
    flags = ("-processes=1", "-frozen-timeout=0")
    with (
        serving(plugins, prefix, *flags, ready="listening") as server,
        peers(server, 1) as (peer,),
    ):
        assert process(peer) == server.process.pid
        assert server.members == []


def test_a_plugin_that_serves_itself(plugins: Path, prefix: Path) -> None:
    path = plugins / "tells.py"
    path.write_text("import pluginserver\n" + TELLS + "pluginserver.main()\n")
    with running(path, "-kong-prefix", prefix, "-processes=2", ready="listening ") as server:
        whole = Whole(server, prefix / "tells.socket")
        with peers(whole) as clients:
            assert sorted(map(process, clients)) == sorted(whole.members)


# -- members that end


def test_a_member_that_is_killed_is_replaced_and_the_others_notice_nothing(
    plugins: Path, prefix: Path
) -> None:
    with serving(plugins, prefix) as server, peers(server) as (first, second):
        victim, other = process(first), process(second)
        os.kill(victim, signal.SIGKILL)
        assert again(first) != victim
        assert process(second) == other, "on the connection that it had"
        server.wait_for("was ended by SIGKILL: another one is started")
        eventually(lambda: len(server.members) == 2)
        assert victim not in server.members and other in server.members


def test_a_member_that_hangs_is_replaced(plugins: Path, prefix: Path) -> None:
    with (
        serving(plugins, prefix, "-frozen-timeout=1.6") as server,
        peers(server) as (first, second),
    ):
        victim = process(first)
        stop(victim)
        server.wait_for(f"gives no sign of life and is killed process={victim}")
        assert again(first) != victim
        assert again(second) != victim
        assert not lives(victim)


def test_a_client_that_a_hung_member_did_not_take_is_served_by_the_next_one(
    plugins: Path, prefix: Path
) -> None:
    with (
        serving(plugins, prefix, "-frozen-timeout=0") as server,
        peers(server) as (first, second),
    ):
        victim = process(first)
        first.ask("drop")
        stop(victim)
        first.connect()
        second.ask("drop")
        second.connect()
        assert process(second) != victim  # by now the supervisor has handed over both
        os.kill(victim, signal.SIGKILL)
        assert process(first) != victim, "on the connection that it had"


def test_nobody_is_asked_for_a_sign_of_life_without_a_time_out(
    plugins: Path, prefix: Path
) -> None:
    with serving(plugins, prefix, "-frozen-timeout=0") as server, peers(server) as (first, _):
        stopped = process(first)
        stop(stopped)
        server.signal(signal.SIGUSR2)
        server.wait_for("it does not answer")
        os.kill(stopped, signal.SIGCONT)
        assert process(first) == stopped


def test_a_frozen_member_is_ended_by_its_watcher_and_its_stacks_are_told(
    plugins: Path, prefix: Path
) -> None:
    (plugins / "froze.py").write_text(
        HEAD + "class Plugin:\n    def access(self, kong):\n        sum(range(10**12))\n"
    )
    with (
        serving(plugins, prefix, "-frozen-timeout=1.2") as server,
        peers(server) as (first, _second),
    ):
        first.tell("play", "froze")
        server.wait_for("it was killed; the stacks are in")
        assert first.answer().startswith("Closed")
        server.wait_for("the last server at this socket was killed")


def test_members_that_end_again_and_again_are_told_of_once(plugins: Path, prefix: Path) -> None:
    crash = plugins.parent / "crash"
    (plugins / "falls.py").write_text(
        f"{HEAD}if os.path.exists({str(crash)!r}):\n    os._exit(3)\n"
        "class Plugin:\n    def access(self, kong):\n        pass\n"
    )
    with serving(plugins, prefix) as server, peers(server) as (first, second):
        victim, other = process(first), process(second)
        crash.touch()
        os.kill(victim, signal.SIGKILL)
        server.wait_for("does not stay, and ended with exit code 3")
        assert again(first) == other, "who cannot wait any longer is served by another one"
        crash.unlink()
        eventually(lambda: len(server.members) == 2)
        with Peer(server.path) as third:

            def elsewhere() -> bool:
                third.ask("drop")
                third.connect()
                return process(third) != other

            third.connect()
            if process(third) == other:  # the place was not open yet
                third.process.kill()
            else:
                assert elsewhere()
        server.signal(signal.SIGTERM)
        assert server.end() == 0
        assert len([line for line in server.lines if "does not stay" in line]) == 1


def test_the_whole_ends_when_a_member_cannot_start(plugins: Path, prefix: Path) -> None:
    flags = ("-socket", prefix / "s", "-processes=2")
    ended = run(*MODULE, *flags, "-plugins-directory", plugins / "missing")
    assert ended.returncode == 1
    lines = ended.stderr.decode().splitlines()
    assert "pluginserver: a process of the server could not start: see the lines above" in lines
    assert [line for line in lines if "missing" in line]
    assert not (prefix / "s").exists()


def test_a_socket_that_is_in_use_is_not_taken(plugins: Path, prefix: Path) -> None:
    with serving(plugins, prefix) as server:
        refused = run(*MODULE, "-socket", server.path, "-processes=2", "-no-replace")
        assert refused.returncode == 1
        assert b"another server is listening" in refused.stderr.splitlines()[-1]


# -- the end of the whole


def test_the_end_lets_running_events_finish_and_leaves_nothing_behind(
    plugins: Path, prefix: Path
) -> None:
    with (
        serving(plugins, prefix, "-linger=0", "-grace=60") as server,
        peers(server) as (first, second),
    ):
        members = server.members
        first.connect()
        event, (ran,) = first.ask("begin", "tells")
        server.signal(signal.SIGTERM)
        server.wait_for("asked to stop")
        eventually(lambda: len(server.members) == 1)
        assert server.members == [ran]
        with Peer(server.path) as new:
            new.connect()
            ((status, _),) = new.play()
            assert status == 500
        assert first.ask("step", event) == "ret"
        assert server.end() == 0, server.lines
        assert not any(map(lives, members))
        assert not server.path.exists()
        assert second.ask("connect", 1).startswith("FileNotFoundError")


def test_the_whole_goes_on_for_a_while_when_clients_are_connected(
    plugins: Path, prefix: Path
) -> None:
    with serving(plugins, prefix, "-linger=60") as server, peers(server) as (first, second):
        served = process(first)
        server.signal(signal.SIGTERM)
        server.wait_for("asked to stop")
        assert again(first) == served
        first.ask("drop")
        second.ask("drop")
        assert server.end() == 0, server.lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_all_at_once(plugins: Path, prefix: Path, number: int) -> None:
    with serving(plugins, prefix, "-grace=60") as server, peers(server) as (first, _):
        members = server.members
        first.ask("begin", "tells")
        server.signal(number)
        server.wait_for("asked to stop")
        server.signal(number)
        assert server.end() == -number
        eventually(lambda: not any(map(lives, members)))
        assert not server.path.exists()


def test_members_end_with_their_supervisor_and_nobody_finds_a_socket(
    plugins: Path, prefix: Path
) -> None:
    with serving(plugins, prefix) as server, peers(server):
        members = server.members
        server.path.unlink()
        server.wait_for("listening again")
        with Peer(server.path) as peer:
            peer.connect()
            assert process(peer) in members
        server.signal(signal.SIGKILL)
        server.end()  # the members have its stderr too
        assert not any(map(lives, members))
        assert not server.path.exists()


def test_a_member_that_is_told_to_end_is_replaced(plugins: Path, prefix: Path) -> None:
    with serving(plugins, prefix) as server, peers(server) as (first, _):
        old = process(first)
        os.kill(old, signal.SIGTERM)
        server.wait_for("ended with exit code 0: another one is started")
        assert again(first) != old


def test_the_whole_ends_with_the_process_that_it_lives_for(plugins: Path, prefix: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with parent, serving(plugins, prefix, f"-parent={parent.pid}") as server:
        parent.communicate(b"\n")
        server.wait_for("the process that started this server is gone")
        assert server.end() == 0, server.lines


# -- what is asked of the whole


def test_the_status_shows_each_process_and_the_sums(plugins: Path, prefix: Path) -> None:
    flags = "-log-format=json"
    with (
        serving(plugins, prefix, flags, ready='"listening"') as server,
        peers(server, 4) as clients,
    ):
        clients[0].ask("begin", "tells")
        server.signal(signal.SIGUSR2)
        server.wait_for('"status"')
        each = [line for line in server.lines if "status of process" in line]
        assert [re.findall('"peers": (\\d)', line) for line in each] == [["2"], ["2"]]
        whole = server.lines[-1]
        for part in (
            '"peers": 4',
            '"connections": 4',
            '"instances": {"tells": 5}',
            '"suspended": 1',
        ):
            assert part in whole, whole
        for member in server.members:
            assert str(member) in whole


def test_each_process_answers_for_all_of_them_when_it_is_asked_what_was_counted(
    plugins: Path, prefix: Path
) -> None:
    with (
        serving(plugins, prefix, "-log-format=json", ready='"listening"') as server,
        peers(server, 4) as clients,
    ):
        clients[0].ask("begin", "tells")
        for client in clients:
            whole = client.ask("call", "server.Status", None)
            assert {int(pid) for pid in whole["processes"]} == set(server.members)
            assert whole["plugins"]["tells"]["instances"] == 5
            assert (whole["connections"], whole["suspended"]) == (4, 1)


def test_a_supervisor_that_hangs_keeps_only_so_many_questions(plugins: Path, prefix: Path) -> None:
    with (
        serving(plugins, prefix, "-log-format=json", ready='"listening"') as server,
        Client(server.path) as client,
    ):
        client.call("server.Status")
        stop(server.process.pid)
        asked = [client.request("server.Status") for _ in range(OPEN + 1)]
        first = client.response()
        os.kill(server.process.pid, signal.SIGCONT)
        rest = [client.response() for _ in range(OPEN)]
    assert first[1] == asked[-1]
    assert len(first[3]["processes"]) == 1
    assert {answer[1] for answer in rest} == set(asked[:-1])
    assert all(len(answer[3]["processes"]) == 2 for answer in rest)


def version(peer: Peer, plugin: str) -> str:
    return str(peer.ask("call", "plugin.GetPluginInfo", plugin)["Version"])


def test_a_reload_reaches_every_process(plugins: Path, prefix: Path) -> None:
    with serving(plugins, prefix) as server, peers(server) as clients:
        (plugins / "tells.py").write_text(TELLS.replace("1.0.0", "2.0.1"))
        server.signal(signal.SIGHUP)
        for _ in clients:
            server.wait_for("reloaded")
        assert [version(peer, "tells") for peer in clients] == ["2.0.1"] * 2


def test_what_changes_while_a_member_loads_is_loaded_by_it_too(
    plugins: Path, prefix: Path
) -> None:
    go_on = prefix / "go-on"
    os.mkfifo(go_on)
    (plugins / "waits.py").write_text(
        f"{HEAD}if os.path.exists({str(prefix / 'again')!r}):\n"
        f"    sys.stderr.write('loads\\n')\n    open({str(go_on)!r}).close()\n"
        "class Plugin:\n    def access(self, kong):\n        pass\n"
    )
    with serving(plugins, prefix) as server, peers(server) as (first, _):
        (prefix / "again").touch()
        os.kill(process(first), signal.SIGKILL)
        server.wait_for("loads")  # "tells" is loaded, as it was
        (plugins / "tells.py").write_text(TELLS.replace("1.0.0", "2.0.1"))
        server.signal(signal.SIGHUP)
        server.wait_for("reloaded")
        (prefix / "again").unlink()
        with go_on.open("w"):
            pass
        server.wait_for("reloaded")
        assert "member" in server.lines[-1]


def test_each_process_follows_the_files_of_its_plugins(plugins: Path, prefix: Path) -> None:
    pytest.importorskip("watchfiles")
    with serving(plugins, prefix, "-watch") as server, peers(server) as clients:
        (plugins / "tells.py").write_text(TELLS.replace("1.0.0", "2.0.1"))
        for peer in clients:
            eventually(lambda peer=peer: version(peer, "tells") == "2.0.1")


def test_every_process_writes_its_stacks(plugins: Path, prefix: Path) -> None:
    with serving(plugins, prefix) as server, peers(server) as clients:
        for peer in clients:
            peer.ask("begin", "tells")
        server.signal(signal.SIGUSR1)
        for _ in clients:
            server.wait_for("stack of event")


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (364, 364))


def test_clients_wait_while_nobody_can_serve_them(plugins: Path, prefix: Path) -> None:
    """More of them than the supervisor keeps: the rest waits in the queue of the socket."""
    options: dict[str, Any] = {"preexec_fn": few_files}
    with serving(plugins, prefix, "-frozen-timeout=0", **options) as server:
        for member in server.members:
            os.kill(member, signal.SIGKILL)
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(server.path)) for _ in range(300)]
            for client in clients:
                client.call("plugin.GetStatus")
                assert client.notifications


def test_one_that_only_connects_costs_nothing(plugins: Path, prefix: Path) -> None:
    with serving(plugins, prefix) as server:
        for _ in range(50):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(server.path))
        with peers(server) as clients:
            assert sorted(map(process, clients)) == sorted(server.members)
