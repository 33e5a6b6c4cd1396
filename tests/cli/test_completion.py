"""What the shell completes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.commands import MODULE, environment, run

from pluginserver.cli import completion
from pluginserver.cli.commands import COMMANDS, COMPLETE


def completed(line: str) -> list[str]:
    """What bash is told of a line, whose last word is incomplete."""
    words = line.split(" ")
    asked = {COMPLETE: "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = run(*MODULE, env={**environment(), **asked})
    assert (done.returncode, done.stderr) == (0, b"")
    return [one.partition(",")[2] for one in done.stdout.decode().splitlines() if one]


def test_commands_are_completed() -> None:
    assert completed("pluginserver ") == list(COMMANDS)
    assert completed("pluginserver in") == ["install"]


def test_flags_are_completed() -> None:
    assert completed("pluginserver --max") == [
        "--max-threads",
        "--max-connections",
        "--max-events",
    ]
    assert completed("pluginserver --plugins-directory x --dump-a") == ["--dump-all-plugins"]
    assert completed("pluginserver new x --st") == ["--style"]
    assert completed("pluginserver check --stri") == ["--strict"]


def test_values_are_completed() -> None:
    assert completed("pluginserver new x --style a") == ["attrs", "auth"]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_can_be_completed(command: str) -> None:
    completed(f"pluginserver {command} ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_lines_for_a_shell_ask_by_the_variable(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert completion.main([shell]) == 0
    assert f"{COMPLETE}={shell}_complete" in capsys.readouterr().out


def test_bash_takes_the_lines() -> None:
    made = run(*MODULE, "completion", "bash").stdout
    done = subprocess.run(["bash", "-n"], input=made, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("instruction", ["tcsh_complete", "bash_brew", ""])
def test_what_nobody_knows_is_no_traceback(instruction: str) -> None:
    done = run(*MODULE, env={**environment(), COMPLETE: instruction})
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_a_dump_loads_nothing_for_it() -> None:
    code = "import sys, pluginserver.cli.main; sys.exit('click' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode
        == 0
    )
