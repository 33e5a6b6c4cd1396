"""``kong-python-pluginserver`` and ``pluginserver run``: kong-pdk's command lines."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import msgpack
import pytest
from support.client import Client
from support.commands import MODULE, Running, run, running
from support.kongpdk import without_kong_pdk, write

from pluginserver.cli.kong_pdk import main
from pluginserver.cli.run import run_file
from pluginserver.compat.arguments import parser, without_effect
from pluginserver.errors import PluginError
from pluginserver.version import __version__

COMMAND = ("-c", "from pluginserver.cli.kong_pdk import main; main()")

SERVES = """
if __name__ == "__main__":
    from kong_pdk.cli import start_dedicated_server
    start_dedicated_server("{name}", Plugin, "1.2.3", 7, ({{"m": {{"type": "string"}}}},))
"""

Done = subprocess.CompletedProcess[bytes]


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    directory = tmp_path / "plugins"
    directory.mkdir()
    write(directory, "one", head="print('printed while it is loaded')")
    (directory / "helper.py").write_text("VALUE = 1\n")
    return directory


def server(*arguments: str | Path) -> Done:
    return run(*COMMAND, *arguments, env=without_kong_pdk())


def run_plugin(*arguments: str | Path) -> Done:
    return run(*MODULE, "run", *arguments, env=without_kong_pdk())


def dedicated(directory: Path, file: str, name: str, head: str = "") -> Path:
    """A plugin's file that serves itself."""
    path = write(directory, file, head=head)
    path.write_text(path.read_text() + SERVES.format(name=name))
    return path


def described(name: str, version: str | None, priority: int, fields: list[object]) -> object:
    return {
        "Name": name,
        "Phases": ["access"],
        "Version": version,
        "Priority": priority,
        "Schema": {"name": name, "fields": [{"config": {"type": "record", "fields": fields}}]},
    }


# -- arguments


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        ("-d D", "prefix", "/usr/local/kong/"),
        ("-d D -p P", "prefix", "P"),
        ("-d D --kong-prefix P", "prefix", "P"),
        ("-d D -kong-prefix P", "prefix", "P"),
        ("-d D", "verbose", 1),
        ("-d D -v", "verbose", 2),
        ("-d D -vv", "verbose", 3),
        ("-d D --verbose", "verbose", 2),
        ("-d D", "socket_name", "python_pluginserver.sock"),
        ("-d D --socket-name x.socket", "socket_name", "x.socket"),
        ("-d D", "listen_queue_size", 4096),
        ("-d D --listen-queue-size 7", "listen_queue_size", 7),
        ("-d D --no-lua-style", "no_lua_style", True),
        ("-d D -m", "multiprocessing", True),
        ("-d D --gevent", "gevent", True),
        ("--plugins-directory D", "directory", "D"),
        ("-plugins-directory D", "directory", "D"),
        ("--plugins-dir D", "directory", "D"),
        ("-d D --dump-all", "dump_all_info", True),
        ("-d D -dump-all-plugins", "dump_all_info", True),
        ("-d D -dump-plugin-info N", "dump_info", "N"),
    ],
)
def test_a_flag_of_a_server(arguments: str, name: str, value: object) -> None:
    assert getattr(parser().parse_args(arguments.split()), name) == value


@pytest.mark.parametrize("flag", ["--dump", "-dump", "--dum"])
def test_a_flag_of_a_plugins_file(flag: str) -> None:
    assert parser(dedicated=True).parse_args([flag]).dump


@pytest.mark.parametrize(
    "arguments", ["", "-d D -m -g", "-d D --unknown", "-d D --listen-queue-size x"]
)
def test_wrong_arguments_end_with_2(arguments: str) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments.split())
    assert raised.value.code == 2


@pytest.mark.parametrize("arguments", ["-d D", "--dump-all-plugins"])
def test_a_plugins_file_takes_no_directory(arguments: str) -> None:
    with pytest.raises(SystemExit) as raised:
        parser(dedicated=True).parse_args(arguments.split())
    assert raised.value.code == 2


@pytest.mark.parametrize("flag", ["--version", "-version"])
def test_the_version_is_ours(flag: str) -> None:
    done = server(flag)
    assert done.stdout.decode() == f"kong-python-pluginserver {__version__}\n"
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("-m", "pluginserver -processes N"),
        ("-g", "greenlets already"),
        ("--listen-queue-size 9", "--listen-queue-size does nothing here"),
    ],
)
def test_a_flag_without_effect_is_told_in_a_line(arguments: str, said: str) -> None:
    (line,) = without_effect(parser().parse_args(["-d", "D", *arguments.split()]))
    assert said in line


@pytest.mark.parametrize("dedicated", [False, True])
def test_the_help_fits_a_screen_and_has_an_example(dedicated: bool) -> None:
    shown = parser(dedicated, "command").format_help()
    assert "example: command -" in shown and "Exits with 0" in shown
    assert len(shown.splitlines()) <= 40


# -- dumps


def test_all_plugins_of_a_directory_in_json(plugins: Path) -> None:
    done = server("-d", plugins, "--dump-all-plugins", "-p", "/there/is/no/such")
    assert (done.returncode, json.loads(done.stdout)) == (0, [described("one", None, 0, [])])


@pytest.mark.parametrize("noise", ["-v", "-g"])
def test_nothing_breaks_a_dump(plugins: Path, noise: str) -> None:
    (plugins / "broken.py").write_text("import kong_pdk\n1 / 0\nclass Plugin: pass\n")
    done = server("-d", plugins, "--dump-all-plugins", noise)
    assert [one["Name"] for one in json.loads(done.stdout)] == ["one"]
    assert b"division by zero" in done.stderr and b"printed while" in done.stderr


def test_one_plugin_in_messagepack(plugins: Path) -> None:
    done = server("-d", plugins, "--dump-plugin-info", "one")
    assert msgpack.unpackb(done.stdout) == described("one", None, 0, [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dump-plugin-info", "none"), "there is not a plugin none"),
        (("-p", "/there/is/no/such"), "the directory /there/is/no/such for the socket"),
    ],
)
def test_what_cannot_be_done_is_a_line_and_1(
    plugins: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = server("-d", plugins, *arguments)
    assert done.returncode == 1
    last = done.stderr.decode().splitlines()[-1]
    assert last.startswith("pluginserver: ") and said in last


def test_a_directory_that_is_not_there_is_a_line_and_1(tmp_path: Path) -> None:
    done = server("-d", tmp_path / "none", "--dump-all-plugins")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"there is no directory" in done.stderr


@pytest.mark.parametrize("flag", ["--dump", "-dump", "--du"])
@pytest.mark.parametrize("name", ["Langfuse-Kong-Plugin", "other_name"])
def test_a_plugins_file_describes_itself_by_the_name_that_it_gives(
    tmp_path: Path, flag: str, name: str
) -> None:
    path = dedicated(tmp_path, "my-plugin", name, head="print('printed')")
    done = run_plugin(path, flag)
    assert json.loads(done.stdout) == [described(name, "1.2.3", 7, [{"m": {"type": "string"}}])]
    assert done.returncode == 0 and b"printed" in done.stderr


@pytest.mark.parametrize("name", ["a.b", "a b", ""])
def test_a_name_that_kong_cannot_hold_is_a_line_and_1(tmp_path: Path, name: str) -> None:
    done = run_plugin(dedicated(tmp_path, "my-plugin", name), "--dump")
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"has the name {name!r}: use a string of letters".encode() in done.stderr


def test_its_siblings_are_imported(tmp_path: Path) -> None:
    (tmp_path / "sibling.py").write_text("HEAD = 'x'\n")
    path = dedicated(tmp_path, "my-plugin", "p", head="from sibling import HEAD")
    assert run_plugin(path, "--dump", "-v").returncode == 0


@pytest.mark.parametrize("named", ["package", "main"])
@pytest.mark.parametrize("directory", ["my_package", "my-package"])
def test_a_package_is_run_by_its_main(tmp_path: Path, named: str, directory: str) -> None:
    package = tmp_path / directory
    package.mkdir()
    (package / "__init__.py").touch()
    write(package, "plugin")
    script = package / "__main__.py"
    script.write_text(
        "from .plugin import Plugin\nfrom kong_pdk.cli import start_dedicated_server\n"
        "start_dedicated_server('in-package', Plugin, _version='1.0.0', _priority=3)\n"
    )
    done = run_plugin(package if named == "package" else script, "--dump")
    assert json.loads(done.stdout) == [described("in-package", "1.0.0", 3, [])], done.stderr


def test_a_file_that_serves_itself_in_our_own_way_runs_too(tmp_path: Path) -> None:
    path = tmp_path / "ours.py"
    path.write_text(
        "import pluginserver\nprint('printed')\nversion, priority = '1.0.0', 1\n"
        "class Plugin:\n    def access(self, kong):\n        pass\n"
        "if __name__ == '__main__':\n    pluginserver.main()\n"
    )
    done = run_plugin(path, "-dump")
    assert json.loads(done.stdout) == [described("ours", "1.0.0", 1, [])], done.stderr


def test_a_script_that_starts_a_server_of_a_directory_runs(plugins: Path) -> None:
    script = plugins.parent / "start.py"
    script.write_text("from kong_pdk.cli import start_server\nstart_server()\n")
    done = run_plugin(script, "-d", plugins, "--dump-all-plugins")
    assert json.loads(done.stdout) == [described("one", None, 0, [])], done.stderr


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\n", "ended without serving"),
        ("1 / 0\n", "bad.py:1)"),
        (
            "from gevent import monkey\nmonkey.patch_all()\n",
            "changes threads, sockets and locks for the whole process",
        ),
    ],
)
def test_a_file_that_does_not_serve_is_a_line_and_1(
    tmp_path: Path, source: str, said: str
) -> None:
    path = tmp_path / "bad.py"
    path.write_text(source)
    done = run_plugin(path)
    assert done.returncode == 1 and done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert said in line


def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(PluginError, match="there is no file /no/such: name the plugin's file"):
        run_file(Path("/no/such"), "such", [])


def test_without_a_file_it_is_the_usage_and_2() -> None:
    done = run_plugin()
    assert done.returncode == 2 and b"Usage: pluginserver run" in done.stderr


def test_a_file_may_end_with_a_code_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "p.py"
    path.write_text("import sys\nsys.exit(5)\n")
    assert run_plugin(path).returncode == 5


# -- serving


def serving(*arguments: str | Path, umask: int = 0o077) -> AbstractContextManager[Running]:
    """Start a server with a umask, where kong-pdk is not installed."""
    return running(*arguments, env=without_kong_pdk(), umask=umask)


def ask(path: Path, plugin: str) -> list[tuple[str, object]]:
    """Run one event of a plugin; gives its callbacks."""
    with Client(path) as client:
        return client.play(client.start(plugin))


def ended(process: Running) -> int:
    process.signal(signal.SIGTERM)
    return process.end()


def test_a_directory_is_served_at_their_socket(plugins: Path, prefix: Path) -> None:
    write(plugins, "two", "kong.request.get_host()")
    path = prefix / "python_pluginserver.sock"
    with serving(*COMMAND, "-d", plugins, "-p", f"{prefix}/") as process:
        assert ask(path, "two") == [("kong.request.get_host", None)]
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert ended(process) == 0
    assert not [line for line in process.lines if "other users" in line]
    assert not path.exists()


@pytest.mark.parametrize(
    ("flags", "file"),
    [((), "Up-Per.sock"), (("--socket-name", "x.socket"), "x.socket")],
)
def test_a_plugins_file_is_served_at_a_socket_of_its_name(
    tmp_path: Path, prefix: Path, flags: tuple[str, ...], file: str
) -> None:
    path = dedicated(tmp_path, "my-plugin", "Up-Per")
    with serving(*MODULE, "run", path, "--kong-prefix", prefix, *flags) as process:
        assert ask(prefix / file, "Up-Per") == []
        assert ended(process) == 0


def test_the_mode_is_the_umasks_and_a_line_says_so_when_others_may_connect(
    plugins: Path, prefix: Path
) -> None:
    with serving(*COMMAND, "-d", plugins, "-p", prefix, umask=0o002) as process:
        mode = stat.S_IMODE((prefix / "python_pluginserver.sock").stat().st_mode)
        assert mode == 0o775
        assert ended(process) == 0
    (line,) = [line for line in process.lines if "other users may connect" in line]
    assert "0775" in line


@pytest.mark.parametrize(("flags", "pair"), [((), "1"), (("--no-lua-style",), "0")])
def test_the_style_is_the_command_lines(
    plugins: Path, prefix: Path, flags: tuple[str, ...], pair: str
) -> None:
    line = "kong.log(int(isinstance(kong.request.get_host(), tuple)))"
    write(plugins, "two", line)
    with serving(*COMMAND, "-d", plugins, "-p", prefix, *flags) as process:
        calls = ask(prefix / "python_pluginserver.sock", "two")
        assert calls == [("kong.request.get_host", None), ("kong.log", [int(pair)])]
        assert ended(process) == 0


def test_a_second_server_takes_over_from_the_first(plugins: Path, prefix: Path) -> None:
    arguments = (*COMMAND, "-d", plugins, "-p", prefix)
    with serving(*arguments) as first, serving(*arguments) as second:
        assert first.end() == 0
        assert ask(prefix / "python_pluginserver.sock", "one") == []
        assert ended(second) == 0


def test_while_both_are_installed_a_line_says_what_to_do(tmp_path: Path) -> None:
    pytest.importorskip("kong_pdk")
    path = dedicated(tmp_path, "my-plugin", "mine")
    done = run(*MODULE, "run", path, "--dump")
    assert json.loads(done.stdout)[0]["Name"] == "mine"
    (line,) = [line for line in done.stderr.decode().splitlines() if "warning" in line]
    assert "run pip uninstall kong-pdk, then pip install --force-reinstall" in line


def test_a_dump_loads_no_more_than_it_needs(tmp_path: Path) -> None:
    path = dedicated(tmp_path, "my-plugin", "mine")
    arguments = ("-X", "importtime", *MODULE, "run", path, "--dump")
    shown = run(*arguments, env=without_kong_pdk()).stderr.decode()
    loaded = {line.rpartition("|")[2].strip() for line in shown.splitlines()}
    assert "pluginserver.compat.standins" in loaded
    assert not loaded & {"click", "cattrs", "greenlet", "socket", "pluginserver.server"}
