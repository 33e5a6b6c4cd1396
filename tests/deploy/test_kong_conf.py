"""Kong's configuration, written for it and read as Kong reads it."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path
from time import monotonic

import pytest
from support import kong_conf
from support.commands import MODULE, environment, run
from support.kong_node import asked, described, started

from pluginserver.deploy.formats import FORMATS, written
from pluginserver.deploy.launch import command_line, program
from pluginserver.deploy.settings import Plan, Settings, settings, version
from pluginserver.errors import PluginServerError

RUN_TIME = 10.0 if "CI" in os.environ else 1.0
"""Seconds for which a server must run that Kong is to start once; Kong looks every second."""

PLUGIN = """
version, priority = "1.0.0", 1
class Plugin:
    def access(self, kong): pass
"""


def plan(*names: str, **changed: object) -> Plan:
    return Plan(
        **{
            "names": names,
            "directory": Path("/opt/my plugins"),
            "kong": (3, 9),
            "servers": "one",
            "started_by": "kong",
            "sockets": Path("/usr/local/kong"),
            **changed,
        }  # type: ignore[arg-type]
    )


def read(made: Settings, form: str, kong: str) -> kong_conf.Read:
    return kong_conf.understood(kong_conf.READERS[form](written(made, form)), kong)


def test_there_is_a_reader_of_every_format() -> None:
    assert set(kong_conf.READERS) == set(FORMATS)


@pytest.mark.parametrize(
    ("kong", "servers", "started_by"),
    [*itertools.product(("3.8", "3.9", "3.10"), ("one", "each"), ("kong", "other"))],
)
def test_every_format_means_the_same(kong: str, servers: str, started_by: str) -> None:
    made = settings(
        plan(
            "hello",
            "Audit-Log",
            kong=version(kong),
            servers=servers,
            started_by=started_by,
            environment=() if started_by == "other" else ("TOKEN", "PYTHONPATH"),
        )
    )
    first = read(made, "conf", kong)
    assert first.plugins == ["bundled", "hello", "Audit-Log"]
    assert [server.name for server in first.servers] == ["hello", "audit-log"]
    assert first.environment == ([] if started_by == "other" else ["TOKEN", "PYTHONPATH"])
    for form in FORMATS:
        assert read(made, form, kong) == first


def test_one_server_is_started_once_for_all() -> None:
    first, second = read(settings(plan("a", "b")), "conf", "3.9").servers
    shared = "/usr/local/kong/python_pluginserver.sock"
    assert first.socket == second.socket == shared
    assert first.start == [
        *program(),
        "-plugins-directory",
        "/opt/my plugins",
        "-socket",
        shared,
    ]
    assert second.start is None
    assert second.query == [*program(), "-plugins-directory", "/opt/my plugins", "-dump", "b"]


def test_each_server_has_a_socket_and_one_plugin() -> None:
    first, second = read(settings(plan("a", "B-c", servers="each")), "conf", "3.9").servers
    assert (first.socket, second.socket) == (
        "/usr/local/kong/a.socket",
        "/usr/local/kong/b-c.socket",
    )
    assert second.start is not None
    assert second.start[-4:] == ["-only", "B-c", "-socket", "/usr/local/kong/b-c.socket"]
    assert second.query[-1] == "B-c"


def test_a_server_of_somebody_else_has_no_start_command_and_says_how_to_start_it() -> None:
    made = settings(plan("a", "b", started_by="other", sockets=Path("/run/x")))
    assert [one.start for one in read(made, "env", "3.9").servers] == [None, None]
    told = [one for one in made.remarks if "Keep this running: " in one]
    assert len(told) == 1
    assert kong_conf.words(told[0].partition("running: ")[2])[-1] == (
        "/run/x/python_pluginserver.sock"
    )


def test_a_dump_that_was_made_before_is_read_by_cat() -> None:
    (server,) = read(settings(plan("a", dumps=Path("/opt/dumps"))), "conf", "3.9").servers
    assert server.query == ["/bin/cat", "/opt/dumps/a.json"]


@pytest.mark.parametrize(("kong", "told"), [("3.8", False), ("3.9", True), ("3.10", False)])
def test_what_the_admin_api_of_3_9_does_is_told_there_alone(kong: str, told: bool) -> None:
    for started_by in ("kong", "other"):
        made = settings(plan("a", kong=version(kong), started_by=started_by))
        assert any("GET /" in one for one in made.remarks) == (told and started_by == "kong")


def test_two_names_that_kong_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(PluginServerError, match="cannot tell the plugins a-b and A_b apart"):
        settings(plan("a-b", "A_b"))


@pytest.mark.parametrize("text", ["3", "3.x", "2.8", "", "v3.9", "3.9-rc"])
def test_what_is_no_version_of_kong_is_refused(text: str) -> None:
    with pytest.raises(PluginServerError, match="is not a version of Kong"):
        version(text)


def test_a_version_may_be_long() -> None:
    assert version("3.14.0.13") == (3, 14)


@pytest.mark.parametrize("name", ["A=b", "A B", "", "1A", "A;"])
def test_what_is_no_variable_is_refused(name: str) -> None:
    with pytest.raises(PluginServerError, match="is not the name of an environment variable"):
        settings(plan("a", environment=[name]))


@pytest.mark.parametrize("word", ["/a b", "/a#b", "/a;b", "/ä", "#", "*", "(x)", "a,b", "~"])
def test_a_word_arrives_as_it_is(word: str) -> None:
    assert kong_conf.words(command_line(["/bin/x", word])) == ["/bin/x", word]
    made = Settings(["a"], {"pluginserver_names": "a", "pluginserver_a_query_cmd": ""}, [])
    made.values["pluginserver_a_query_cmd"] = command_line([word, word])
    for form in FORMATS:
        assert read(made, form, "3.9").servers[0].query == [word, word]


@pytest.mark.parametrize("word", ["it's", 'a"b', "a\\b", "$HOME", "`x`", "a\nb", ""])
def test_a_word_that_is_not_read_alike_everywhere_is_refused(word: str) -> None:
    with pytest.raises(PluginServerError, match="cannot stand in Kong's configuration"):
        command_line([word])


def test_a_socket_whose_path_is_too_long_is_refused() -> None:
    with pytest.raises(PluginServerError, match="longer than 107 bytes"):
        settings(plan("a", sockets=Path("/", "x" * 100)))


@pytest.mark.parametrize(
    "line",
    [
        "pluginserver_a_query_cmd = /x 'y",
        'pluginserver_a_query_cmd = "/x y',
        "pluginserver_a_query_cmd = /x # why",
        "pluginserver_a_query_cmd = /x > y",
        "pluginserver_a_query_cmd = A=$B /x",
    ],
)
def test_the_reader_refuses_a_broken_quote_a_comment_and_a_shell(line: str) -> None:
    with pytest.raises(kong_conf.Refused):
        kong_conf.understood(kong_conf.conf(f"plugins = a\npluginserver_names = a\n{line}\n"))
    name, _, value = line.partition(" = ")
    variables = {"KONG_PLUGINS": "a", "KONG_PLUGINSERVER_NAMES": "a"}
    with pytest.raises(kong_conf.Refused):
        kong_conf.understood(kong_conf.environment({**variables, f"KONG_{name.upper()}": value}))


def test_the_reader_refuses_a_name_without_a_query_command() -> None:
    with pytest.raises(kong_conf.Refused, match="query_cmd is missing"):
        kong_conf.understood({"plugins": "a", "pluginserver_names": "a"})


# -- the command, and a Kong that runs what it has written


@pytest.fixture
def plugins(prefix: Path) -> Path:
    directory = prefix / "my plugins"
    directory.mkdir()
    for name in ("one", "two-three"):
        (directory / f"{name}.py").write_text(PLUGIN)
    return directory


@pytest.mark.parametrize(
    ("kong", "form", "servers"),
    [("3.9", "conf", "one"), ("3.9", "helm", "each"), ("3.8", "compose", "one")],
)
def test_kong_asks_every_plugin_and_starts_each_server_once(
    plugins: Path, prefix: Path, kong: str, form: str, servers: str
) -> None:
    done = run(
        *MODULE,
        "kong-conf",
        *("-plugins-directory", plugins, "-format", form, "-kong", kong),
        *("-servers", servers, "-kong-prefix", prefix, "-env", "PYTHONPATH"),
    )
    assert done.returncode == 0, done.stderr
    settings = kong_conf.READERS[form](done.stdout.decode())
    understood = kong_conf.understood(settings, kong, str(prefix))
    known = asked(understood, kong, environment())
    assert list(known) == understood.plugins[1:] == ["one", "two-three"]
    with started(understood, environment()) as running:
        assert len(running) == (1 if servers == "one" else 2)
        answering = set()
        for name, plugin in known.items():
            process, said = described(plugin["socket"], name)
            answering.add(process)
            assert said["Name"] == name
        assert answering == {process.pid for process in running.values()}
        deadline = monotonic() + RUN_TIME
        for process in running.values():
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - monotonic()))
    assert [process.returncode for process in running.values()] == [0] * len(running)


def test_a_plugin_that_does_not_load_is_not_left_out_without_a_word(plugins: Path) -> None:
    (plugins / "bad.py").write_text(PLUGIN + "1 / 0\n")
    done = run(*MODULE, "kong-conf", "-plugins-directory", plugins)
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert "bad.py cannot be loaded: ZeroDivisionError" in line
    done = run(*MODULE, "kong-conf", "one", "-plugins-directory", plugins)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_directory_without_plugins_is_an_error(prefix: Path) -> None:
    done = run(*MODULE, "kong-conf", "-plugins-directory", prefix)
    assert done.returncode == 1
    assert b"there is no plugin in" in done.stderr


def test_variables_are_only_for_a_server_that_kong_starts(plugins: Path) -> None:
    done = run(*MODULE, "kong-conf", "-env", "A", "-started-by", "other", cwd=plugins)
    assert done.returncode == 2
    assert b"--env is for a server that Kong starts" in done.stderr


def test_a_variable_that_a_plugin_reads_and_kong_does_not_hand_on_is_told(plugins: Path) -> None:
    source = "import os\n" + PLUGIN.replace("pass", "os.getenv('TOKEN')")
    for name in ("one", "two-three"):
        (plugins / f"{name}.py").write_text(source)
    lines = [
        run(*MODULE, "kong-conf", *more, cwd=plugins).stdout.decode().splitlines()
        for more in ([], ["-env", "TOKEN"], ["-started-by", "other"])
    ]
    told = [sum("the environment variable TOKEN" in line for line in one) for one in lines]
    assert told == [1, 0, 0]


def test_a_server_may_be_for_some_plugins_alone(plugins: Path, prefix: Path) -> None:
    (plugins / "bad.py").write_text(PLUGIN + "1 / 0\n")
    done = run(
        *MODULE, *("-plugins-directory", plugins, "-only", "nosuch", "-socket", prefix / "s")
    )
    assert done.returncode == 1
    assert b"there is not a plugin nosuch" in done.stderr
