"""The parts of the supervisor, each by itself, with time and processes of the test's own."""

from __future__ import annotations

import argparse
import errno
import json
import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pluginserver import PluginServerError, logs
from pluginserver.cli import flags
from pluginserver.cli import member as member_module
from pluginserver.errors import LinkError
from pluginserver.logs import logger
from pluginserver.rpc.link import Link
from pluginserver.runtime import handing
from pluginserver.runtime.options import Options
from pluginserver.supervisor import door as door_module
from pluginserver.supervisor import peers as peers_module
from pluginserver.supervisor import team as team_module
from pluginserver.supervisor.door import Door, Reason
from pluginserver.supervisor.heritage import VARIABLE, Heritage
from pluginserver.supervisor.loop import Loop
from pluginserver.supervisor.member import told_end
from pluginserver.supervisor.peers import Peers
from pluginserver.supervisor.survey import Survey
from pluginserver.supervisor.team import Team


class Later:
    """A loop whose time the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], object]]] = []
        self.watched: dict[int, Callable[[], object]] = {}

    def watch(self, descriptor: int, function: Callable[[], object]) -> None:
        self.watched[descriptor] = function

    def unwatch(self, descriptor: int) -> None:
        self.watched.pop(descriptor, None)

    def later(self, seconds: float, function: Callable[[], object]) -> None:
        self.timers.append((self.now + seconds, function))

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while due := sorted(
            (timer for timer in self.timers if timer[0] <= end), key=lambda one: one[0]
        ):
            self.timers.remove(due[0])
            self.now = due[0][0]
            due[0][1]()
        self.now = end


# -- peers


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    """Makes clients of processes that the test invents; those above 1000 cannot be watched."""

    def open_process(pid: int) -> int | None:
        if pid == 0 or pid > 1000:
            return None
        return os.eventfd(0)

    monkeypatch.setattr(peers_module, "peer_process", lambda client: client)
    monkeypatch.setattr(peers_module, "open_process", open_process)
    return lambda pid: pid


def test_each_process_has_one_place_and_the_places_have_as_many(seen: Any) -> None:
    loop: Any = Later()
    peers = Peers(loop, 3)
    first = [peers.choose(seen(pid)) for pid in range(1, 8)]
    assert first == [1, 2, 3, 1, 2, 3, 1]
    assert [peers.choose(seen(pid)) for pid in range(1, 8)] == first
    assert peers.counts() == {1: 3, 2: 2, 3: 2}
    for descriptor in list(loop.watched)[1::3]:  # 2 and 5 end
        loop.watched[descriptor]()
    assert peers.counts() == {1: 3, 2: 0, 3: 2}
    assert peers.choose(seen(9)) == 2
    peers.close()
    assert not loop.watched


def test_processes_of_which_nothing_is_known_share_a_place_and_it_is_told_once(
    seen: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    loop: Any = Later()
    peers = Peers(loop, 2)
    assert peers.choose(seen(1)) == 1
    assert {peers.choose(seen(pid)) for pid in (1001, 0, 1002, 0)} == {2}
    assert capfd.readouterr().err.count("share a namespace of process ids") == 1
    peers.close()


def test_a_place_that_is_shut_gives_its_clients_away_until_it_is_open(seen: Any) -> None:
    loop: Any = Later()
    peers = Peers(loop, 2)
    assert [peers.choose(seen(pid)) for pid in (1, 2)] == [1, 2]
    peers.shut(1)
    assert peers.choose(seen(1)) == 2
    assert peers.choose(seen(3)) == 2
    peers.open(1)
    assert [peers.choose(seen(pid)) for pid in (1, 4)] == [2, 1], "who has moved stays"
    peers.shut(1)
    peers.shut(2)
    assert peers.choose(seen(1)) in (1, 2), "somebody will have to serve it"
    peers.open(2)
    assert peers.choose(seen(1)) == 2
    peers.close()


def test_a_successor_knows_who_was_served_where(seen: Any) -> None:
    loop: Any = Later()
    old, new = Peers(loop, 2), Peers(loop, 2)
    for pid in (1, 0, 2, 3):
        old.choose(seen(pid))
    new.adopt([*old.known(), (1001, 2)])
    assert new.known() == old.known()
    old.close()
    new.close()


# -- the team


ROOM = 8
"""Clients that may wait for a place."""


class Fake:
    """A member that does what the test says."""

    def __init__(self, place: int) -> None:
        self.place, self.pid = place, 100 + place
        self.started = 0.0
        self.ready = self.asked = False
        self.silence = 0
        self.connections: int | None = None
        self.code: int | None = None
        self.busy = False
        self.takes = True
        self.left: list[Any] = []
        self.frames: list[Any] = []
        self.told: list[Any] = []
        self.clients: list[Any] = []
        self.link: Any = self
        self.closed = False

    def fileno(self) -> int:
        return self.pid

    def receive(self, _timeout: float) -> Any:
        if self.closed:
            raise LinkError("closed")
        return self.frames.pop(0) if self.frames else None

    def hand(self, client: Any) -> bool:
        if self.takes:
            self.clients.append(client)
        return self.takes

    def untaken(self) -> list[Any]:
        return self.left

    def tell(self, *frame: Any) -> None:
        self.told.append(frame)

    def beat(self) -> None:
        self.asked, self.silence = True, 0

    def computes(self, _least: float) -> bool:
        return self.busy

    def ended(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.code = -signal.SIGKILL

    def close(self) -> None:
        self.closed = True


class Led:
    """A team of fakes, and what it told its leader."""

    def __init__(self, frozen_timeout: float = 0.0) -> None:
        self.loop = Later()
        self.started: list[Fake] = []
        self.places: dict[Any, int] = {}
        self.is_crowded = False
        self.shut: list[int] = []
        loop, start, me = (self._any(one) for one in (self.loop, self._start, self))
        self.broken = False
        self.team = Team(loop, me, me, start, 2, frozen_timeout, ROOM)

    @staticmethod
    def _any(value: Any) -> Any:
        return value

    def _start(self, place: int) -> Fake:
        if self.broken:
            raise OSError(11, "no more processes")
        self.started.append(Fake(place))
        return self.started[-1]

    def say(self, member: Fake, *frame: Any) -> None:
        member.frames.append(list(frame))
        self.loop.watched[member.pid]()

    def end(self, member: Fake, code: int) -> None:
        member.code = code
        self.team.reap()

    # what a leader is

    def member_ready(self, member: Any) -> None: ...

    def member_said(self, member: Any, word: str, *arguments: Any) -> None: ...

    def member_ended(self, member: Any) -> None: ...

    def crowded(self, crowded: bool) -> None:
        self.is_crowded = crowded

    # what the peers are

    def choose(self, client: Any) -> int:
        return self.places.get(client, 1)

    def open(self, place: int) -> None:
        self.shut = [one for one in self.shut if one != place]

    def shut_place(self, place: int) -> None:
        self.shut.append(place)
        self.places = dict.fromkeys(self.places, 3 - place)


@pytest.fixture
def led(monkeypatch: pytest.MonkeyPatch) -> Led:
    return made(monkeypatch)


def made(monkeypatch: pytest.MonkeyPatch, frozen_timeout: float = 0.0) -> Led:
    led = Led(frozen_timeout)
    peers: Any = led.team._peers
    monkeypatch.setattr(
        led.team, "_peers", type("P", (), {"choose": peers.choose, "open": peers.open})()
    )
    monkeypatch.setattr(led.team._peers, "shut", led.shut_place, raising=False)
    monkeypatch.setattr(team_module, "monotonic", lambda: led.loop.now)
    led.team.start()
    return led


def test_clients_of_a_member_that_ends_wait_for_the_next_one(led: Led) -> None:
    one, two = led.started
    led.team.admit("early")  # type: ignore[arg-type]
    led.say(one, "ready")
    led.say(two, "ready")
    assert one.clients == ["early"]
    led.loop.pass_time(60)
    led.end(one, -9)
    led.team.admit("late")  # type: ignore[arg-type]
    led.loop.pass_time(0)
    three = led.started[2]
    assert three.place == 1 and not three.clients
    led.say(three, "ready")
    assert three.clients == ["late"] and not led.shut
    led.loop.pass_time(60)
    assert len(led.started) == 3 and led.team.counts["replaced"] == 1


def test_clients_do_not_wait_for_ever(led: Led) -> None:
    one, two = led.started
    for member in led.started:
        led.say(member, "ready")
    led.places = {"client": 1}
    led.end(one, 3)
    led.team.admit("client")  # type: ignore[arg-type]
    led.loop.pass_time(team_module.HOLD + 0.1)
    assert led.shut == [1] and two.clients == ["client"]


def test_who_ends_again_and_again_is_started_ever_more_slowly_and_told_of_once(
    led: Led, capfd: pytest.CaptureFixture[str]
) -> None:
    led.say(led.started[1], "ready")
    starts = []
    for _ in range(12):
        member = led.started[-1] if starts else led.started[0]
        number = len(led.started)
        before = led.loop.now
        led.end(member, 3)
        while len(led.started) == number:
            led.loop.pass_time(0.1)
        starts.append(led.loop.now - before)
    assert starts[0] < 0.2
    tenths = [round(10 * start) for start in starts]
    assert tenths == sorted(tenths)
    assert starts[-1] == pytest.approx(team_module.LAST_DELAY, abs=0.2)
    written = capfd.readouterr().err
    assert written.count("another one is started") == 2
    assert written.count("process 1 does not stay, and ended with exit code 3") == 1
    led.say(led.started[-1], "ready")
    led.loop.pass_time(60)
    led.end(led.started[-1], 3)
    led.loop.pass_time(0)
    assert "another one is started" in capfd.readouterr().err, "it had stayed for a while"


def test_a_process_that_the_system_does_not_give_is_tried_again(
    led: Led, capfd: pytest.CaptureFixture[str]
) -> None:
    led.broken = True
    led.end(led.started[0], 3)
    led.loop.pass_time(1)
    assert "could not be started: no more processes" in capfd.readouterr().err
    led.broken = False
    led.loop.pass_time(60)
    assert [one.place for one in led.started] == [1, 2, 1]


def test_who_gives_no_sign_of_life_is_killed_however_long_the_machine_slept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    led = made(monkeypatch, frozen_timeout=4.0)
    one, two = led.started
    for member in led.started:
        led.say(member, "ready")
    led.loop.pass_time(1.0)
    assert one.asked and two.asked
    for _ in range(team_module.LOOKS):
        assert one.code is None
        led.say(two, "beat", 7)
        led.loop.pass_time(1.0)
    assert one.code == -signal.SIGKILL and two.code is None
    assert two.connections == 7
    assert led.team.counts["hung"] == 1


class Waits:
    """A client."""

    def __init__(self, name: str) -> None:
        self.name, self.closed = name, False

    def close(self) -> None:
        self.closed = True


def admit(led: Led, place: int, number: int) -> list[Any]:
    clients: list[Any] = [Waits(f"{place}.{one}") for one in range(number)]
    led.places.update(dict.fromkeys(clients, place))
    for client in clients:
        led.team.admit(client)
    return clients


def test_who_is_silent_and_computes_is_its_watchers_at_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    led = made(monkeypatch, frozen_timeout=4.0)
    one, two = led.started
    for member in led.started:
        led.say(member, "ready")
        member.busy = True
    led.loop.pass_time(2.0 + team_module.LOOKS)
    assert one.code is two.code is None
    two.busy = False
    led.loop.pass_time(1.0)
    assert one.code is None and two.code == -signal.SIGKILL
    led.loop.pass_time(team_module.MORE_LOOKS)
    assert one.code == -signal.SIGKILL


def test_more_clients_than_may_wait_stay_in_the_queue_of_the_socket(led: Led) -> None:
    one, _ = led.started
    clients = admit(led, 1, ROOM - 1)
    assert not led.is_crowded
    clients += admit(led, 1, 1)
    assert led.is_crowded
    one.takes = False
    led.say(one, "ready")
    assert not led.is_crowded, "it is there: what it does not take is for it to answer for"
    led.loop.pass_time(1)
    assert not one.clients
    one.takes = True
    led.loop.pass_time(1)
    assert one.clients == clients, "in the order in which they came"
    assert not any(client.closed for client in clients)


def test_a_member_that_takes_nobody_keeps_no_others_client_out(
    led: Led, capfd: pytest.CaptureFixture[str]
) -> None:
    one, two = led.started
    for member in led.started:
        led.say(member, "ready")
    one.takes = False
    kept = admit(led, 1, ROOM)
    lost = admit(led, 1, 3)
    assert not led.is_crowded
    assert [client.closed for client in lost] == [True] * 3
    assert led.team.counts["turned_away"] == 3
    assert capfd.readouterr().err.count("8 wait already for process 1") == 1
    assert admit(led, 2, 5) == two.clients
    led.end(one, -9)
    led.loop.pass_time(0)
    led.say(led.started[2], "ready")
    assert led.started[2].clients == kept


def test_clients_that_a_member_has_not_taken_are_the_next_ones(led: Led) -> None:
    one, _ = led.started
    for member in led.started:
        led.say(member, "ready")
    one.left = admit(led, 1, 3)
    led.end(one, -9)
    later = admit(led, 1, 1)
    led.loop.pass_time(0)
    led.say(led.started[2], "ready")
    assert led.started[2].clients == one.left + later


def test_who_loads_for_long_is_told_of(led: Led, capfd: pytest.CaptureFixture[str]) -> None:
    led.say(led.started[0], "ready")
    led.loop.pass_time(team_module.SLOW + 1)
    written = capfd.readouterr().err
    assert "process 2 does not serve yet after 60 s" in written
    assert "process 1 does not" not in written


def test_a_member_that_closes_its_link_is_killed_if_it_does_not_end(led: Led) -> None:
    one, _ = led.started
    led.say(one, "ready")
    one.closed = True
    led.loop.watched[one.pid]()
    led.loop.pass_time(team_module.EXIT_TIME + 1)
    assert one.code == -signal.SIGKILL


# -- the loop


def test_a_function_that_fails_costs_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    loop = Loop()
    done: list[str] = []

    def fail() -> None:
        raise RuntimeError("broken part")

    loop.later(0, fail)
    loop.later(0, lambda: done.append("after"))
    loop.later(0.01, loop.end)
    loop.run()
    loop.close()
    assert done == ["after"]
    assert "broken part" in capfd.readouterr().err


def test_what_is_unwatched_in_the_same_turn_is_not_called() -> None:
    loop = Loop()
    called: list[int] = []
    ends = [os.eventfd(1) for _ in range(2)]

    def take(number: int) -> None:
        called.append(number)
        for one in ends:
            loop.unwatch(one)
        loop.end()

    for number, one in enumerate(ends):
        loop.watch(one, partial(take, number))
    loop.run()
    loop.close()
    assert len(called) == 1
    for one in ends:
        os.close(one)


def test_a_signal_is_acted_on_in_the_loop_and_its_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGUSR2)
    loop = Loop()
    loop.act_on({signal.SIGUSR2: loop.end})
    threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR2)).start()
    loop.run()
    loop.close()
    assert signal.getsignal(signal.SIGUSR2) is before


# -- what is handed over, and how


def test_clients_are_handed_over_one_by_one_until_the_end() -> None:
    ours, theirs = handing.pair()
    poller = select.epoll()
    poller.register(theirs, select.EPOLLIN)
    with ours, theirs, poller:
        pairs = [socket.socketpair() for _ in range(2)]
        for _, client in pairs:
            assert handing.hand(ours, client)
            assert client.fileno() == -1
        for kept, _ in pairs:
            with handing.take(theirs, poller) as client, kept:
                assert not client.get_inheritable()
                client.send(b"x")
                assert kept.recv(1) == b"x"
        ours.close()
        with pytest.raises(ConnectionAbortedError):
            handing.take(theirs, poller)
        assert not poller.poll(0), "the end is not told for ever"


def test_a_client_that_cannot_be_handed_over_stays() -> None:
    ours, theirs = handing.pair()
    theirs.close()
    kept, client = socket.socketpair()
    with ours, kept, client:
        assert not handing.hand(ours, client)
        assert client.fileno() != -1


def test_clients_that_nobody_has_taken_can_be_had_again() -> None:
    ours, theirs = handing.pair()
    with ours, theirs:
        pairs = [socket.socketpair() for _ in range(3)]
        for _, client in pairs:
            assert handing.hand(ours, client)
        for (kept, _), client in zip(pairs, handing.untaken(theirs), strict=True):
            with kept, client:
                assert not client.get_inheritable()
                client.send(b"x")
                assert kept.recv(1) == b"x"
        assert not list(handing.untaken(theirs)), "nobody is waited for"


# -- the door


@pytest.fixture
def door(prefix: Path) -> Iterator[Door]:
    loop: Any = Later()
    door = Door(loop, prefix / "s", 0o600, None, None)
    door.listen()
    yield door
    door.close()


def connected(door: Door) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(door.path))
    return client


def turn(door: Door) -> None:
    """Have the door's loop do what is due now."""
    loop: Any = door._loop
    for descriptor, function in list(loop.watched.items()):
        if descriptor in loop.watched and select.select([descriptor], [], [], 0)[0]:
            function()
    loop.pass_time(0)


def test_who_accepts_waits_for_every_reason_to_be_gone(door: Door) -> None:
    admitted: list[socket.socket] = []
    door.open(admitted.append, lambda *_: None, lambda _: None)
    door.pause(Reason.CROWD)
    door.pause(Reason.RESOURCES)
    with connected(door):
        for reason in Reason.CROWD, Reason.GIVEN:
            door.go_on(reason)
            turn(door)
            assert not admitted
        door.go_on(Reason.RESOURCES)
        turn(door)
        assert len(admitted) == 1
        admitted.pop().close()


def test_a_socket_that_is_given_away_is_not_looked_after_any_more(
    door: Door, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its clients are the successor's, whatever comes to an end here meanwhile, and so is its file."""
    admitted: list[socket.socket] = []
    door.open(admitted.append, lambda *_: None, lambda _: None)
    turn(door)
    door.pause(Reason.CROWD)
    door._failed(OSError(errno.EMFILE, "too many open files"), door._listeners[0])
    door.give()
    door.go_on(Reason.CROWD)
    loop: Any = door._loop
    loop.pass_time(60)
    with connected(door):
        turn(door)
        assert not admitted
    door.let_go()
    door.path.unlink()
    turn(door)
    loop.pass_time(60)
    assert not door.path.exists(), "it is not for this one to listen again"
    assert "not this server's" not in capfd.readouterr().err


def test_a_socket_that_could_not_be_given_away_is_looked_after_again(door: Door) -> None:
    admitted: list[socket.socket] = []
    moved: list[Any] = []
    door.open(admitted.append, lambda *bound: moved.append(bound), lambda _: None)
    door.give()
    door.take_back()
    with connected(door):
        turn(door)
        assert len(admitted) == 1
        admitted.pop().close()
    door.path.unlink()
    turn(door)
    assert moved == [door.bound] and door.path.exists()


def test_a_socket_that_somebody_has_shut_down_is_no_busy_loop(door: Door) -> None:
    lost: list[str] = []
    door.open(lambda client: client.close(), lambda *_: None, lost.append)
    door._listeners[0].socket.shutdown(socket.SHUT_RDWR)
    turn(door)
    turn(door)
    assert lost == ["the listening socket was shut down or closed by somebody"]


def test_who_connected_to_a_socket_file_that_is_gone_is_admitted(door: Door) -> None:
    admitted: list[socket.socket] = []
    door.open(admitted.append, lambda *_: None, lambda _: None)
    turn(door)
    number = door_module.BATCH + 5
    clients = []
    for _ in range(2):
        door.path.unlink()
        turn(door)  # another listener takes its place
        door.pause(Reason.CROWD)
        clients += [connected(door) for _ in range(number)]
        door.go_on(Reason.CROWD)
    door.path.unlink()
    turn(door)
    door.give()
    assert len(admitted) == len(clients)
    for client in clients + admitted:
        client.close()


def heritage(**changes: Any) -> Heritage:
    fields: dict[str, Any] = {
        "supervisor": os.getppid(),
        "place": 2,
        "link": 5,
        "clients": 6,
        "path": Path("/s"),
        "bound": (1, 2),
        "predecessor": None,
    }
    return Heritage(**{**fields, **changes})


def test_a_heritage_is_taken_out_of_the_environment() -> None:
    for bound in (1, 2), None:
        left = heritage(bound=bound)
        environment = {**left.variable(), "A": "b"}
        assert Heritage.taken_from(environment) == left
        assert environment == {"A": "b"}
    assert Heritage.taken_from({}) is None


def test_who_has_lost_its_supervisor_does_not_begin() -> None:
    with pytest.raises(
        PluginServerError, match="the supervisor that started this process is gone"
    ):
        Heritage.taken_from(heritage(supervisor=1).variable())


def test_the_variable_says_what_it_is_for() -> None:
    assert json.loads(heritage().variable()[VARIABLE])["place"] == 2


# -- a member's end of the link


class Served:
    """As much of a server as a member's end of the link touches."""

    def __init__(self) -> None:
        self.succession = self
        self.pass_on: Any = None
        self.options = Options(grace=60.0)
        self.listening: Any = None
        self.succeeded: list[Any] = []
        self.stopped = threading.Event()

    def hand_over(self, asking: Any, listening: Any, _ended: Any) -> None:
        asking.close()
        self.listening = listening

    def suspend(self) -> str:
        return "suspended"

    def succeed(self, *bound: int) -> None:
        self.succeeded.append(bound)

    def request_stop(self) -> None:
        self.stopped.set()

    def reload(self) -> None:
        """Nothing has changed."""


@contextmanager
def led_member(server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Link]:
    monkeypatch.setattr(member_module, "end_within", lambda *_: None)
    ours, theirs = socket.socketpair()
    led = member_module._Led(server, heritage(link=theirs.detach()))
    led.begin()
    led.ready()
    link = Link(ours)
    assert link.receive(30) == ["ready"]
    try:
        yield link
    finally:
        link.release()
        assert server.stopped.wait(30)
        led._link.release()


def ask_to_hand_over(link: Link, number: int) -> None:
    one, other = socket.socketpair()
    with one, other:
        link.send("hand over", number, descriptors=[one.fileno()])


def test_what_was_decided_of_another_try_says_nothing_of_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server: Any = Served()
    with led_member(server, monkeypatch) as link:
        ask_to_hand_over(link, 1)
        link.send("commit", 1, False)
        ask_to_hand_over(link, 2)
        link.send("commit", 1, False)
        link.send("commit", 2, True)
        link.send("reload")  # the marker that all before is done
        server.reload = lambda: None
        assert link.receive(30) == ["reloaded"]
        assert server.listening.suspend() == "suspended"
        assert link.receive(30) == ["prepared", 2]
    assert not server.succeeded, "the socket file is the successor's"


def test_a_supervisor_that_is_gone_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    server: Any = Served()
    with led_member(server, monkeypatch) as link:
        ask_to_hand_over(link, 1)
        link.send("bound", 3, 4)
        link.close()
        assert server.stopped.wait(30)
        with pytest.raises(LinkError, match="not every process can hand over"):
            server.listening.suspend()
    assert server.succeeded == [(3, 4)]


def test_what_a_member_does_not_understand_ends_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    server: Any = Served()
    with led_member(server, monkeypatch) as link:
        link.send("something new")
        assert server.stopped.wait(30)
    assert "cannot be led any more" in capfd.readouterr().err


# -- status, flags, words


def test_figures_are_added_up_and_who_does_not_answer_is_named(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logger, "_configured", None)
    logs.configure("info")
    survey = Survey({1: 11, 2: 12, 3: 13})
    survey.answered(1, {"plugins": ["a"], "connections": 2, "threads": {"events": 1}})
    assert not survey.complete
    survey.answered(
        2, {"plugins": ["b", "a"], "connections": 3, "threads": {"events": 2, "control": 1}}
    )
    survey.gone(3)
    assert survey.complete
    survey.write([1, 2, 3, 4], {1: 1, 2: 0, 3: 2, 4: 0}, {"replaced": 5})
    *each, whole = capfd.readouterr().err.splitlines()
    assert len(each) == 4
    assert "it does not serve now" in each[2] and "it does not serve now" in each[3]
    for part in (
        "plugins=['a', 'b']",
        "connections=5",
        "threads={'events': 3, 'control': 1}",
        "peers=3",
        "members={'replaced': 5}",
    ):
        assert part in whole


def test_auto_is_one_for_each_core_that_may_be_used(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    allowed = len(os.sched_getaffinity(0))
    assert flags.cores(quota) == allowed
    for text, share in ("max 100000", allowed), ("50000 100000", 1), ("110000 100000", 2):
        quota.write_text(text)
        assert flags.cores(quota) == min(allowed, share)


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "201", ""])
def test_a_number_of_processes_that_cannot_be_is_refused(text: str) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    flags.add_processes(parser)
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parser.parse_args([f"--processes={text}"])


def test_how_a_process_has_ended() -> None:
    assert told_end(3) == "ended with exit code 3"
    assert told_end(-15) == "was ended by SIGTERM"
    assert told_end(-63) == "was ended by signal 63"
