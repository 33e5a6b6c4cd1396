"""Servers of several processes that take over from each other."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.commands import MODULE, Running, run, running
from support.hops import PLUGIN, soon
from support.peer import Peer
from support.plugins import eventually

READY = "listening "


def arguments(prefix: Path, *flags: str) -> tuple[Any, ...]:
    (prefix / "plugins").mkdir(exist_ok=True)
    (prefix / "plugins" / "hops.py").write_text(PLUGIN)
    flags = ("-processes=2", *flags)
    return (*MODULE, "-socket", prefix / "s", "-plugins-directory", prefix / "plugins", *flags)


@pytest.fixture
def peers(prefix: Path) -> Iterator[list[Peer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Peer(prefix / "s")) for _ in range(2)]


def members(server: Running) -> list[int]:
    pid = server.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_takeovers_under_load_lose_nothing(prefix: Path, peers: list[Peer]) -> None:
    rounds = 2
    flags = soon(arguments(prefix, "-linger=60"))
    with ExitStack() as stack:
        server = stack.enter_context(running(*flags, ready=READY))
        first = members(server)
        for peer in peers:
            peer.ask("load", 4)
        for number in range(rounds):
            for peer in peers:
                peer.ask("more", 20)
            if number % 2:
                server.signal(signal.SIGTERM)
            successor = stack.enter_context(running(*flags, ready=READY))
            assert server.end() == 0, server.lines
            server = successor
        for peer in peers:
            peer.ask("more", 20)
        greeted = []
        for peer in peers:
            count, processes, greetings = peer.ask("unload")
            assert count > 20 * (rounds + 1)
            assert len(processes) == rounds + 1
            assert len(greetings) == 1, "no instance was lost, and no peer has moved"
            greeted += greetings
        assert sorted(greeted) == sorted(first), "each goes on with the number of its member"
        server.signal(signal.SIGTERM)
        assert server.end() == 0
    assert not (prefix / "s").exists()


def test_a_member_that_cannot_start_an_instance_ends_the_whole_takeover(
    prefix: Path, peers: list[Peer]
) -> None:
    flags = arguments(prefix)
    with running(*flags, ready=READY) as server:
        for peer in peers:
            peer.ask("load", 2)
            peer.ask("more", 5)
        (prefix / "others").mkdir()
        refused = run(*flags, "-plugins-directory", prefix / "others")
        assert refused.returncode == 1
        assert b"cannot be started here" in refused.stderr
        server.wait_for("this server goes on")
        served = []
        for peer in peers:
            peer.ask("more", 5)
            _count, processes, _greetings = peer.ask("unload")
            served += processes
        assert sorted(served) == sorted(members(server))


@pytest.mark.parametrize(("old", "new"), [(2, 1), (1, 2), (2, 3)])
def test_another_number_of_processes_is_refused(prefix: Path, old: int, new: int) -> None:
    flags = arguments(prefix)
    with running(*flags, f"-processes={old}", ready=READY):
        refused = run(*flags, f"-processes={new}")
        assert refused.returncode == 1
        (line,) = [line for line in refused.stderr.splitlines() if b"cannot take over" in line]
        assert f"{new} process" in line.decode() or "has 1 processes" in line.decode()
        with Peer(prefix / "s") as peer:
            peer.ask("load", 1)
            peer.ask("more", 2)
            assert peer.ask("unload")[0] >= 2


def test_a_successor_that_is_killed_meanwhile_costs_nothing(
    prefix: Path, peers: list[Peer]
) -> None:
    flags = arguments(prefix)
    (prefix / "plugins" / "slow.py").write_text(
        "import os, sys, time\nversion, priority = '1.0.0', 1\n"
        f"if os.path.exists({str(prefix / 'wait')!r}):\n    sys.stderr.write('waits\\n')\n"
        "    time.sleep(60)\n"
        "class Plugin:\n    def access(self, kong):\n        pass\n"
    )
    with running(*flags, ready=READY) as server:
        for peer in peers:
            peer.ask("load", 2)
            peer.ask("more", 5)
        (prefix / "wait").touch()
        with running(*flags, ready="waits") as successor:
            eventually(lambda: len(members(successor)) == 2)
            os.kill(successor.process.pid, signal.SIGKILL)
        server.wait_for("the takeover failed, this server goes on")
        (prefix / "wait").unlink()
        for peer in peers:
            peer.ask("more", 5)
            assert len(peer.ask("unload")[1]) == 1


def test_a_whole_that_is_gone_meanwhile_is_replaced(prefix: Path, peers: list[Peer]) -> None:
    """With new instances: there is nobody to get the old ones from."""
    flags = arguments(prefix)
    go_on = prefix / "go-on"
    os.mkfifo(go_on)
    (prefix / "plugins" / "slow.py").write_text(
        "import os, sys\nversion, priority = '1.0.0', 1\n"
        f"if os.path.exists({str(prefix / 'wait')!r}):\n    sys.stderr.write('waits\\n')\n"
        f"    open({str(go_on)!r}).close()\n"
        "class Plugin:\n    def access(self, kong):\n        pass\n"
    )
    with running(*flags, ready=READY) as server:
        (prefix / "wait").touch()
        with running(*flags, ready="waits") as successor:
            successor.wait_for("waits")
            old = members(server)
            server.process.kill()
            server.end()  # when all of its members have ended
            assert old
            (prefix / "wait").unlink()
            with go_on.open("w"):
                successor.wait_for("listening ")
            for peer in peers:
                peer.ask("load", 1)
                peer.ask("more", 5)
                assert set(peer.ask("unload")[1]) <= set(members(successor))
            successor.signal(signal.SIGTERM)
            assert successor.end() == 0, successor.lines
    assert not (prefix / "s").exists()


def test_members_of_a_successor_remove_its_socket_file_with_their_supervisor(prefix: Path) -> None:
    flags = arguments(prefix, "-linger=60")
    with running(*flags, ready=READY) as server, running(*flags, ready=READY) as successor:
        assert server.end() == 0, server.lines
        assert (prefix / "s").exists()
        successor.process.kill()
        successor.end()
        assert not (prefix / "s").exists()
