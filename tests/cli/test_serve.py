"""The life of a server process: signals, a frozen interpreter, and what it does when it cannot go on."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.client import Client, Closed, Failed
from support.commands import MODULE, TIMEOUT, Running, catches, environment, running
from support.plugins import eventually, listens

from pluginserver.cli.allocator import give_back_large_blocks

LIMIT = 1.2
"""Seconds of ``-frozen-timeout``."""

HEAD = "version, priority = '1.0.0', 1\n"

HELLO = HEAD + "class Plugin:\n    def access(self, kong):\n        kong.call('kong.test')\n"


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    directory = tmp_path / "plugins"
    directory.mkdir()
    (directory / "hello.py").write_text(HELLO)
    return directory


@contextlib.contextmanager
def serving(plugins: Path, prefix: Path, *arguments: str, **options: object) -> Iterator[Running]:
    flags = ("-socket", prefix / "s", "-plugins-directory", plugins, *arguments)
    with running(*MODULE, *flags, **options) as server:
        yield server


def handler(*lines: str) -> str:
    """A plugin's source whose handler has these lines."""
    body = "".join(f"        {line}\n" for line in lines)
    return (
        HEAD + "import os, signal, sys, time\nclass Plugin:\n    def access(self, kong):\n" + body
    )


def begin(client: Client, plugin: str) -> None:
    """Start an event that may never answer."""
    argument = {"InstanceId": client.start(plugin), "EventName": "access"}
    client.request("plugin.HandleEvent", argument)


# -- memory, and a death without notice


def memory(server: Running) -> float:
    """What a server has in memory, in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_large_frames_leave_no_memory_behind(plugins: Path, prefix: Path) -> None:
    (plugins / "echo.py").write_text(handler("kong.call('kong.echo', kong.call('kong.test'))"))
    body = "x" * (12 << 20)

    def load(_number: int) -> None:
        with Client(prefix / "s") as client:
            for _ in range(2):
                calls = client.play(instance, answers=[body])
                assert calls == [("kong.test", None), ("kong.echo", [body])]

    with serving(plugins, prefix) as server:
        with Client(prefix / "s") as client:
            instance = client.start("echo")
            client.play(instance)
        before = memory(server)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(load, range(4)))
        eventually(lambda: memory(server) < before + 40)


@pytest.mark.parametrize(
    "settings",
    [
        {"MALLOC_MMAP_THRESHOLD_": "33554432"},
        {"MALLOC_TRIM_THRESHOLD_": "67108864"},
        {"GLIBC_TUNABLES": "glibc.rtld.nns=4:glibc.malloc.trim_threshold=1"},
    ],
)
def test_what_a_user_has_set_of_the_allocator_is_left_alone(settings: dict[str, str]) -> None:
    assert not give_back_large_blocks(settings)


def test_who_is_killed_closes_the_connections_of_what_had_begun(
    plugins: Path, prefix: Path
) -> None:
    (plugins / "slow.py").write_text(handler("time.sleep(60)"))
    path = prefix / "s"
    with serving(plugins, prefix) as server, ExitStack() as stack:
        runs, waits, idle = (stack.enter_context(Client(path)) for _ in range(3))
        begin(runs, "slow")
        waiting = waits.begin(waits.start("hello"))["EventId"]
        server.signal(signal.SIGKILL)
        assert server.end() == -signal.SIGKILL
        for client in runs, waits, idle:
            with pytest.raises(Closed):
                client.response()
        assert path.exists()
        assert not listens(path), "somebody accepts"
        with serving(plugins, prefix), Client(path) as client:
            with pytest.raises(Failed, match=f"No running event {waiting}"):
                client.step(waiting)
            assert client.play(client.start("hello")) == [("kong.test", None)]


# -- C code that never gives the GIL back


def test_a_frozen_process_is_killed_and_the_next_start_tells_where_the_stacks_are(
    plugins: Path, prefix: Path
) -> None:
    (plugins / "froze.py").write_text(handler("sum(range(10**12))"))
    with serving(plugins, prefix, f"-frozen-timeout={LIMIT}") as server:
        with Client(prefix / "s") as client:
            client.request(
                "plugin.HandleEvent", {"InstanceId": client.start("froze"), "EventName": "access"}
            )
            with pytest.raises(Closed):
                client.response()
        assert server.end() == -signal.SIGKILL
        (line,) = [line for line in server.lines if "it was killed" in line]
    (report,) = prefix.glob("s-frozen-*")
    assert str(report) in line
    stacks = report.read_text()
    assert "froze.py" in stacks and "in leave_after" in stacks, "not every thread's"
    threads = re.findall("hread (0x[0-9a-f]+)", stacks)
    assert len(threads) == len(set(threads)), "more than once"
    with serving(plugins, prefix) as server:
        told = report.with_suffix(".txt")
        assert [line for line in server.lines if str(told) in line]
        assert told.exists()
    with serving(plugins, prefix) as server:
        assert not [line for line in server.lines if str(told) in line]


def test_a_stopped_process_is_not_frozen(plugins: Path, prefix: Path) -> None:
    with (
        serving(plugins, prefix, f"-frozen-timeout={LIMIT}") as server,
        Client(prefix / "s") as client,
    ):
        instance = client.start("hello")
        server.signal(signal.SIGSTOP)
        time.sleep(1.5 * LIMIT)
        server.signal(signal.SIGCONT)
        for _ in range(100):
            client.play(instance)
        assert server.process.poll() is None


def test_a_log_that_nobody_reads_is_not_a_freeze(plugins: Path, prefix: Path) -> None:
    (plugins / "loud.py").write_text(handler("sys.stderr.write('x' * 1_000_000)"))
    with (
        serving(plugins, prefix, f"-frozen-timeout={LIMIT}") as server,
        Client(prefix / "s") as client,
    ):
        instance = client.start("hello")
        with Client(prefix / "s") as other:
            other.request(
                "plugin.HandleEvent", {"InstanceId": client.start("loud"), "EventName": "access"}
            )
            deadline = time.monotonic() + 1.5 * LIMIT
            while time.monotonic() < deadline:
                client.play(instance)
            assert server.process.poll() is None
        assert not list(prefix.glob("s-frozen-*"))


def test_an_idle_server_is_not_asked(plugins: Path, prefix: Path) -> None:
    with (
        serving(plugins, prefix, f"-frozen-timeout={LIMIT}") as server,
        Client(prefix / "s") as client,
    ):
        instance = client.start("hello")

        def switches() -> list[str]:
            return [
                line
                for task in sorted(Path(f"/proc/{server.process.pid}/task").iterdir())
                for line in (task / "status").read_text().splitlines()
                if line.startswith("voluntary_ctxt_switches")
            ]

        deadline = time.monotonic() + TIMEOUT
        while True:  # until the clock sleeps
            before = switches()
            time.sleep(1.5 * LIMIT)
            if switches() == before:
                break
            assert time.monotonic() < deadline
        client.play(instance)
        assert server.process.poll() is None


def test_the_watcher_ends_with_the_server(plugins: Path, prefix: Path) -> None:
    with serving(plugins, prefix, f"-frozen-timeout={LIMIT}") as server:
        server.signal(signal.SIGTERM)
        assert server.end() == 0  # which waits for the end of stderr: the watcher has it too


# -- signals


def test_sigusr1_writes_every_stack(plugins: Path, prefix: Path) -> None:
    with serving(plugins, prefix) as server, Client(prefix / "s") as client:
        event = client.begin(client.start("hello"))["EventId"]
        server.signal(signal.SIGUSR1)
        server.wait_for("stack of the thread pluginserver-signals")
        server.wait_for(f"stack of event {event} of hello in access")
        assert "hello.py:4 in access" in server.lines[-1]
        assert client.step(event)["Data"] == "ret"


def test_sigusr2_tells_the_status(plugins: Path, prefix: Path) -> None:
    with serving(plugins, prefix, "-log-format=json") as server, Client(prefix / "s") as client:
        client.begin(client.start("hello"))
        server.signal(signal.SIGUSR2)
        server.wait_for('"status"')
        for part in ('"instances": {"hello": 1}', '"suspended": 1', '"hello.access": "trial: '):
            assert part in server.lines[-1]


def test_sighup_loads_what_has_changed(plugins: Path, prefix: Path) -> None:
    with serving(plugins, prefix) as server, Client(prefix / "s") as client:
        client.start("hello")
        (plugins / "hello.py").write_text(HELLO.replace("1.0.0", "2.0.1"))
        server.signal(signal.SIGHUP)
        server.wait_for("reloaded")
        assert client.call("plugin.GetPluginInfo", "hello")["Version"] == "2.0.1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_process_at_once(
    plugins: Path, prefix: Path, number: int
) -> None:
    with serving(plugins, prefix, "-grace=60") as server, Client(prefix / "s") as client:
        client.begin(client.start("hello"))
        server.signal(number)
        server.wait_for("asked to stop")
        # Before the main thread has given them back, the thread that listens ends the process by exiting.
        eventually(lambda: not catches(server.process.pid, number))
        server.signal(number)
        assert server.end() == -number


def test_a_plugin_does_not_take_the_handlers_away(plugins: Path, prefix: Path) -> None:
    (plugins / "greedy.py").write_text(
        "import signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "signal.signal(signal.SIGUSR2, signal.SIG_DFL)\n"
        "signal.set_wakeup_fd(-1)\n" + HELLO
    )
    with serving(plugins, prefix, ready="handler of its own") as server:
        assert "SIGTERM, SIGUSR2" in server.lines[-1]
        server.signal(signal.SIGUSR2)
        server.wait_for("status")
        server.signal(signal.SIGTERM)
        assert server.end() == 0


def test_a_signal_is_heard_while_the_main_thread_is_in_c_code(plugins: Path, prefix: Path) -> None:
    (plugins / "hung.py").write_text(
        "import signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # Plugin\n"
        "sys.stderr.write('hanging\\n')\n"
        "import ctypes\nctypes.CDLL(None).pause()\n"
    )
    code = (
        "import sys; from pluginserver.cli import main as cli, serve; serve.STOP_TIME = 0;"
        "cli.main(sys.argv[1:])"
    )
    arguments = ("-c", code, "-socket", prefix / "s", "-plugins-directory", plugins, "-grace=0")
    with running(*arguments, ready="hanging") as server:
        server.signal(signal.SIGTERM)
        assert server.end() == 1


# -- the end


def test_a_thread_that_cannot_be_ended_does_not_crash_the_exit(
    plugins: Path, prefix: Path
) -> None:
    (plugins / "stuck.py").write_text(handler("sys.stderr.write('stuck\\n')", "time.sleep(1000)"))
    with serving(plugins, prefix, "-grace=0") as server, Client(prefix / "s") as client:
        for _ in range(3):
            begin(client, "stuck")
            server.wait_for("stuck")
        server.signal(signal.SIGTERM)
        assert server.end() == 0
        assert [line for line in server.lines if "could not be ended" in line]


def test_a_server_whose_descriptors_were_closed_ends_with_a_line(
    plugins: Path, prefix: Path
) -> None:
    (plugins / "closes.py").write_text(handler("os.closerange(3, 1000)"))
    with serving(plugins, prefix, "-grace=0") as server, Client(prefix / "s") as client:
        client.request(
            "plugin.HandleEvent", {"InstanceId": client.start("closes"), "EventName": "access"}
        )
        assert server.end() == 1
        assert [line for line in server.lines if "was closed by other code" in line]


def test_closed_standard_descriptors_are_opened(plugins: Path, prefix: Path) -> None:
    command = [sys.executable, *MODULE, "-socket", prefix / "s", "-plugins-directory", plugins]
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *map(str, command)]
    process = subprocess.Popen(shell, env=environment())
    try:
        deadline = time.monotonic() + TIMEOUT
        while not listens(prefix / "s"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with Client(prefix / "s") as client:
            client.play(client.start("hello"))
            for number in range(3):
                assert os.readlink(f"/proc/{process.pid}/fd/{number}") == os.devnull
        process.terminate()
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()


def test_the_end_of_a_named_process_is_noticed(plugins: Path, prefix: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as grandparent:
        try:
            with serving(plugins, prefix, f"-parent={grandparent.pid}") as server:
                grandparent.kill()
                server.wait_for("is gone")
                assert server.end() == 0
        finally:
            grandparent.kill()
