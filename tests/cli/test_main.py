"""The command line, and the life of the processes that it starts."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import types
from pathlib import Path

import pytest
from support.client import Client, Closed
from support.commands import MODULE, TIMEOUT, environment, run, running

import pluginserver
from pluginserver.cli import main as cli
from pluginserver.cli.commands import Command
from pluginserver.cli.help import THEIRS
from pluginserver.compat.arguments import parser
from pluginserver.telemetry.address import Address

ASK = """
import attrs
import pluginserver

version = "1.0.0"
priority = 1

@attrs.define
class Plugin:
    def access(self, kong):
        return kong.request.get_host()

if __name__ == "__main__":
    pluginserver.main()
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    directory = tmp_path / "plugins"
    directory.mkdir()
    (directory / "ask.py").write_text(ASK)
    return directory


def options(*arguments: str) -> dict[str, object]:
    return vars(cli._parse(cli._parser(), arguments))


# -- arguments


@pytest.mark.parametrize(
    ("flag", "value", "key", "parsed"),
    [
        ("kong-prefix", "/k", "kong_prefix", "/k"),
        ("plugins-directory", "/p", "plugins_directory", "/p"),
        ("only", "hello", "only", ["hello"]),
        ("socket", "/s", "socket", "/s"),
        ("socket-mode", "0660", "socket_mode", 0o660),
        ("socket-mode", "0o600", "socket_mode", 0o600),
        ("socket-group", "root", "socket_group", "root"),
        ("allow-user", "root", "allow_user", ["root"]),
        ("max-threads", "7", "max_threads", 7),
        ("request-timeout", "20", "request_timeout", 20.0),
        ("callback-timeout", "0.5", "callback_timeout", 0.5),
        ("grace", "0.5", "grace", 0.5),
        ("round-trips", "plain", "round_trips", "plain"),
        ("parent", "7", "parent", 7),
        ("frozen-timeout", "0", "frozen_timeout", 0.0),
        ("crash-directory", "/c", "crash_directory", "/c"),
        ("metrics", "unix:/m", "metrics", Address(path="/m")),
        ("log-level", "WARNING", "log_level", "warning"),
        ("log-format", "json", "log_format", "json"),
        ("dump-plugin-info", "hello", "dump_plugin_info", "hello"),
    ],
)
def test_a_flag_is_taken_as_go_takes_it(flag: str, value: str, key: str, parsed: object) -> None:
    expected = {**options(), key: parsed}
    for dashes in ("-", "--"):
        assert options(f"{dashes}{flag}", value) == expected
        assert options(f"{dashes}{flag}={value}") == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["-nosuch"],
        ["nosuch"],
        ["-kong-pre", "/k"],
        ["-socket-mode", "999"],
        ["-socket-mode", "-1"],
        ["-socket-mode", "1777"],
        ["-socket-group", "no such group"],
        ["-allow-user", "root", "-allow-user", "no such user"],
        ["-max-threads", "0"],
        ["-max-threads", "many"],
        ["-grace", "-1"],
        ["-grace", "nan"],
        ["-grace", "inf"],
        ["-grace", "long"],
        ["-request-timeout", "0"],
        ["-callback-timeout", "-2"],
        ["-round-trips", "some"],
        ["-metrics", "port"],
        ["-log-level", "loud"],
        ["-log-format", "xml"],
        ["-dump", "-dump-all-plugins"],
        ["-version", "-dump"],
        ["-dump-plugin-info"],
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str]) -> None:
    done = run(*MODULE, *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert arguments[-1] in done.stderr.decode().splitlines()[-1]


@pytest.mark.parametrize("flag", ["-version", "--version"])
def test_the_version_is_two_lines(flag: str, plugins: Path) -> None:
    expected = f"Version: {pluginserver.__version__}\nRuntime Version: Python {platform.python_version()}\n"
    for command in (MODULE, (plugins / "ask.py",)):
        done = run(*command, flag)
        assert (done.returncode, done.stdout.decode(), done.stderr) == (0, expected, b"")


@pytest.mark.parametrize("command", [(), ("serve",)])
@pytest.mark.parametrize("flag", ["-help-all", "--help-all"])
def test_the_whole_help_tells_every_flag(flag: str, command: tuple[str, ...]) -> None:
    done = run(*MODULE, *command, flag)
    assert (done.returncode, done.stderr) == (0, b"")
    words = done.stdout.decode().split()
    for name in options():
        if not (command and name.startswith("dump") and name != "dump_file"):
            assert f"--{name.replace('_', '-')}" in words


@pytest.mark.parametrize("flag", ["-help", "--help", "-h"])
def test_the_help_fits_a_screen(flag: str, plugins: Path) -> None:
    environ = {**environment(), "COLUMNS": "80"}
    for command in (MODULE, (plugins / "ask.py",)):
        done = run(*command, flag, env=environ)
        assert (done.returncode, done.stderr) == (0, b"")
        lines = done.stdout.decode().splitlines()
        assert len(lines) <= 40
        assert max(map(len, lines)) <= 80
        for word in ("--socket PATH", "--dump", "--processes N", "--help-all"):
            assert any(word in line for line in lines), word


@pytest.mark.parametrize(
    "flag", [f"-{name}" for name in THEIRS] + ["--verbose", "--socket-name=x"]
)
def test_a_flag_of_kong_pdks_is_told_with_what_stands_for_it_here(flag: str) -> None:
    done = run(*MODULE, flag)
    assert (done.returncode, done.stdout) == (2, b"")
    said = done.stderr.decode().splitlines()
    assert len(said) == 2
    name, instead = flag.partition("=")[0], THEIRS[flag.partition("=")[0].strip("-")]
    assert f"{name.lstrip('-')} is a flag of kong-pdk's" in said[-1]
    assert said[-1].endswith(f"here, {instead}")


def test_what_is_said_instead_of_a_flag_of_kong_pdks_are_flags() -> None:
    theirs = {flag for one in (False, True) for flag in flags_of(parser(one))}
    ours = cli.flags()
    assert {f"-{name}" if len(name) == 1 else f"--{name}" for name in THEIRS} <= theirs
    for text in THEIRS.values():
        for flag in re.findall(r"say -([\w-]+)", text):
            assert f"--{flag}" in ours
    both = {
        "--plugins-directory",
        "--kong-prefix",
        "--dump",
        "--dump-all-plugins",
        "--version",
        "--help",
    }
    long = {flag for flag in theirs if flag.startswith("--")}
    assert long - {f"--{name}" for name in THEIRS} - both == {"--dump-plugin-info"}


def flags_of(made: argparse.ArgumentParser) -> set[str]:
    return set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", made.format_usage() + made.format_help()))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("-plugin-directory", "did you mean -plugins-directory?"),
        ("--proceses=2", "did you mean -processes?"),
        ("chek", "chek: did you mean the command check?"),
        ("-zzz", "unrecognized arguments: --zzz"),
        ("zzz", "unrecognized arguments: zzz"),
    ],
)
def test_what_was_probably_meant_is_said(given: str, meant: str) -> None:
    done = run(*MODULE, given)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[-1].endswith(meant)


# -- sub-commands


def test_serve_is_the_server_by_a_word(plugins: Path, prefix: Path) -> None:
    socket = prefix / "s"
    words = ("serve", "-plugins-directory", plugins, "--socket", socket)
    with running(*MODULE, *words) as server:
        assert socket.exists()
        server.signal(signal.SIGTERM)
        assert server.end() == 0
    done = run(*MODULE, "serve", "-dump")
    assert done.returncode == 2, "a dump is no way to serve"


def test_a_sub_command_gets_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("a_command")
    given: list[str] = []

    def command(arguments: list[str]) -> int:
        given.extend(arguments)
        return 3

    module.main = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_command", module)
    monkeypatch.setitem(cli.COMMANDS, "try", Command("a_command", ""))
    monkeypatch.setattr(cli, "leave", sys.exit)  # which would end this process a little later
    with pytest.raises(SystemExit) as left:
        cli.main(["try", "-this", "that"])
    assert (left.value.code, given) == (3, ["-this", "that"])


def test_a_sub_command_without_its_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "needs_more.py").write_text("import nosuchmodule")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(cli.COMMANDS, "try", Command("needs_more", ""))
    with pytest.raises(SystemExit) as left:
        cli.main(["try"])
    assert "nosuchmodule" in str(left.value.code)
    assert "pip install 'kong-python-server[try]'" in str(left.value.code)


# -- the end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_and_leaves_nothing(
    plugins: Path, prefix: Path, number: int
) -> None:
    arguments = ("-kong-prefix", prefix, "-plugins-directory", plugins, "-linger=0")
    with running(*MODULE, *arguments) as server:
        path = prefix / "python_pluginserver.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with Client(path) as client:
            assert client.call("plugin.GetPluginInfo", "ask")["Version"] == "1.0.0"
            assert client.notifications == [[2, "serverPid", server.process.pid]]
            server.signal(number)
            assert server.end() == 0
            with pytest.raises(Closed):
                client.frame()
    assert list(prefix.iterdir()) == []


def test_running_events_finish_after_the_signal(plugins: Path, prefix: Path) -> None:
    arguments = ("-socket", prefix / "s", "-plugins-directory", plugins, "-linger=0", "-grace=60")
    with running(*MODULE, *arguments) as server, Client(prefix / "s") as client:
        instance = client.start("ask")
        event = client.begin(instance)["EventId"]
        server.signal(signal.SIGTERM)
        server.wait_for("asked to stop")
        assert client.step(event, "example.com") == {"EventId": event, "Data": "ret"}
        assert server.end() == 0


def test_the_grace_time_ends(plugins: Path, prefix: Path) -> None:
    arguments = ("-socket", prefix / "s", "-plugins-directory", plugins, "-linger=0", "-grace=0")
    with running(*MODULE, *arguments) as server, Client(prefix / "s") as client:
        client.begin(client.start("ask"))
        server.signal(signal.SIGTERM)
        assert server.end() == 0
    assert not (prefix / "s").exists()


def test_a_plugin_that_hangs_while_it_is_loaded_cannot_keep_the_process(prefix: Path) -> None:
    (prefix / "hung.py").write_text(
        "import sys, time\nsys.stderr.write('hanging\\n')\nwhile True: time.sleep(1)  # Plugin"
    )
    code = (
        "import sys; from pluginserver.cli import main as cli, serve; serve.STOP_TIME = 0;"
        "cli.main(sys.argv[1:])"
    )
    arguments = ("-c", code, "-kong-prefix", prefix, "-plugins-directory", prefix, "-grace=0")
    with running(*arguments, ready="hanging") as server:
        server.signal(signal.SIGTERM)
        assert server.end() == 1


def test_a_thread_of_a_plugin_does_not_keep_the_process(plugins: Path, prefix: Path) -> None:
    thread = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    (plugins / "ask.py").write_text(thread + ASK)
    with running(*MODULE, "-kong-prefix", prefix, "-plugins-directory", plugins) as server:
        server.signal(signal.SIGTERM)
        assert server.end() == 0


def test_the_server_ends_with_its_parent(plugins: Path, prefix: Path) -> None:
    code = (
        "import subprocess, sys; subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL).wait()"
    )
    command = (sys.executable, *MODULE, "-kong-prefix", prefix, "-plugins-directory", plugins)
    with running("-c", code, *command) as parent:
        parent.signal(signal.SIGKILL)
        # The pipe ends when both of them have: the server has inherited it.
        assert parent.end() == -signal.SIGKILL
    assert list(prefix.iterdir()) == []


# -- what keeps a server from starting


def refused(*arguments: str | Path) -> str:
    """Start a server that cannot start; gives the one line that it says."""
    done = run(*MODULE, *arguments)
    assert done.returncode == 1
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    return line


def test_the_first_record_says_what_serves(plugins: Path, prefix: Path) -> None:
    arguments = ("-kong-prefix", prefix, "-plugins-directory", plugins, "-log-format", "json")
    with running(*MODULE, *arguments) as server:
        (record,) = [json.loads(line) for line in server.lines if '"listening"' in line]
        assert record["process"] == server.process.pid
        assert record["socket"] == f"{prefix}/python_pluginserver.sock"
        assert record["python"] == sys.version.split()[0]
        assert record["version"] == pluginserver.__version__
        assert record["plugins"] == {"ask": "1.0.0"}


def logging_plugin(directory: Path) -> None:
    (directory / "chats.py").write_text(
        "import logging\n"
        "version, priority = '1.0.0', 1\n"
        "class Plugin:\n"
        "    def access(self, kong):\n"
        "        logging.getLogger(__name__).info('from a handler')\n"
    )


def test_what_a_handler_logs_says_for_which_event_and_instances_are_told_at_debug(
    tmp_path: Path, prefix: Path
) -> None:
    logging_plugin(tmp_path)
    flags = ("-log-format", "json", "-log-level", "debug")
    arguments = ("-kong-prefix", prefix, "-plugins-directory", tmp_path, *flags)
    with running(*MODULE, *arguments) as server:
        with Client(prefix / "python_pluginserver.sock") as client:
            instance = client.start("chats")
            client.play(instance)
            client.call("plugin.CloseInstance", instance)
        server.wait_for("an instance was closed")
        records = {one["message"]: one for one in map(json.loads, server.lines)}
    said = records["from a handler"]
    assert (said["plugin"], said["phase"], said["instance"]) == ("chats", "access", instance)
    assert said["event"] > 0
    for what in ("an instance was started", "an instance was closed"):
        assert records[what]["instance"] == instance
        assert records[what]["level"] == "debug"


def test_a_socket_that_is_served_is_left_alone(plugins: Path, prefix: Path) -> None:
    arguments = ("-kong-prefix", prefix, "-plugins-directory", plugins, "-no-replace")
    with running(*MODULE, *arguments) as server:
        line = refused(*arguments)
        assert f"another server is listening on {prefix}/python_pluginserver.sock" in line
        with Client(prefix / "python_pluginserver.sock") as client:
            client.call("plugin.GetStatus", None)
            assert client.notifications == [[2, "serverPid", server.process.pid]]


def test_a_stale_socket_is_replaced(plugins: Path, prefix: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(prefix / "s"))
    stale.close()
    arguments = ("-socket", prefix / "s", "-plugins-directory", plugins, "-socket-mode", "660")
    with running(*MODULE, *arguments) as server:
        assert stat.S_IMODE((prefix / "s").stat().st_mode) == 0o660
        server.signal(signal.SIGTERM)
        assert server.end() == 0


def test_a_prefix_that_is_not_there(plugins: Path, prefix: Path) -> None:
    line = refused("-kong-prefix", prefix / "nosuch", "-plugins-directory", plugins)
    assert str(prefix / "nosuch") in line


def test_a_prefix_that_is_a_file(plugins: Path, prefix: Path) -> None:
    (prefix / "file").touch()
    line = refused("-kong-prefix", prefix / "file", "-plugins-directory", plugins)
    assert str(prefix / "file") in line


def test_a_path_that_is_too_long(plugins: Path, prefix: Path) -> None:
    line = refused("-socket", prefix / ("x" * 120), "-plugins-directory", plugins)
    assert "long" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_prefix_that_cannot_be_written(plugins: Path, prefix: Path) -> None:
    prefix.chmod(0o500)
    line = refused("-kong-prefix", prefix, "-plugins-directory", plugins)
    prefix.chmod(0o700)
    assert str(prefix) in line


def test_a_plugins_directory_that_is_not_there(prefix: Path) -> None:
    line = refused("-kong-prefix", prefix, "-plugins-directory", prefix / "nosuch")
    assert str(prefix / "nosuch") in line
    assert list(prefix.iterdir()) == []


# -- the log


def test_the_log_in_json_is_a_record_a_line(plugins: Path, prefix: Path) -> None:
    (plugins / "loud.py").write_text(
        "import logging, threading, warnings\n"
        "logging.error('an error\\nof two lines')\n"
        "warnings.warn('a warning')\n"
        "thread = threading.Thread(target=lambda: 1 / 0)\nthread.start()\nthread.join()\n" + ASK
    )
    arguments = ("-kong-prefix", prefix, "-plugins-directory", plugins, "-log-format=json")
    with running(*MODULE, *arguments) as server:
        server.signal(signal.SIGTERM)
        assert server.end() == 0
        told = [json.loads(line)["message"] for line in server.lines]
    for text in ("an error | of two lines", "a warning", "a thread ended", "listening"):
        assert [message for message in told if text in message]


def test_what_a_handler_prints_appears_when_it_is_printed(plugins: Path, prefix: Path) -> None:
    (plugins / "talk.py").write_text(
        "version, priority = '1.0.0', 1\n"
        "class Plugin:\n"
        "    def access(self, kong):\n"
        "        print('printed')\n"
    )
    arguments = ("-socket", prefix / "s", "-plugins-directory", plugins)
    read, write = os.pipe()
    with os.fdopen(read) as printed, running(*MODULE, *arguments, stdout=write) as server:
        os.close(write)
        with Client(prefix / "s") as client:
            client.play(client.start("talk"))
        assert select.select([printed], [], [], TIMEOUT)[0]
        assert printed.readline() == "printed\n"
        assert server.process.poll() is None


# -- a plugin that serves itself


def test_a_plugin_serves_itself(plugins: Path, prefix: Path) -> None:
    with running(plugins / "ask.py", "-kong-prefix", prefix) as server:
        with Client(prefix / "ask.socket") as client:
            calls = client.play(client.start("ask"), answers=["example.com"])
            assert calls == [("kong.request.get_host", None)]
        server.signal(signal.SIGTERM)
        assert server.end() == 0
    assert list(prefix.iterdir()) == []


def test_the_socket_of_a_plugin_has_its_name(plugins: Path, prefix: Path) -> None:
    (plugins / "ask.py").write_text("name = 'asks-a-lot'\n" + ASK)
    with running(plugins / "ask.py", "--kong-prefix", prefix):
        assert [path.name for path in prefix.iterdir()] == ["asks-a-lot.socket"]
    with running(plugins / "ask.py", "-socket", prefix / "elsewhere"):
        assert (prefix / "elsewhere").is_socket()


def test_the_socket_of_a_plugin_with_a_capital_is_where_kong_looks(
    plugins: Path, prefix: Path
) -> None:
    (plugins / "ask.py").write_text("name = 'MyPlugin'\n" + ASK)
    with (
        running(plugins / "ask.py", "--kong-prefix", prefix),
        Client(prefix / "myplugin.socket") as client,
    ):
        client.play(client.start("MyPlugin"), answers=["example.com"])


def test_a_plugin_dumps_itself(plugins: Path) -> None:
    alone = run(plugins / "ask.py", "-dump")
    assert alone.returncode == 0, alone.stderr
    by_the_server = run(*MODULE, "-plugins-directory", plugins, "-dump", "ask")
    assert json.loads(alone.stdout) == json.loads(by_the_server.stdout)


@pytest.mark.parametrize("arguments", [["-dump"], ["-socket", "never"]])
def test_a_file_that_is_no_plugin_cannot_serve_itself(
    tmp_path: Path, arguments: list[str]
) -> None:
    path = tmp_path / "half.py"
    path.write_text("import pluginserver\npluginserver.main()")
    done = run(path, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"half" in done.stderr
    assert b"\nTraceback" not in done.stderr
    assert not (tmp_path / "never").exists()


def test_the_console_script_is_the_module(plugins: Path) -> None:
    script = Path(sys.executable).parent / "pluginserver"
    if not script.exists():
        pytest.skip("the package is not installed")
    done = subprocess.run(
        [script, "-dump", "-plugins-directory", plugins],
        capture_output=True,
        env=environment(),
        timeout=TIMEOUT,
    )
    assert done.stdout == run(*MODULE, "-dump", "-plugins-directory", plugins).stdout
