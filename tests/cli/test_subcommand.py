"""What every sub-command has in common."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from pluginserver.cli.commands import COMMANDS, told
from pluginserver.cli.subcommand import SubCommand, plugins_directory, run
from pluginserver.errors import PluginError

LINES = 40
"""Lines of a small terminal."""


def made(function: Callable[..., Any]) -> SubCommand:
    @click.command("try", cls=SubCommand, example=["try NAME"], exits={0: "always"})
    @click.argument("name")
    @plugins_directory
    def command(**given: Any) -> Any:
        """Try it."""
        return function(given)

    return command  # type: ignore[no-any-return]


@pytest.mark.parametrize("flag", ["-plugins-directory", "--plugins-directory"])
def test_a_flag_has_one_dash_or_two_and_stands_anywhere(flag: str) -> None:
    for words in ([flag, "d", "n"], ["n", flag, "d"], [f"{flag}=d", "n"]):
        given: dict[str, Any] = {}
        assert run(made(given.update), words) == 0
        assert given == {"name": "n", "plugins_directory": Path("d")}


def test_what_is_after_two_dashes_is_no_flag() -> None:
    given: dict[str, Any] = {}
    assert run(made(given.update), ["--", "-plugins-directory"]) == 0
    assert given["name"] == "-plugins-directory"


def test_what_a_command_returns_is_the_exit_code() -> None:
    assert run(made(lambda _given: 3), ["n"]) == 3


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PluginError("two\nlines"), 1, "pluginserver: two | lines\n"),
        (
            FileNotFoundError(2, "No such file", "x"),
            1,
            "pluginserver: [Errno 2] No such file: 'x'\n",
        ),
        (KeyboardInterrupt(), 130, "\n"),
    ],
)
def test_what_goes_wrong_is_one_line(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_given: Any) -> None:
        raise error

    assert run(made(fails), ["n"]) == code
    assert capsys.readouterr().err == said


def test_wrong_arguments_are_the_usage_and_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(made(print), []) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("Usage: pluginserver try ")
    assert "NAME" in told[-1]


def test_the_help_has_an_example_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(made(print), ["-h"]) == 0
    told = capsys.readouterr().out
    assert "Example:\n  pluginserver try NAME\n" in told
    assert "Exits with 0 always; 2 when the arguments are wrong." in told


def test_the_flag_form_lists_every_command() -> None:
    lines = told(COMMANDS).splitlines()
    for name, command in COMMANDS.items():
        assert any(line.split()[:1] == [name] and line.endswith(command.about) for line in lines)
        assert len(lines) < LINES


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_fits_a_screen(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    module = import_module(COMMANDS[name].module)
    assert module.main(["-h"]) == 0
    told = capsys.readouterr().out
    lines = told.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= 80
    example = lines[lines.index("Example:") + 1]
    assert example.split()[:2] == ["pluginserver", name]
    assert (
        " ".join(lines[-2:])
        .partition("Exits with 0 ")[2]
        .endswith("when the arguments are wrong.")
    )


def test_the_commands_are_in_the_order_of_a_plugins_life(
    capsys: pytest.CaptureFixture[str],
) -> None:
    life = ["new", "dev", "run", "check", "schema", "dump", "kong-conf", "install"]
    life += ["serve", "record", "status", "completion"]
    assert list(COMMANDS) == life
