"""``pluginserver check``, as a process of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.commands import MODULE, run
from support.paths import EXAMPLES

GOOD = """
version, priority, protocol = "1.0.0", 1, "msgpack"
class Plugin:
    def access(self, kong): pass
"""
WARNED = GOOD.replace("pass", "kong.response.get_status()")
BROKEN = GOOD + "1 / 0\n"


def check(directory: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return run(*MODULE, "check", *arguments, cwd=directory)


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    for name, source in {"good": GOOD, "warned": WARNED, "broken": BROKEN}.items():
        (tmp_path / f"{name}.py").write_text(source)
    return tmp_path


def test_the_examples_have_nothing_to_be_said_of() -> None:
    done = check(EXAMPLES, "-strict", "-kong", "3.9")
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize(
    ("head", "call", "told"),
    [
        ("", "request.get_raw_path()", True),
        ("", "vault.get('{vault://env/x}')", False),
        ("protocol = 'msgpack'", "request.get_raw_path()", False),
        ("protocol = 'protobuf'", "request.get_raw_path()", False),
    ],
)
def test_the_safer_protocol_is_recommended_where_it_would_do(
    tmp_path: Path, head: str, call: str, told: bool
) -> None:
    source = GOOD.replace(', protocol = "1.0.0", 1, "msgpack"', f' = "1.0.0", 1\n{head}')
    (tmp_path / "p.py").write_text(source.replace("pass", f"kong.{call}"))
    done = check(tmp_path, "p.py", "-strict")
    assert (done.returncode, done.stdout) == (0, b"")
    assert (b"p: every call that was found works in ProtoBuf:1" in done.stderr) is told
    assert done.stderr.count(b"\n") == told


def test_a_place_is_on_one_line(plugins: Path) -> None:
    done = check(plugins)
    assert done.returncode == 1
    error, warning = done.stdout.decode().splitlines()
    assert error.startswith("broken.py:5: error: the plugin ")
    assert error.endswith(
        "ZeroDivisionError: division by zero (" + f"{plugins}/broken.py:5) [load]"
    )
    assert warning.startswith(
        "warned.py:4: warning: kong.response.get_status cannot be called in "
    )
    assert warning.endswith("[phase]")
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("files", "code", "strict"), [(["good.py"], 0, 0), (["warned.py"], 0, 1), (["."], 1, 1)]
)
def test_the_exit_code_is_for_errors_and_when_strict_for_warnings(
    plugins: Path, files: list[str], code: int, strict: int
) -> None:
    assert check(plugins, *files).returncode == code
    assert check(plugins, *files, "--strict").returncode == strict


def test_the_findings_in_json(plugins: Path) -> None:
    done = check(plugins.parent, "-plugins-directory", plugins, "-format", "json")
    broken, warned = json.loads(done.stdout)
    assert (broken["level"], broken["rule"], broken["line"]) == ("error", "load", 5)
    assert warned["file"] == f"{plugins.name}/warned.py"
    assert json.loads(check(plugins, "good.py", "-format=json").stdout) == []


def test_the_findings_as_annotations(plugins: Path) -> None:
    (plugins / "a,b%.py").write_text(BROKEN)
    done = check(plugins, "a,b%.py", "warned.py", "-format", "github")
    error, warning = done.stdout.decode().splitlines()
    assert error.startswith("::error file=a%2Cb%25.py,line=5,title=load::the plugin ")
    assert "a,b%25.py cannot be loaded" in error
    assert warning.startswith("::warning file=warned.py,line=4,title=phase::kong.response")


def test_a_dump_that_is_stale_is_a_warning(plugins: Path) -> None:
    dump = plugins / "d.json"
    assert run(*MODULE, "dump", "good", "-output", dump, cwd=plugins).returncode == 0
    assert check(plugins, "good.py", "-strict", "-dump", dump).returncode == 0
    (plugins / "good.py").write_text(GOOD + "# changed\n")
    done = check(plugins, "good.py", "-strict", "-dump", dump)
    assert done.returncode == 1
    assert b"d.json:1: warning: the dump " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch.py"], "there is no file or directory nosuch.py"),
        (["empty"], "there is no plugin in empty"),
        (["good.py", "-kong", "x"], "'x' is not a version of Kong"),
        (["good.py", "-dump", "none.json"], "the dump none.json cannot be read"),
    ],
)
def test_what_a_user_got_wrong_is_one_line(plugins: Path, arguments: list[str], said: str) -> None:
    (plugins / "empty").mkdir()
    done = check(plugins, *arguments)
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert said in line


def test_a_thread_that_a_plugin_leaves_does_not_hold_up_the_end(plugins: Path) -> None:
    (plugins / "stays.py").write_text(
        f"import threading\nthreading.Thread(target=threading.Event().wait).start()\n{GOOD}"
    )
    assert check(plugins, "stays.py").returncode == 0


def test_what_a_plugin_prints_is_not_among_the_findings(plugins: Path) -> None:
    (plugins / "loud.py").write_text(f"import os\nos.write(1, b'x')\nprint('y')\n{GOOD}")
    done = check(plugins, "loud.py")
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_file_that_is_nearly_a_plugin_is_a_warning_beside_others(plugins: Path) -> None:
    (plugins / "nearly.py").write_text(GOOD.replace("version, priority", "version, x"))
    done = check(plugins, ".", "-format", "json")
    nearly = [one for one in json.loads(done.stdout) if one["file"] == "nearly.py"]
    assert [(one["level"], one["rule"], one["line"]) for one in nearly] == [("warning", "load", 3)]
    assert "it defines no priority: write priority = 100" in nearly[0]["text"]


def test_where_nothing_else_is_it_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "nearly.py").write_text(GOOD.replace("version, priority", "version, x"))
    done = check(tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith(b"nearly.py:3: warning: ")
