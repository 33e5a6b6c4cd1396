"""``python -m pluginserver dev``, as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import commands
from support.devgateway import HELLO
from support.paths import EXAMPLES

from pluginserver import logs
from pluginserver.dev.command import main


@contextmanager
def started(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """A gateway that has told where it is: the process, the URL, and the lines so far."""
    process = subprocess.Popen(
        [sys.executable, *commands.MODULE, "dev", *map(str, arguments), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=commands.environment(),
    )
    try:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.rstrip())
            found = re.search(r"page +(http://[^ ]+)/__pluginserver", line)
            if found:
                yield process, found[1], lines
                break
        else:
            raise AssertionError(f"it did not start: {lines}")
    finally:
        process.terminate()
        process.communicate(timeout=commands.TIMEOUT)
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_stopped(tmp_path: Path, number: int) -> None:
    (tmp_path / "hello.py").write_text(HELLO)
    with started(tmp_path, "--config", "hello.message=from here") as (process, url, lines):
        with urllib.request.urlopen(f"{url}/path") as answer:
            assert answer.headers["x-hello"] == "from here"
        process.send_signal(number)
        rest, _ = process.communicate(timeout=commands.TIMEOUT)
    assert process.returncode == 0
    assert "GET /path" in rest
    assert "Traceback" not in rest
    assert lines[0] == "pluginserver dev"
    assert lines[1].strip() == "hello 1.0.0  priority 100  access"
    assert any(line.strip() == f"try       curl -i {url}/" for line in lines)


def test_a_plugin_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    (tmp_path / "hang.py").write_text(
        HELLO.replace(
            'kong.response.set_header("x-hello", self.message)',
            'print("hangs", flush=True)\n        __import__("time").sleep(3600)',
        )
    )
    with started(tmp_path) as (process, url, _):
        assert process.stdout is not None
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), commands.TIMEOUT) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert process.stdout.readline() == "hangs\n"
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=commands.TIMEOUT)
    assert process.returncode == 0


def test_the_examples_run_with_their_settings() -> None:
    with started(EXAMPLES, "--config-file", EXAMPLES / "dev.toml") as (process, url, lines):
        request = urllib.request.Request(url, headers={"x-api-key": "demo"})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
            assert answer.headers["x-hello"].startswith("good morning to ")
            assert answer.headers["x-ratelimit-remaining"] == "9"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=commands.TIMEOUT)
    assert process.returncode == 0
    assert not [line for line in lines if "left out" in line or " ! " in line]


def test_no_plugins_yet(tmp_path: Path) -> None:
    with started(tmp_path) as (_, _, lines):
        assert lines[1].strip() == f"no plugins yet in {tmp_path}: write one, and it is loaded"


def test_who_opens_it_to_others_is_told(tmp_path: Path) -> None:
    with started(tmp_path, "-host", "0.0.0.0") as (process, url, _):
        assert process.stdout is not None
        assert url.startswith("http://localhost:")
        assert "whoever reaches it can use it" in process.stdout.readline()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_told_nothing(tmp_path: Path, host: str) -> None:
    with started(tmp_path, "--host", host) as (process, url, _):
        assert url.startswith(f"http://{host}:")
        process.terminate()
        rest, _ = process.communicate(timeout=commands.TIMEOUT)
    assert rest == ""


def test_an_upstream_and_troubles_are_in_the_greeting(tmp_path: Path) -> None:
    (tmp_path / "needy.py").write_text(HELLO.replace('message: str = "hello"', "message: str"))
    (tmp_path / "broken.py").write_text(HELLO + "1 / 0\n")
    with started(tmp_path, "--upstream", "http://localhost:9") as (_, _, lines):
        text = "\n".join(lines)
    assert "upstream  http://localhost:9" in text
    assert "needy is left out: its field message is required" in text
    assert text.count("broken.py cannot be loaded: ZeroDivisionError") == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nowhere"], "there is no file or directory"),
        (["--config", "a"], "NAME.FIELD=VALUE"),
        (["--config-file", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["--upstream", "localhost:3000"], "give a URL such as http://localhost:3000"),
        (["--upstream", "http://"], "give a URL"),
        (["--kong", "2.8"], "'2.8' is not a version of Kong from 3.0 on"),
        (["--upstream", "http://localhost:99999"], "give a URL"),
        (["--upstream", "http://u:p@localhost"], "give a URL"),
        (["--upstream", "http://localhost/?a=b"], "give a URL"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1 port 8000"),
    ],
)
def test_what_a_user_got_wrong_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    error: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "configure", lambda level: None)
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("pluginserver: ")
    assert error in line


@pytest.mark.parametrize("port", ["x", "-1", "65536"])
def test_what_is_no_port(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--port={port}"]) == 2
    assert "is not a port: give a number from 0 to 65535" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "aiohttp.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'aiohttp'\", name='aiohttp')\n"
    )
    path = os.pathsep.join([str(tmp_path), commands.environment()["PYTHONPATH"]])
    ended = subprocess.run(
        [sys.executable, *commands.MODULE, "dev"],
        capture_output=True,
        text=True,
        timeout=commands.TIMEOUT,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        "pluginserver: dev needs aiohttp, which is not installed: "
        "run pip install 'kong-python-server[dev]'\n"
    )


def test_nobody_is_told_to_write_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(HELLO.replace("priority = 100", ""))
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    with started(tmp_path) as (_, _, lines):
        text = "\n".join(lines)
    assert "write one" not in text
    assert f"no plugins yet in {tmp_path}: mend what is named here, and it is loaded" in text
    assert (
        text.count("hello.py is not a plugin: it defines no priority: write priority = 100") == 1
    )
    assert text.count("helper.py is not a plugin: it defines no class Plugin") == 1
