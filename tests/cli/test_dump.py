"""What Kong's query command gets to read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgpack
import pytest
from support.commands import MODULE, environment, run

GREET = """
import attrs

version = "1.2.3"
priority = 7

@attrs.define
class Plugin:
    \"\"\"Greets.\"\"\"

    message: str = "grüß Gott"
    tags: set[str] = attrs.Factory(set)

    def access(self, kong):
        kong.response.set_header("x", self.message)

    def log(self, kong):
        pass
"""

LOUD = """
import atexit, ctypes, os, subprocess, sys
print("printed")
print("printed to the real stdout", file=sys.__stdout__)
os.write(1, b"written\\n")
ctypes.CDLL(None).puts(b"put by C, which writes when the process ends")
subprocess.run(["echo", "echoed"])
atexit.register(print, "printed at the end")
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    directory = tmp_path / "plugins"
    directory.mkdir()
    (directory / "greet.py").write_text(GREET, encoding="utf-8")
    (directory / "part.py").write_text(GREET + 'name = "a-part"\n', encoding="utf-8")
    (directory / "helper.py").write_text("VALUE = 1\n")
    return directory


def dump(plugins: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return run(*MODULE, "-plugins-directory", plugins, *arguments)


def greet(name: str) -> dict[str, object]:
    fields = [
        {"message": {"type": "string", "default": "grüß Gott"}},
        {"tags": {"type": "set", "elements": {"type": "string"}, "default": []}},
    ]
    return {
        "Name": name,
        "Phases": ["access", "log"],
        "Version": "1.2.3",
        "Priority": 7,
        "Schema": {"name": name, "fields": [{"config": {"type": "record", "fields": fields}}]},
    }


@pytest.mark.parametrize("flag", ["-dump", "--dump", "-dump-all-plugins", "--dump-all-plugins"])
def test_everything_in_json(plugins: Path, flag: str) -> None:
    done = dump(plugins, flag)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [greet("greet"), greet("a-part")]


def test_some_in_the_order_asked_for(plugins: Path) -> None:
    done = dump(plugins, "-dump", "a-part", "greet")
    assert [entry["Name"] for entry in json.loads(done.stdout)] == ["a-part", "greet"]
    assert done.returncode == 0


def test_the_protocol_is_what_the_plugin_says_or_the_flag(plugins: Path) -> None:
    (plugins / "new.py").write_text(GREET + "protocol = 'protobuf'\n", encoding="utf-8")
    told = {"Protocol": "ProtoBuf:1", "Plugins": [greet("new")]}
    assert json.loads(dump(plugins, "-dump", "new").stdout) == told
    assert json.loads(dump(plugins, "-dump", "new", "-protocol", "msgpack").stdout) == [
        greet("new")
    ]
    done = dump(plugins, "-dump", "greet", "-protocol=protobuf")
    assert json.loads(done.stdout) == {"Protocol": "ProtoBuf:1", "Plugins": [greet("greet")]}


def test_plugins_that_say_different_protocols_are_not_dumped_together(plugins: Path) -> None:
    (plugins / "new.py").write_text(GREET + "protocol = 'protobuf'\n", encoding="utf-8")
    done = dump(plugins, "-dump")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == (
        "pluginserver: the plugins greet (msgpack) and new (protobuf) say different protocols, and a dump"
        " has one: dump each by its name, or say -protocol\n"
    )
    assert dump(plugins, "-dump", "-protocol", "msgpack").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["-dump-plugin-info", "greet"],
        ["--dump-plugin-info", "greet"],
        ["-dump-plugin-info=greet"],
        ["--dump-plugin-info=greet"],
    ],
)
def test_one_in_msgpack(plugins: Path, arguments: list[str]) -> None:
    done = dump(plugins, *arguments)
    assert done.returncode == 0
    assert msgpack.unpackb(done.stdout) == greet("greet")


def test_the_current_directory_is_the_default(plugins: Path) -> None:
    done = run(*MODULE, "-dump", "greet", cwd=plugins)
    assert json.loads(done.stdout) == [greet("greet")]


def test_the_text_is_ascii_whatever_the_locale(plugins: Path) -> None:
    assert dump(plugins, "-dump").stdout.isascii()


def test_a_dump_that_finds_nothing_is_an_error(tmp_path: Path) -> None:
    done = dump(tmp_path, "-dump")
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line == (
        f"pluginserver: there is no plugin in {tmp_path}: say where they are, as -plugins-directory DIR"
    )


def test_a_dump_that_finds_nothing_says_what_it_passed_over_and_why(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"helper{number}.py").write_text("VALUE = 1\n")
    (tmp_path / "theirs.py").write_text(
        "Schema = []\nclass Plugin:\n    def __init__(self, config): pass\n"
        "    def access(self, kong): pass\npriority = 1\n"
    )
    done = dump(tmp_path, "-dump")
    assert (done.returncode, done.stdout) == (1, b"")
    *_, last = done.stderr.decode().splitlines()
    first, *others, more = last.removeprefix(
        f"pluginserver: there is no plugin in {tmp_path}: "
    ).split("; ")
    assert first.startswith(
        f"{tmp_path}/theirs.py is not a plugin: it defines no version: write version"
    )
    assert "serve it with kong-python-pluginserver" in first
    assert first.endswith(f"({tmp_path}/theirs.py:2)")
    assert others == [
        f"{tmp_path}/helper{number}.py is not a plugin: it defines no class Plugin"
        for number in range(4)
    ]
    assert more == "and 2 more files"


@pytest.mark.parametrize(
    "arguments", [["-dump", "greet"], ["-dump"], ["-dump-plugin-info", "greet"]]
)
def test_stdout_holds_the_dump_alone(plugins: Path, arguments: list[str]) -> None:
    quiet = dump(plugins, *arguments)
    (plugins / "greet.py").write_text(LOUD + GREET, encoding="utf-8")
    loud = dump(plugins, *arguments)
    assert loud.stdout == quiet.stdout
    assert loud.returncode == 0
    for text in (
        b"printed\n",
        b"written",
        b"put by C",
        b"echoed",
        b"at the end",
    ):
        assert text in loud.stderr


@pytest.mark.parametrize("flag", ["-dump", "-dump-plugin-info"])
@pytest.mark.parametrize(
    ("name", "source", "told"),
    [
        ("nosuch", None, b"nosuch"),
        ("helper", None, b"helper.py is not a plugin"),
        ("broken", "import nosuchmodule\nPlugin = None", b"nosuchmodule"),
        ("wrong", GREET.replace("priority = 7", "priority = 'high'"), b"priority"),
        ("worse", "import sys; sys.exit('Plugin')", b"SystemExit"),
        ("old", GREET + "protocol = 'http'", b'protocol must be "msgpack" or "protobuf"'),
    ],
)
def test_what_cannot_be_described_is_an_error(
    plugins: Path, flag: str, name: str, source: str | None, told: bytes
) -> None:
    if source is not None:
        (plugins / f"{name}.py").write_text(source, encoding="utf-8")
    done = dump(plugins, flag, name)
    assert done.returncode == 1
    assert done.stdout == b""
    *_, last = done.stderr.splitlines()
    assert last.startswith(b"pluginserver: ")
    assert name.encode() in last
    assert told in last
    assert b"\nTraceback" not in done.stderr


def test_one_of_several_that_cannot_be_described_is_an_error(plugins: Path) -> None:
    done = dump(plugins, "-dump", "greet", "nosuch")
    assert (done.returncode, done.stdout) == (1, b"")


def test_a_broken_file_costs_only_itself_when_all_are_asked_for(plugins: Path) -> None:
    (plugins / "broken.py").write_text("import nosuchmodule\nPlugin = None")
    done = dump(plugins, "-dump")
    assert [entry["Name"] for entry in json.loads(done.stdout)] == ["greet", "a-part"]
    assert done.returncode == 0
    assert done.stderr.count(b"\n") == 1
    assert b"broken.py" in done.stderr


def test_all_broken_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nosuchmodule\nPlugin = None")
    done = dump(tmp_path, "-dump")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"broken.py" in done.stderr


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    done = dump(tmp_path / "nosuch", "-dump")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.count(b"\n") == 1
    assert str(tmp_path / "nosuch").encode() in done.stderr


def test_the_traceback_of_a_broken_plugin_is_told_at_debug(plugins: Path) -> None:
    (plugins / "broken.py").write_text("import nosuchmodule\nPlugin = None")
    done = dump(plugins, "-dump", "-log-level", "debug", "-log-format=json")
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert any("import nosuchmodule\n" in record.get("traceback", "") for record in told)


def test_a_thread_of_a_plugin_does_not_hold_up_the_dump(plugins: Path) -> None:
    thread = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    (plugins / "greet.py").write_text(thread + GREET, encoding="utf-8")
    done = dump(plugins, "-dump", "greet")
    assert json.loads(done.stdout) == [greet("greet")]
    assert done.returncode == 0


def test_a_dump_that_nobody_reads_is_an_error(plugins: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [sys.executable, *MODULE, "-dump", "-plugins-directory", str(plugins)]
        done = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, env=environment(), timeout=60
        )
    finally:
        os.close(writer)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"Broken pipe" in done.stderr


def test_a_dump_imports_no_more_than_it_needs(plugins: Path) -> None:
    done = run("-X", "importtime", *MODULE, "-plugins-directory", plugins, "-dump")
    assert done.returncode == 0
    imported = {line.split(b"|")[-1].strip() for line in done.stderr.splitlines()}
    assert b"pluginserver.cli.dump" in imported
    assert not imported & {
        b"structlog",
        b"cattrs",
        b"socketserver",
        b"logging",
        b"asyncio",
        b"pluginserver.server",
        b"pluginserver.runtime.worker",
    }
