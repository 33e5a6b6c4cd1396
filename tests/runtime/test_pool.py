"""The threads, where they are dangerous: what meets is made to meet, with barriers and gates."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from greenlet import GreenletExit
from support.client import TIMEOUT, Client, Closed, Failed, pack
from support.plugins import Flag, asks, eventually, gated, plugin

from pluginserver import Kong, PluginServer, logs
from pluginserver.errors import PDKError
from pluginserver.events.callbacks import callback, finish
from pluginserver.rpc.instances import Instances
from pluginserver.runtime.thread import PoolThread

Serve = Callable[..., PluginServer]


def test_steps_of_one_event_on_many_connections(serve: Serve) -> None:
    server = serve(plugin(asks(50)))
    clients = [Client(server.socket_path) for _ in range(10)]
    instance = clients[0].start("p")
    out = clients[0].begin(instance)
    for number, client in zip(range(50), itertools.cycle(clients), strict=False):
        previous = None if number == 0 else number - 1
        assert out["Data"] == {"Method": "kong.test", "Args": [number, previous]}
        out = client.step(out["EventId"], number)
    assert out["Data"] == "ret"
    for client in clients:
        client.close()


def test_many_events_at_once_keep_their_answers_apart(serve: Serve) -> None:
    server = serve(plugin(asks(20)))
    with Client(server.socket_path) as client:
        instance = client.start("p")

    def run(worker: int) -> None:
        with Client(server.socket_path) as one, Client(server.socket_path) as other:
            for _ in range(20):
                out = one.begin(instance)
                for number in range(20):
                    expected = None if number == 0 else [worker, number - 1]
                    assert out["Data"]["Args"] == [number, expected]
                    out = (one, other)[number % 2].step(out["EventId"], [worker, number])
                assert out["Data"] == "ret"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))


def test_an_event_survives_its_connection(serve: Serve) -> None:
    server = serve(plugin(asks(2)))
    with Client(server.socket_path) as client:
        out = client.begin(client.start("p"))
    with Client(server.socket_path) as client:
        out = client.step(out["EventId"], "a")
        assert out["Data"]["Args"] == [1, "a"]
    with Client(server.socket_path) as client:
        assert client.step(out["EventId"])["Data"] == "ret"


def test_of_two_steps_at_once_one_is_refused(serve: Serve) -> None:
    def access(_self: object, kong: Kong) -> None:
        for _ in range(2):
            kong.call("kong.test")

    server = serve(plugin(access))
    rounds = 50
    barrier = threading.Barrier(2)
    with Client(server.socket_path) as client, ThreadPoolExecutor(2) as pool:
        instance = client.start("p")
        pair = [Client(server.socket_path) for _ in range(2)]

        def step(one: Client, event: int) -> Any:
            barrier.wait(TIMEOUT)
            try:
                return one.step(event)
            except Failed as error:
                return str(error)

        for _ in range(rounds):
            event = client.begin(instance)["EventId"]
            results = list(pool.map(step, pair, [event, event]))
            refused = [r for r in results if isinstance(r, str)]
            assert all("running" in text.lower() for text in refused)
            if len(refused) == 1:
                assert client.step(event)["Data"] == "ret"
            else:
                assert [r["Data"] for r in results].count("ret") == 1
            with pytest.raises(Failed, match=f"No running event {event}"):
                client.step(event)
        for one in pair:
            one.close()


@pytest.mark.parametrize("inline", [False, True])
def test_a_step_for_an_event_that_is_running_is_refused(serve: Serve, inline: bool) -> None:
    gate, entered = threading.Event(), threading.Event()
    gate.set()

    def access(_self: object, kong: Kong) -> None:
        kong.call("kong.first")
        entered.set()
        assert gate.wait(TIMEOUT)
        kong.call("kong.second")

    server = serve(plugin(access, threads="shared" if inline else "own"))
    with Client(server.socket_path) as one, Client(server.socket_path) as other:
        instance = one.start("p")
        gate.clear()
        entered.clear()
        event = one.begin(instance)["EventId"]
        one.request("plugin.Step", {"EventId": event, "Data": "first"})
        assert entered.wait(TIMEOUT)
        with pytest.raises(Failed, match=f"event {event} is running"):
            other.step(event, "stray")
        gate.set()
        assert one.response()[3]["Data"]["Method"] == "kong.second"
        assert other.step(event)["Data"] == "ret"


def test_a_stuck_leader_is_replaced_and_pipelined_requests_go_on(serve: Serve) -> None:
    gate, blocked, access = gated()

    server = serve(plugin(access, threads="shared"), plugin(asks(1), name="q"))
    with Client(server.socket_path) as client, Client(server.socket_path) as other:
        blocking, quick = client.start("p"), client.start("q")
        gate.clear()
        start = {"InstanceId": blocking, "EventName": "access"}
        burst = [
            ("plugin.HandleEvent", start),
            ("plugin.HandleEvent", {"InstanceId": quick, "EventName": "access"}),
            ("plugin.InstanceStatus", quick),
            ("plugin.GetStatus", None),
        ]
        client.send(b"".join(pack([0, n, m, [arg]]) for n, (m, arg) in enumerate(burst)))
        assert blocked.wait(TIMEOUT)
        answered = {}
        for _ in range(3):
            _, message_id, error, result = client.response()
            assert error is None
            answered[message_id] = result
        assert sorted(answered) == [1, 2, 3]
        assert len(other.play(quick)) == 1
        client.request("plugin.Step", {"EventId": answered[1]["EventId"]})
        assert client.response()[3]["Data"] == "ret"
        gate.set()
        assert client.response()[1:3] == [0, None]
        assert client.play(blocking) == []


def test_a_replaced_leader_that_comes_back_leaves_its_successor_alone(serve: Serve) -> None:
    gate, blocked, access = gated()

    def brief(_self: object, _kong: Kong) -> None:
        time.sleep(0.001)

    server = serve(plugin(access), plugin(brief, name="q"))
    with Client(server.socket_path) as client, Client(server.socket_path) as stuck:
        instances = [client.start("p"), client.start("q")]
        placements = [
            server._methods._instances.handler(instance, "access").placement
            for instance in instances
        ]
        for _ in range(60):
            for placement in placements:
                placement.inline = True
            gate.clear()
            blocked.clear()
            stuck.request(
                "plugin.HandleEvent", {"InstanceId": instances[0], "EventName": "access"}
            )
            assert blocked.wait(TIMEOUT)
            assert client.begin(instances[1])["Data"] == "ret"
            client.request(
                "plugin.HandleEvent", {"InstanceId": instances[1], "EventName": "access"}
            )
            gate.set()
            assert client.response()[3]["Data"] == "ret"
            assert stuck.response()[3]["Data"] == "ret"


def test_suspended_events_of_a_replaced_leader_go_on(serve: Serve) -> None:
    gate, blocked = threading.Event(), threading.Event()
    gate.set()

    def access(_self: object, kong: Kong) -> None:
        if kong.call("kong.block?"):
            blocked.set()
            assert gate.wait(TIMEOUT)
        kong.call("kong.end")

    server = serve(plugin(access, threads="shared"))
    with Client(server.socket_path) as client, Client(server.socket_path) as stuck:
        instance = client.start("p")
        gate.clear()
        events = [client.begin(instance)["EventId"] for _ in range(20)]
        stuck.request("plugin.Step", {"EventId": events[0], "Data": True})
        assert blocked.wait(TIMEOUT)
        assert client.call("plugin.GetStatus", None)["Pid"]
        waiting = [Client(server.socket_path) for _ in events[1:]]
        for one, event in zip(waiting, events[1:], strict=True):
            one.request("plugin.Step", {"EventId": event, "Data": False})
        assert len(client.play(instance)) == 2
        gate.set()
        for one, event in zip([stuck, *waiting], events, strict=True):
            result = one.response()[3]
            assert result["Data"]["Method"] == "kong.end"
            assert one.step(event)["Data"] == "ret"
            one.close()


def test_blocking_handlers_run_side_by_side(serve: Serve) -> None:
    together = threading.Barrier(16)

    def access(_self: object, kong: Kong) -> None:
        kong.call("kong.test")
        together.wait(TIMEOUT)

    server = serve(plugin(access))
    with Client(server.socket_path) as client, ThreadPoolExecutor(16) as pool:
        instance = client.start("p")

        def run(_number: int) -> int:
            with Client(server.socket_path) as one:
                return len(one.play(instance))

        assert list(pool.map(run, range(32))) == [1] * 32


def test_an_endless_loop_costs_one_thread(serve: Serve) -> None:
    stop = False
    entered = threading.Event()

    def access(_self: object, _kong: Kong) -> None:
        entered.set()
        while not stop:
            pass

    server = serve(plugin(access), plugin(asks(3), name="q"))
    with Client(server.socket_path) as client, Client(server.socket_path) as looping:
        quick = client.start("q")
        looping.request(
            "plugin.HandleEvent", {"InstanceId": client.start("p"), "EventName": "access"}
        )
        assert entered.wait(TIMEOUT)
        for _ in range(20):
            assert len(client.play(quick)) == 3
        stop = True
        assert looping.response()[3]["Data"] == "ret"


def test_with_no_thread_to_spare_requests_wait_their_turn(serve: Serve) -> None:
    gate, entered = threading.Event(), threading.Semaphore(0)

    def access(_self: object, _kong: Kong) -> None:
        entered.release()
        assert gate.wait(TIMEOUT)

    server = serve(plugin(access), max_threads=2)
    with Client(server.socket_path) as client:
        instance = client.start("p")
        clients = [Client(server.socket_path) for _ in range(6)]
        for one in clients:
            one.request("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
        for _ in range(2):
            assert entered.acquire(timeout=TIMEOUT)
        assert client.call("plugin.InstanceStatus", instance)["Id"] == instance
        assert not entered.acquire(blocking=False)
        gate.set()
        for one in clients:
            assert one.response()[3]["Data"] == "ret"
            one.close()


def test_an_event_has_its_thread_to_itself_and_the_next_one_waits_for_a_free_one(
    serve: Serve,
) -> None:
    threads: list[int] = []

    def access(_self: object, kong: Kong) -> None:
        threads.append(threading.get_ident())
        kong.call("kong.test")
        threads.append(threading.get_ident())

    server = serve(plugin(access), max_threads=2, queue_timeout=TIMEOUT)
    with Client(server.socket_path) as client, Client(server.socket_path) as third:
        instance = client.start("p")
        events = [client.begin(instance)["EventId"] for _ in range(2)]
        assert len(set(threads)) == 2
        third.request("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
        assert client.call("plugin.InstanceStatus", instance)
        assert len(threads) == 2
        assert client.step(events[0])["Data"] == "ret"
        events.append(third.response()[3]["EventId"])
        for event in events[1:]:
            assert client.step(event)["Data"] == "ret"
        assert len(threads) == 6


def test_an_event_that_finds_no_free_thread_in_time_is_refused(serve: Serve) -> None:
    server = serve(plugin(asks(1)), max_threads=2, queue_timeout=0.1)
    with Client(server.socket_path) as client:
        instance = client.start("p")
        events = [client.begin(instance)["EventId"] for _ in range(2)]
        assert client.begin(instance)["Data"] == {"Method": "kong.response.error", "Args": [500]}
        for event in events:
            assert client.step(event)["Data"] == "ret"
        assert client.play(instance) == [("kong.test", [0, None])]


def test_thousands_of_suspended_events(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    # However often a slow machine has the leader replaced.
    monkeypatch.setattr("pluginserver.events.placement.STRIKES", 1_000_000)
    server = serve(plugin(asks(1), threads="shared"), max_threads=4)
    count = 2000
    with Client(server.socket_path) as client:
        instance = client.start("p")
        for number in range(count):
            client.request("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
            if number % 50 == 49:
                events = [client.response()[3]["EventId"] for _ in range(50)]
                assert len(set(events)) == 50
        threads = threading.active_count()
        for event in (events[0], events[-1]):
            assert client.step(event)["Data"] == "ret"
        assert threads < 20


def test_a_request_that_takes_too_long_is_answered_and_fails_closed(serve: Serve) -> None:
    gate, entered = threading.Event(), threading.Event()
    outcome: list[object] = []

    def access(_self: object, kong: Kong) -> None:
        entered.set()
        try:
            while not gate.is_set():
                time.sleep(0.001)
            kong.call("kong.late")
        except BaseException as error:
            outcome.append(error)
            raise

    server = serve(plugin(access, log=access, request_timeout=0.2))
    with Client(server.socket_path) as client:
        instance = client.start("p")
        out = client.begin(instance)
        assert out["Data"]["Method"] == "kong.response.error"
        assert out["Data"]["Args"][0] == 500
        with pytest.raises(Failed, match=r"the plugin did not answer within 0\.2 s"):
            client.begin(instance, "log")
        eventually(lambda: len(outcome) == 2)
        assert not gate.is_set(), "the handler was interrupted, it did not come to its end"


def test_a_handler_that_will_not_be_interrupted_finds_its_event_ended(serve: Serve) -> None:
    gate = threading.Event()
    outcome: list[BaseException] = []

    def late(kong: Kong) -> None:
        while not gate.is_set():
            time.sleep(0.001)
        try:
            kong.call("kong.late")
        except PDKError as error:
            outcome.append(error)

    def access(_self: object, kong: Kong) -> None:
        while not outcome:
            # Interrupts come one by one: the next one may meet the handler of this one, and no third.
            try:
                try:
                    late(kong)
                except BaseException:
                    continue
            except BaseException:
                continue

    server = serve(plugin(access, request_timeout=0.2))
    with Client(server.socket_path) as client:
        instance = client.start("p")
        assert client.begin(instance)["Data"]["Method"] == "kong.response.error"
        gate.set()
        eventually(lambda: bool(outcome))
        assert "ended" in str(outcome[0])


def test_an_event_that_kong_forgot_is_given_up(serve: Serve) -> None:
    unwound = Flag()

    def access(_self: object, kong: Kong) -> None:
        try:
            kong.call("kong.test")
        finally:
            unwound.set()

    server = serve(plugin(access), callback_timeout=0.1)
    with Client(server.socket_path) as client:
        instance = client.start("p")
        event = client.begin(instance)["EventId"]
        unwound.wait()
        with pytest.raises(Failed, match=f"No running event {event}"):
            client.step(event)


def test_forgotten_events_of_the_leader_are_given_up(serve: Serve) -> None:
    unwound = Flag()

    def access(_self: object, kong: Kong) -> None:
        try:
            kong.call("kong.test")
        finally:
            unwound.set()

    server = serve(plugin(access, threads="shared"), callback_timeout=1.0)
    with Client(server.socket_path) as client:
        instance = client.start("p")
        for _ in range(10):
            client.begin(instance)
        unwound.wait(10)
        assert len(client.play(instance)) == 1


def test_a_callback_that_messagepack_cannot_carry_raises_where_it_was_made(serve: Serve) -> None:
    def access(_self: object, kong: Kong) -> None:
        with pytest.raises(TypeError, match=r"kong\.test: MessagePack cannot carry"):
            callback("kong.test", object())
        kong.call("kong.next")

    server = serve(plugin(access))
    with Client(server.socket_path) as client:
        assert client.play(client.start("p")) == [("kong.next", None)]


def test_a_last_message_that_messagepack_cannot_carry_fails_closed(serve: Serve) -> None:
    def access(_self: object, _kong: Kong) -> None:
        finish("kong.response.exit", 200, object())

    server = serve(plugin(access))
    with Client(server.socket_path) as client:
        ((method, args),) = client.play(client.start("p"))
        assert (method, args) == ("kong.response.error", [500])


def test_what_raises_leaves_nothing(serve: Serve) -> None:
    def access(_self: object, kong: Kong) -> None:
        if kong.call("kong.raise?"):
            raise RuntimeError("as it was told")

    server = serve(plugin(access, threads="shared"))
    with Client(server.socket_path) as client:
        instance = client.start("p")
        threads = threading.active_count()
        for _ in range(300):
            calls = client.play(instance, answers=[True])
            assert [method for method, _ in calls] == [
                "kong.raise?",
                "kong.log.err",
                "kong.response.error",
            ]
        assert threading.active_count() <= threads + 5  # a leader may have been replaced meanwhile
        assert client.play(instance) == [("kong.raise?", None)]


def test_stopping_unwinds_what_waits_for_its_turn(serve: Serve) -> None:
    unwound = Flag()
    entered, gate = threading.Event(), threading.Event()

    def access(_self: object, kong: Kong) -> None:
        try:
            if kong.call("kong.block?"):
                entered.set()
                assert gate.wait(TIMEOUT)
            kong.call("kong.after")
        finally:
            unwound.set()

    server = serve(plugin(access, threads="shared"), max_threads=1)
    with (
        Client(server.socket_path) as client,
        Client(server.socket_path) as stuck,
        ThreadPoolExecutor(1) as pool,
    ):
        instance = client.start("p")
        first, second = (client.begin(instance)["EventId"] for _ in range(2))
        stuck.request("plugin.Step", {"EventId": first, "Data": True})
        assert entered.wait(TIMEOUT)
        stopping = pool.submit(server.stop, 0)
        eventually(lambda: server._pool.stopping.is_set())
        client.request("plugin.Step", {"EventId": second, "Data": False})
        gate.set()
        stopping.result(TIMEOUT)
    assert unwound.is_set(2)


def recurse(depth: int) -> int:
    return recurse(depth + 1)


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize(
    "error",
    [SystemExit, KeyboardInterrupt, RecursionError, MemoryError, StopIteration, GreenletExit],
)
def test_nothing_that_a_handler_raises_ends_more_than_its_event(
    serve: Serve, error: type[BaseException], inline: bool
) -> None:
    def access(_self: object, kong: Kong) -> None:
        if kong.call("kong.raise?"):
            if error is RecursionError:
                recurse(0)
            raise error

    server = serve(plugin(access, threads="shared" if inline else "own"))
    with Client(server.socket_path) as client:
        instance = client.start("p")
        waiting = client.begin(instance)["EventId"]
        for _ in range(3):
            calls = client.play(instance, answers=[True])
            assert [method for method, _ in calls[1:]] == ["kong.log.err", "kong.response.error"]
            assert error.__name__ in calls[1][1][0]
        assert client.step(waiting)["Data"] == "ret"


def test_stopping_unwinds_what_waits_and_interrupts_what_runs(serve: Serve) -> None:
    unwound = Flag()
    looping = threading.Event()

    def access(_self: object, kong: Kong) -> None:
        try:
            if kong.call("kong.loop?"):
                looping.set()
                while True:
                    pass
        finally:
            unwound.set()

    server = serve(plugin(access))
    with Client(server.socket_path) as client:
        instance = client.start("p")
        events = [client.begin(instance)["EventId"] for _ in range(3)]
        client.request("plugin.Step", {"EventId": events[0], "Data": True})
        assert looping.wait(TIMEOUT)
        server.stop(grace=0)
    assert unwound.is_set(3)


def test_stopping_lets_running_events_finish(serve: Serve) -> None:
    entered, gate = threading.Event(), threading.Event()

    def access(_self: object, _kong: Kong) -> None:
        entered.set()
        assert gate.wait(TIMEOUT)

    server = serve(plugin(access), grace=TIMEOUT)
    with Client(server.socket_path) as client, ThreadPoolExecutor(1) as pool:
        instance = client.start("p")
        client.request("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
        assert entered.wait(TIMEOUT)
        stopping = pool.submit(server.stop)
        eventually(lambda: server._methods.turn_away is not None)
        gate.set()
        assert client.response()[3]["Data"] == "ret"
        stopping.result(TIMEOUT)


def test_requests_that_wait_too_long_for_a_thread_are_answered(serve: Serve) -> None:
    gate, entered = threading.Event(), threading.Event()
    runs = []

    def access(_self: object, _kong: Kong) -> None:
        runs.append(1)
        entered.set()
        assert gate.wait(TIMEOUT)

    server = serve(plugin(access, request_timeout=0.2), max_threads=1)
    with Client(server.socket_path) as client:
        instance = client.start("p")
        clients = [Client(server.socket_path) for _ in range(3)]
        for one in clients:
            one.request("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
            assert entered.wait(TIMEOUT)
        for one in clients:
            assert one.response()[3]["Data"]["Method"] == "kong.response.error"
            one.close()
        gate.set()
        assert client.begin(instance)["Data"] == "ret"
    assert len(runs) == 2


def test_a_step_that_waits_too_long_for_its_thread_is_answered(serve: Serve) -> None:
    gate, entered = threading.Event(), threading.Event()
    unwound = Flag()

    def access(_self: object, kong: Kong) -> None:
        try:
            if kong.call("kong.block?"):
                entered.set()
                assert gate.wait(TIMEOUT)
            kong.call("kong.after")
        finally:
            unwound.set()

    server = serve(plugin(access, threads="shared", request_timeout=0.2))
    with Client(server.socket_path) as client, Client(server.socket_path) as stuck:
        instance = client.start("p")
        first, second = (client.begin(instance)["EventId"] for _ in range(2))
        stuck.request("plugin.Step", {"EventId": first, "Data": True})
        assert entered.wait(TIMEOUT)
        assert client.step(second, False)["Data"]["Method"] == "kong.response.error"
        assert stuck.response()[3]["Data"]["Method"] == "kong.response.error"
        assert not unwound.is_set()
        gate.set()
        unwound.wait()
        assert client.play(instance)
        for event in (first, second):
            with pytest.raises(Failed, match="No running event"):
                client.step(event)


def test_a_worker_that_becomes_the_leader_keeps_its_events(serve: Serve) -> None:
    gate, blocked = threading.Event(), threading.Event()
    gate.set()

    def access(_self: object, kong: Kong) -> None:
        kong.call("kong.test")
        if not gate.is_set():
            blocked.set()
            assert gate.wait(TIMEOUT)

    server = serve(
        plugin(access, threads="shared"), plugin(asks(2), name="q", threads="own"), max_threads=3
    )
    with Client(server.socket_path) as client, Client(server.socket_path) as stuck:
        instance, other = client.start("p"), client.start("q")
        suspended = [client.begin(other)["EventId"] for _ in range(3)]
        gate.clear()
        stuck.request("plugin.Step", {"EventId": client.begin(instance)["EventId"]})
        assert blocked.wait(TIMEOUT)
        for event in suspended:
            assert client.step(event, 1)["Data"]["Args"] == [1, 1]
        gate.set()
        assert stuck.response()[3]["Data"] == "ret"
        for event in suspended:
            assert client.step(event)["Data"] == "ret"


def test_when_the_system_gives_no_threads(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, blocked, access = gated()

    def refuse(_self: object) -> None:
        raise RuntimeError("can't start new thread")

    server = serve(plugin(access, threads="shared"), plugin(asks(1), name="q"))
    with Client(server.socket_path) as client, Client(server.socket_path) as stuck:
        instance, other = client.start("p"), client.start("q")
        with monkeypatch.context() as patch:
            patch.setattr(PoolThread, "start", refuse)
            client.request("plugin.HandleEvent", {"InstanceId": other, "EventName": "access"})
            assert stuck.call("plugin.InstanceStatus", other)["Id"] == other
        assert client.step(client.response()[3]["EventId"])["Data"] == "ret"
        gate.clear()
        with monkeypatch.context() as patch:
            patch.setattr(PoolThread, "start", refuse)
            idle = server._pool.groups["events"].idle
            eventually(lambda: bool(idle))
            with server._pool.lock:
                idle.clear()
            stuck.request("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
            assert blocked.wait(TIMEOUT)
            client.request("plugin.GetStatus", None)
            eventually(lambda: server._pool.leader is None)
        assert client.response()[3]["Pid"]
        gate.set()
        assert stuck.response()[3]["Data"] == "ret"


def test_an_error_of_our_own_costs_one_request(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(plugin(asks(1)))

    def fail(_self: object, _argument: object) -> None:
        raise RuntimeError("a bug")

    with Client(server.socket_path) as client:
        monkeypatch.setattr(Instances, "get", fail)
        with pytest.raises(Failed, match="internal error: RuntimeError: a bug"):
            client.call("plugin.InstanceStatus", 5)
        monkeypatch.setattr(Instances, "handler", fail)
        with pytest.raises(Closed):
            client.begin(5)
    with Client(server.socket_path) as client:
        assert client.call("plugin.GetStatus", None)
    assert logs.flush(TIMEOUT)
    assert "a bug" in capfd.readouterr().err


def test_the_watchdog_sleeps_and_wakes(serve: Serve) -> None:
    gate, blocked, access = gated()

    server = serve(plugin(access, threads="shared"))
    with Client(server.socket_path) as client, Client(server.socket_path) as stuck:
        instance = client.start("p")
        for _ in range(3):
            eventually(lambda: server._pool.dozing)
            assert client.play(instance) == []
        eventually(lambda: server._pool.dozing)
        gate.clear()
        stuck.request("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
        assert blocked.wait(TIMEOUT)
        assert client.call("plugin.GetStatus", None)
        gate.set()
        assert stuck.response()[3]["Data"] == "ret"
