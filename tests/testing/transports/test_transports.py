"""The transports to a plugin server: in process, embedded, a command, a socket.  See testing/transports."""

from __future__ import annotations

import os
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import ROOT

from pluginserver import PluginServer
from pluginserver.errors import UnknownPluginError
from pluginserver.runtime.interrupts import Cancelled
from pluginserver.testing import Gateway, GatewayError, Quirks, Response
from pluginserver.testing.transports.connect import connect
from pluginserver.testing.transports.inprocess import InProcess
from pluginserver.testing.transports.plugins import Collection, Library
from pluginserver.testing.transports.sockets import Command, Embedded, Host, Socket
from pluginserver.testing.transports.watchdog import WATCHDOG, Watchdog
from pluginserver.testing.transports.wire import NoAnswer, RemoteError

HELLO = ROOT / "examples" / "hello.py"
COMMAND = [
    *(sys.executable, "-m", "pluginserver", "-socket", "{socket}", "-log-level", "error"),
    *("-plugins-directory", str(HELLO.parent)),
]


class Plugin:
    """A plugin that is a class of this module."""

    name = "inline"
    version = "1.0.0"
    priority = 1

    def access(self, kong) -> None:  # type: ignore[no-untyped-def]
        kong.response.set_header("x-inline", "yes")


def greets(kong: Gateway) -> Response:
    response = kong.get("/", headers={"host": "example.com"})
    assert response.headers["x-hello"] == "hi to example.com"
    return response


@pytest.mark.parametrize("server", ["in-process", "embedded"])
def test_servers_that_take_files(server: str) -> None:
    with Gateway(server, root=ROOT) as kong:
        kong.plugin("examples/hello.py", message="hi")
        greets(kong)
        with pytest.raises(GatewayError, match="there is no plugin file"):
            kong.plugin("examples/nowhere.py")


@pytest.mark.parametrize("server", ["in-process", "embedded"])
def test_servers_that_take_classes_and_modules(server: str) -> None:
    module = types.ModuleType("in_memory")
    source = HELLO.read_text()
    sys.modules["in_memory"] = module
    exec(compile(source, "in_memory.py", "exec"), module.__dict__)
    try:
        with Gateway(server) as kong:
            kong.plugin(Plugin)
            kong.plugin(module, message="hi")
            assert greets(kong).headers["x-inline"] == "yes"
    finally:
        del sys.modules["in_memory"]


def test_a_server_that_a_command_starts() -> None:
    with Gateway(COMMAND) as kong:
        kong.plugin("hello", message="hi")
        greets(kong)
        kong.transport.restart()
        greets(kong)
        with pytest.raises(GatewayError, match="give the plugin's name"):
            kong.plugin("examples/hello.py")
        assert isinstance(kong.transport, Command)
        path = kong.transport.path
        assert path.exists()
    assert not path.parent.exists()


def test_a_server_that_runs(serve: Callable[..., PluginServer]) -> None:
    path = serve(HELLO).socket_path
    for server in (path, f"socket:{path}"):
        with Gateway(server) as kong:
            kong.plugin("hello", message="hi")
            greets(kong)
            with pytest.raises(GatewayError, match="not ours to restart"):
                kong.transport.restart()
            with pytest.raises(GatewayError, match="cannot describe 'other'"):
                kong.plugin("other")


def test_the_words_for_servers(prefix: Path) -> None:
    line = " ".join(COMMAND)
    with Gateway(f"command:{line}") as kong:
        kong.plugin("hello", message="hi")
        greets(kong)
    for words in ("", "other", "socket:", "command:"):
        with pytest.raises(GatewayError, match="is not a plugin server"):
            connect(words)


def test_a_command_that_does_not_listen(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluginserver.testing.transports.sockets.STARTING", 0.3)
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(GatewayError, match=r"does not listen on .* after 0\.3 s"):
        Command(sleeper, Quirks(), 5.0, path=prefix / "s")


def test_a_command_that_does_not_end(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluginserver.testing.transports.sockets.STOPPING", 0.3)
    stubborn = (
        "import signal, socket, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"s = socket.socket(socket.AF_UNIX); s.bind({str(prefix / 's')!r}); s.listen()\n"
        "time.sleep(60)\n"
    )
    server = Command([sys.executable, "-c", stubborn], Quirks(), 5.0, path=prefix / "s")
    assert server.stop() == -9
    assert server.stop() is None
    server.close()


def test_an_embedded_server_leaves_nothing_behind() -> None:
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    server = connect("embedded", root=ROOT)
    assert isinstance(server, Embedded)
    assert server.path.exists()
    server.close()
    assert not server.path.parent.exists()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


def test_one_embedded_server_for_many_tests(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(
        "version='1.0.0'\npriority=1\n"
        "class Plugin:\n    def access(self, kong):\n        while True: pass\n"
    )
    host = Host(Collection(ROOT))
    for _ in range(2):
        with Gateway(Embedded(host, Quirks(), 20.0)) as kong:
            kong.plugin(HELLO, message="hi")
            greets(kong)
        with Gateway(Embedded(host, Quirks(), 0.2)) as kong:
            kong.plugin(tmp_path / "hello.py")
            kong.get(raise_bugs=False)
            assert [problem.kind for problem in kong.exchange.problems] == ["time-out"]
    host.close()
    host.close()


def test_socket_transports_see_nothing_inside() -> None:
    server = Socket("/no/such", Quirks(), 1.0)
    assert server.handler_failures() == []
    server.abandon(5)
    with pytest.raises(NoAnswer):
        server.call("m", None)
    server.close()


# -- in process


def in_process(tmp_path: Path, body: str) -> InProcess:
    (tmp_path / "p.py").write_text(f"version = '1.0.0'\npriority = 1\nclass Plugin:\n{body}")
    server = InProcess(Collection(tmp_path), 20.0)
    server.load("p.py")
    return server


WAITS = """
    def access(self, kong):
        try:
            kong.request.get_method()
        finally:
            unwound.append(1)
unwound = []
"""


def test_events_that_kong_forgets_are_ended(tmp_path: Path) -> None:
    server = in_process(tmp_path, WAITS)
    instance = server.call("plugin.StartInstance", {"Name": "p", "Config": "{}"})["Id"]
    event = {"InstanceId": instance, "EventName": "access"}
    unwound = sys.modules[type(_object(server, instance)).__module__].unwound
    first = server.call("plugin.HandleEvent", event)["EventId"]
    server.abandon(first)
    assert unwound == [1]
    server.abandon(first)
    with pytest.raises(NoAnswer):
        server.break_off("plugin.HandleEvent", event)
    assert unwound == [1, 1]
    with pytest.raises(NoAnswer):
        server.break_off("plugin.HandleEvent", {"InstanceId": 0})
    server.call("plugin.HandleEvent", event)
    server.restart()
    assert unwound == [1, 1, 1]
    with pytest.raises(RemoteError, match="No plugin instance"):
        server.call("plugin.HandleEvent", event)
    instance = server.call("plugin.StartInstance", {"Name": "p", "Config": "{}"})["Id"]
    server.call("plugin.HandleEvent", {**event, "InstanceId": instance})
    server.close()
    assert unwound == [1, 1, 1, 1]


def _object(server: InProcess, instance: int) -> object:
    handler = server.methods._instances.handler(instance, "access")
    return handler.call.__self__  # type: ignore[attr-defined]


def test_the_methods_of_a_server(tmp_path: Path) -> None:
    server = in_process(tmp_path, WAITS)
    assert server.call("plugin.GetPluginInfo", "p")["Phases"] == ["access"]
    assert "p" in server.call("plugin.GetStatus", "")["Plugins"]
    with pytest.raises(RemoteError, match="No running event 5"):
        server.call("plugin.Step", {"EventId": 5})
    with pytest.raises(RemoteError, match="can't find method"):
        server.call("plugin.Brew", {})
    server.close()


def test_values_that_cannot_be_sent(tmp_path: Path) -> None:
    server = in_process(
        tmp_path,
        """
    def access(self, kong):
        from pluginserver.events.callbacks import callback, finish
        try:
            callback("kong.log", object())
        except TypeError as error:
            callback("kong.log", str(error))
        finish("kong.response.exit", object())
""",
    )
    with Gateway(server) as kong:
        kong.plugin(tmp_path / "p.py")
        assert kong.get("/", raise_bugs=False).status == 500
        assert "MessagePack cannot carry this" in kong.exchange.logs[0].message
        assert [problem.kind for problem in kong.exchange.problems] == ["raised"]


# -- plugins


def test_a_library_runs_a_file_again_only_when_it_changed(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(
        "version='1.0.0'\npriority=1\nclass Plugin:\n    def log(self, kong): pass\n"
    )
    library = Library()
    collections = [Collection(tmp_path, library) for _ in range(3)]
    collections[0].add("p.py")
    collections[0].drop()
    collections[1].add("p.py")
    assert collections[0].registry.get("p") is collections[1].registry.get("p")
    (tmp_path / "p.py").write_text(
        "version='2.0.0'\npriority=1\nclass Plugin:\n    def log(self, kong): pass\n# longer"
    )
    collections[2].add("p.py")
    assert collections[2].registry.get("p").version == "2.0.0"
    assert collections[1].registry.get("p").version == "1.0.0"
    library.close()


def test_plugins_that_cannot_be_loaded(tmp_path: Path) -> None:
    one = "version='1.0.0'\npriority=1\nclass Plugin:\n    def log(self, kong): pass\n"
    (tmp_path / "broken.py").write_text(one + "1/0")
    (tmp_path / "none.py").write_text("x = 1")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "a.py").write_text(one)
    (tmp_path / "two" / "b.py").write_text(one)
    collection = Collection(tmp_path)
    for name, words in (
        ("broken.py", "ZeroDivisionError"),
        ("none.py", "none.py"),
        ("two", "several plugins"),
    ):
        with pytest.raises(GatewayError, match=words):
            collection.add(name)
    assert collection.add("two/a.py") == "a"
    assert collection.add("two/a.py") == "a"
    (tmp_path / "a.py").write_text(one)
    with pytest.raises(GatewayError, match="a second plugin named 'a'"):
        collection.add("a.py")
    assert collection.registry.names() == ["a"]
    with pytest.raises(UnknownPluginError, match="the loaded ones are a"):
        collection.registry.get("b")
    collection.drop()


# -- the watchdog


def forever() -> None:
    while True:
        pass


def test_a_watchdog_that_has_nothing_to_do() -> None:
    deadline = Watchdog().deadline(60)
    deadline.start()
    assert deadline.met() is True
    assert deadline.met() is True
    deadline.miss()
    for _ in range(1000):
        pass


def interrupted(watchdog: Watchdog, seconds: float) -> bool:
    """Whether an endless loop is interrupted by a deadline, and known to be."""
    deadline = watchdog.deadline(seconds)
    try:
        deadline.start()
        forever()
    except Cancelled:
        return deadline.met() is False and deadline.met() is False
    return False


def test_a_watchdog_interrupts_loops_one_after_another() -> None:
    watchdog = Watchdog()
    first = watchdog.deadline(60)
    first.start()
    assert first.met() is True
    assert interrupted(watchdog, 0.1)
    assert interrupted(watchdog, 0.01)
    assert interrupted(watchdog, 0.0)


def test_a_watchdog_serves_several_threads() -> None:
    watchdog = Watchdog()
    results: list[bool] = []
    idle = watchdog.deadline(60)
    idle.start()
    threads = [
        threading.Thread(target=lambda at=at: results.append(interrupted(watchdog, at)))  # type: ignore[misc]
        for at in (0.05, 0.01, 0.03)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True, True, True]
    assert idle.met() is True


@given(st.integers(0, 400))
def test_an_interruption_never_comes_late(rounds: int) -> None:
    """Whatever the timing: after ``met()`` the exception has come, or never will."""
    deadline = WATCHDOG.deadline(0.0002)
    try:
        deadline.start()
        for _ in range(rounds):
            str(rounds)
        deadline.met()
    except Cancelled:
        assert deadline.met() is False
    for _ in range(200):
        str(rounds)
