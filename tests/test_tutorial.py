"""The newcomer's path: what the tutorial says, typed into a new directory, in a new environment."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.commands import TIMEOUT
from support.paths import DOCS
from support.ports import free_port
from support.tutorial import Command, Piece, placed, steps
from support.wheels import WHEEL

PAGE: Final = DOCS / "tutorial.rst"

INSTALLING: Final = 600
"""Seconds after which an installation is given up."""

WORDS: Final = ("venv", "pip install", "new", "pytest", "check", "dev", "curl", "kong-conf")
"""What the path leads past, in this order."""


class Reader:
    """Somebody who types what the page says, in a shell whose directory and variables last.

    :param home: where the reader begins.
    :param port: a free port, which takes the place of the page's.
    """

    def __init__(self, home: Path, port: int) -> None:
        self._state = home / "state.sh"
        self._state.write_text(f"cd {shlex.quote(str(home))}\n")
        self._port = str(port)
        self._environment = _environment(home)
        self._servers: list[subprocess.Popen[str]] = []

    def types(self, command: Command) -> str:
        """Type a command, and see whether what the page shows is printed.

        :returns: what was printed.
        """
        line = command.line.replace("8000", self._port)
        if line.startswith("pluginserver dev"):
            return self._starts(line, command)
        done = subprocess.run(
            ["bash", "-c", self._script(f"{line}\ncode=$?\n{self._keep()}\nexit $code")],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALLING,
            check=False,
        )
        assert command.missing(done.stdout) is None, f"$ {line}\n{done.stdout}"
        fails = any(" failed" in one for one in command.output)
        assert (done.returncode != 0) == fails, f"$ {line}\n{done.stdout}"
        return done.stdout

    def writes(self, piece: Piece) -> None:
        """Put a piece into a file of the directory in which the shell is."""
        here = self.types(Command("pwd")).strip()
        path = Path(here, piece.file)
        path.write_text(placed(piece, path.read_text()))

    def stops(self) -> list[int]:
        """Press Ctrl-C in each terminal in which something runs; gives the exit codes."""
        for server in self._servers:
            server.send_signal(signal.SIGINT)
        return [server.wait(TIMEOUT) for server in self._servers]

    def leaves(self) -> None:
        """Let nothing go on that was started."""
        for server in self._servers:
            server.kill()
            server.communicate()

    def _starts(self, line: str, command: Command) -> str:
        server = subprocess.Popen(
            ["bash", "-c", self._script(f"exec {line}")],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._servers.append(server)
        assert server.stdout is not None
        printed = ""
        for one in server.stdout:
            printed += one
            if f":{self._port}/__pluginserver" in one:
                break
        assert command.missing(printed) is None, f"$ {line}\n{printed}"
        return printed

    def _script(self, line: str) -> str:
        return f". {shlex.quote(str(self._state))}\n{line}"

    def _keep(self) -> str:
        """Shell code that keeps the directory and the variables for the next command."""
        return f'{{ export -p; printf "cd %q\\n" "$PWD"; }} > {shlex.quote(str(self._state))}'


def _environment(home: Path) -> dict[str, str]:
    """A newcomer's: nothing of this test's own, but where the wheel is."""
    assert WHEEL is not None
    ours = ("PYTEST", "PYTHON", "VIRTUAL_ENV", "TOX", "PLUGINSERVER", "COV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    links = f"{os.environ.get('PIP_FIND_LINKS', '')} {WHEEL.parent}".strip()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **kept,
        "HOME": str(home),
        "PATH": path,
        "PIP_FIND_LINKS": links,
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    if WHEEL is None:
        pytest.skip("no wheel was built: tox -e release builds one")
    someone = Reader(tmp_path, free_port())
    yield someone
    someone.leaves()


def test_the_path_leads_past_all_that_a_plugin_needs() -> None:
    lines = iter([one.line for one in steps(PAGE) if isinstance(one, Command)])
    for word in WORDS:
        assert any(word in line for line in lines), f"{word} is not on the path, or out of order"


@pytest.mark.timeout(INSTALLING)
def test_what_the_page_says_can_be_typed_and_does_what_it_says(reader: Reader) -> None:
    for step in steps(PAGE):
        if isinstance(step, Piece):
            reader.writes(step)
        else:
            reader.types(step)
    assert reader.stops() == [0]
