"""``make demo``: what it prints can be done as it is printed, and what its Makefile makes again."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from dev.test_command import started
from support.devgateway import TIMEOUT, dev
from support.paths import EXAMPLES, ROOT

from pluginserver.dev import settings

SOURCES = (EXAMPLES, EXAMPLES / "demo")
FILE = EXAMPLES / "dev.toml"

needs_make = pytest.mark.skipif(not shutil.which("make"), reason="there is no make")


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_every_hint_works_as_it_is_printed() -> None:
    with started(*SOURCES, "--config-file", FILE) as (_, url, lines):
        hints = [re.fullmatch(r"  try +(.+?)(  # (.*))?", line) for line in lines]
        found = [(hint[1], hint[3]) for hint in hints if hint]
        assert len(found) == 4
        for command, shows in found:
            assert url in command
            answer = subprocess.run(
                ["sh", "-c", command], capture_output=True, text=True, timeout=TIMEOUT, check=True
            ).stdout
            status = re.match(r"HTTP/1.1 (\d+) ", answer)
            assert status, answer
            told = re.match(r"(\d+): ", shows)
            assert status[1] == (told[1] if told else "200"), command
        page = next(line.split()[1] for line in lines if line.startswith("  page "))
        shown = subprocess.run(
            ["curl", "-s", page], capture_output=True, text=True, timeout=TIMEOUT, check=True
        ).stdout
    assert shown.count("<tr id=") == 4
    assert "1 bug<" in shown


def test_its_terminal_has_no_json_in_a_timeline() -> None:
    with dev(*SOURCES, settings=settings.read(FILE), settings_file=FILE) as gateway:
        gateway.get("/orders", x_api_key="demo")
        written = gateway.screen.wait_for("get_source")
        (entry,) = gateway.gateway.history.entries()
        page = gateway.page(f"/requests/{entry.id}").text
    assert "kong.log.serialize() -> {'" in written
    assert not re.search(r'\{"', written)
    timeline = page.partition('class="timeline"')[2].partition('class="comparison"')[0]
    lines = re.sub(r"<details.*?</details>", "", timeline, flags=re.S)
    assert "serialize" in lines
    assert "{&#34;" not in lines


def made(venv: Path, *arguments: str) -> str:
    """What ``make`` would do."""
    return subprocess.run(
        ["make", "-n", f"VENV={venv}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    ).stdout


@needs_make
def test_the_port_is_passed_on(tmp_path: Path) -> None:
    assert "--port 9123" in made(tmp_path / "venv", "demo", "PORT=9123")
    assert "--port" not in made(tmp_path / "venv", "demo")


@needs_make
@pytest.mark.parametrize("python", ["works", "fails", "is gone"])
def test_a_broken_virtual_environment_is_made_again(tmp_path: Path, python: str) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").touch()
    file = venv / "bin" / "python"
    if python == "is gone":
        file.symlink_to(tmp_path / "python-of-old")
    else:
        file.write_text(f"#!/bin/sh\nexit {0 if python == 'works' else 1}\n")
        file.chmod(0o755)
    (venv / "dev.done").touch()
    done = made(venv, "demo")
    assert ("-m venv --clear" in done) is (python != "works")
    assert ("pip install" in done) is (python != "works")
