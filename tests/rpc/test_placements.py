"""Events that must not share a thread do not, over the real socket and with many in flight."""

from __future__ import annotations

import itertools
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.client import TIMEOUT, Client
from support.plugins import eventually

from pluginserver import Kong, PluginServer, logs
from pluginserver.events.placement import FIRST_TRIAL, STRIKES
from pluginserver.plugins.registry import Plugins
from pluginserver.rpc.instances import Instances
from pluginserver.rpc.judged import Placed
from pluginserver.runtime.requests import SLOW
from pluginserver.runtime.usage import Spent, Usage

Serve = Callable[..., PluginServer]

HEAD = """
import threading
version, priority = "1.0.0", 1
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a plugin's file, or one beside it."""

    def write(source: str, name: str = "p.py", head: str = HEAD) -> Path:
        path = tmp_path / "plugins" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(head + textwrap.dedent(source))
        return path

    return write


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of installed packages, on the path."""
    directory = tmp_path / "site-packages"
    directory.mkdir()
    monkeypatch.syspath_prepend(directory)
    before = set(sys.modules)
    yield directory
    for name in set(sys.modules) - before:
        sys.modules.pop(name, None)


def placed(server: PluginServer) -> dict[str, Placed]:
    """Where each plugin's ``access`` runs."""
    return {one.plugin: one for one in server._methods._instances.placements()}


def in_flight(
    server: PluginServer, number: int, rounds: int, answer: Callable[[], Any]
) -> list[Any]:
    """Run events one after another until a phase that may become inline is, then many at once.

    :returns: the calls of each of them.
    """
    with Client(server.socket_path) as client:
        instance = client.start("p")
        calls = [
            client.play(instance, answers=lambda _method, _args: answer())
            for _ in range(2 * FIRST_TRIAL)
        ]
    barrier = threading.Barrier(number)

    def run(_: int) -> list[Any]:
        with Client(server.socket_path) as client:
            barrier.wait(TIMEOUT)
            return [
                client.play(instance, answers=lambda _method, _args: answer())
                for _ in range(rounds)
            ]

    with ThreadPoolExecutor(number) as pool:
        return calls + list(itertools.chain(*pool.map(run, range(number))))


LOCKED = """
    lock = threading.{kind}()
    class Plugin:
        _inside = 0
        def access(self, kong):
            with lock:
                self._inside += 1
                assert self._inside == 1
                kong.call("kong.test")
                self._inside -= 1
"""


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_lock_held_across_a_callback(
    serve: Serve, write: Callable[..., Path], kind: str
) -> None:
    path = write(LOCKED.format(kind=kind))
    server = serve(path)
    calls = in_flight(server, 64, 5, lambda: None)
    assert calls == [[("kong.test", None)]] * (2 * FIRST_TRIAL + 64 * 5)
    assert placed(server)["p"] == Placed("p", "access", "own", f"kong in a with block ({path}:9)")


@pytest.mark.parametrize("where", ["shared", "installed", "decorator"])
def test_a_lock_that_somebody_else_holds_around_the_callback(
    serve: Serve, write: Callable[..., Path], installed: Path, where: str
) -> None:
    helper = """
        from threading import Lock
        from functools import wraps
        lock = Lock()
        def locked(function):
            with lock:
                return function()
        def synchronized(function):
            @wraps(function)
            def call(*args):
                with lock:
                    return function(*args)
            return call
    """
    place = installed / "ties_locked.py"
    if where == "shared":
        place = write(helper, "ties_locked.py", "")
    else:
        place.write_text(textwrap.dedent(helper))
    decorated = where == "decorator"
    handler = (
        "@ties_locked.synchronized\n    def access(self, kong): kong.call('kong.test')"
        if decorated
        else "def access(self, kong): ties_locked.locked(lambda: kong.call('kong.test'))"
    )
    server = serve(write(f"import ties_locked\nclass Plugin:\n    {handler}\n"))
    calls = in_flight(server, 64, 5, lambda: None)
    assert calls == [[("kong.test", None)]] * (2 * FIRST_TRIAL + 64 * 5)
    line = 12 if decorated else 7
    assert placed(server)["p"].reason == (
        f"a call of kong while a with block is open ({place}:{line})"
    )


def test_a_handler_without_a_source(serve: Serve) -> None:
    space: dict[str, Any] = {"lock": threading.Lock()}
    exec("def access(self, kong):\n  with lock: kong.call('kong.test')\n", space)
    parts = {"name": "p", "version": "1.0.0", "priority": 1, "access": space["access"]}
    server = serve(type("Plugin", (), parts))
    calls = in_flight(server, 16, 5, lambda: None)
    assert calls == [[("kong.test", None)]] * (2 * FIRST_TRIAL + 16 * 5)
    assert placed(server)["p"].reason == "no source of its handler access (<string>:1)"


@pytest.mark.parametrize("where", ["here", "helper", "installed"])
def test_a_thread_local(
    serve: Serve, write: Callable[..., Path], installed: Path, where: str
) -> None:
    values = "import threading as t\nvalues = t.local()\n"
    if where == "helper":
        write(values, "ties_values.py", "")
    elif where == "installed":
        (installed / "ties_values.py").write_text(values)
    server = serve(
        write(f"""
            {"values = threading.local()" if where == "here" else "from ties_values import values"}
            class Plugin:
                def access(self, kong):
                    user = values.user = kong.call("kong.user")
                    kong.call("kong.wait")
                    assert values.user == user
        """)
    )
    users = itertools.count()
    calls = in_flight(server, 16, 20, lambda: next(users))
    assert calls == [[("kong.user", None), ("kong.wait", None)]] * (2 * FIRST_TRIAL + 16 * 20)
    assert "threading.local" in placed(server)["p"].reason


def test_a_loop_that_runs_around_a_callback(serve: Serve, write: Callable[..., Path]) -> None:
    server = serve(
        write("""
            import asyncio
            class Plugin:
                def access(self, kong):
                    async def ask():
                        return kong.call("kong.test")
                    assert asyncio.run(ask()) == "answer"
        """)
    )
    calls = in_flight(server, 8, 10, lambda: "answer")
    assert calls == [[("kong.test", None)]] * (2 * FIRST_TRIAL + 8 * 10)
    assert placed(server)["p"].reason.startswith("asyncio (")


def test_a_phase_that_is_quick_and_tied_to_nothing_shares_a_thread(
    serve: Serve,
    write: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("pluginserver.logs.logger._configured", None)
    logs.configure("info")
    server = serve(
        write("""
            lock = threading.Lock()
            count = 0
            class Plugin:
                def access(self, kong):
                    global count
                    kong.call("kong.test", threading.active_count() > 0)
                    with lock:
                        count += 1
        """)
    )
    in_flight_alone = time.monotonic() + TIMEOUT
    with Client(server.socket_path) as client:
        instance = client.start("p")
        assert placed(server)["p"].placement == "trial"
        while placed(server)["p"].placement != "shared":
            client.play(instance)
            assert time.monotonic() < in_flight_alone
    (line,) = [one for one in capfd.readouterr().err.splitlines() if "share a thread" in one]
    for part in ("32 events in a row were quick", "plugin=p", "phase=access"):
        assert part in line


SLEEPER = """
    import time
    class Plugin:
        def access(self, kong):
            if kong.call("kong.slow?"):
                until = time.thread_time() + 0.007
                while {compute} and time.thread_time() < until:
                    pass
                if not {compute}:
                    time.sleep(0.007)
"""


def slow_slices(server: PluginServer, count: int) -> Iterator[Placed]:
    """Bring the phase to the leader again and again, and have a slice be slow there."""
    deadline = time.monotonic() + TIMEOUT
    with Client(server.socket_path) as client:
        instance = client.start("p")
        while count and time.monotonic() < deadline:
            here = placed(server)["p"]
            count -= here.placement == "shared"
            client.play(instance, answers=[here.placement == "shared"])
            yield placed(server)["p"]


@pytest.mark.skipif(Usage().spent(0.0) is None, reason="this system does not tell who was blocked")
def test_slices_that_block_the_leader_end_the_sharing_for_good(
    serve: Serve, write: Callable[..., Path]
) -> None:
    server = serve(write(SLEEPER.format(compute=False)))
    last = next(one for one in slow_slices(server, 100) if one.placement == "own")
    assert f"{STRIKES} slices blocked" in last.reason


def test_slices_that_compute_end_it_for_a_trial_only(
    serve: Serve, write: Callable[..., Path]
) -> None:
    server = serve(write(SLEEPER.format(compute=True)))
    seen = {one.placement for one in slow_slices(server, 2 * STRIKES)}
    assert seen == {"trial", "shared"}


class Waits:
    """Takes longer than a quick slice may, and has nothing to do with that."""

    name, version, priority = "p", "1.0.0", 1
    threads = None

    def access(self, kong: Kong) -> None:
        time.sleep(2 * SLOW)


def test_a_slice_that_waited_for_others_on_a_thread_of_its_own_is_quick(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the interpreter's lock, beside a neighbour that computes: a busy server tries phases out, too."""
    monkeypatch.setattr(Usage, "spent", lambda *_: Spent(SLOW / 10, 0.0, 0.0))
    server = serve(Waits)
    with Client(server.socket_path) as client:
        instance = client.start("p")
        for _ in range(FIRST_TRIAL):
            client.play(instance)
        eventually(lambda: placed(server)["p"].placement == "shared")


def test_a_plugin_that_is_loaded_again_is_judged_again(write: Callable[..., Path]) -> None:
    path = write(LOCKED.format(kind="Lock"))
    plugins = Plugins([path], entry_points=False)
    instances = Instances(1, lambda _event, _error: None)

    def handler() -> Any:
        return instances.start(plugins.get("p"), "{}").handlers["access"]

    first = handler().placement
    for _ in range(FIRST_TRIAL):
        first.ended_on_worker(False, 0.0)
    assert handler().placement is first
    assert instances.placements() == [
        Placed("p", "access", "own", f"kong in a with block ({path}:9)")
    ]
    plugins.reload(path)
    assert handler().placement is not first
    assert [one.placement for one in instances.placements()] == ["trial"]
    plugins.close()
