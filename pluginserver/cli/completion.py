"""``pluginserver completion``: what the shell completes, by click.

Rules kept here:

* the flag form looks for one variable of the environment, and loads nothing for this;
* the commands and their flags are read from the commands themselves, those of the flag form from its parser.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from ..errors import PluginServerError
from .commands import COMMANDS, COMPLETE
from .main import flags
from .subcommand import SubCommand, made, run

PROGRAM: Final = "pluginserver"
SHELLS: Final = ("bash", "zsh", "fish")


class _Program(click.Group):
    """Everything that ``pluginserver`` takes: a command is loaded when its own flags are asked for."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        with suppress(ModuleNotFoundError):  # an extra that is not installed
            import_module(COMMANDS[name].module)
        words = click.Argument(["words"], nargs=-1, type=click.Path())
        return made(name) or click.Command(name, params=[words])

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        if not incomplete[:1].isalpha() and incomplete:
            return click.Command.shell_complete(self, context, incomplete)
        return [
            CompletionItem(name, help=command.about)
            for name, command in COMMANDS.items()
            if name.startswith(incomplete)
        ]


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    return run(_command, arguments)


def complete(instruction: str) -> int:
    """Answer the shell.

    :param instruction: what it asks, such as ``bash_complete``.
    :returns: the exit code.
    """
    shell, _, what = instruction.partition("_")
    kind = get_completion_class(shell)
    if kind is None or what not in ("source", "complete"):
        return 1
    completion = kind(_program(), {}, PROGRAM, COMPLETE)
    sys.stdout.write(f"{completion.source() if what == 'source' else completion.complete()}\n")
    return 0


def _program() -> click.Group:
    program = _Program(PROGRAM)
    for name, (takes_value, about) in flags().items():
        program.params.append(click.Option([name], help=about, is_flag=not takes_value))
    return program


@click.command(
    "completion",
    cls=SubCommand,
    example=["completion bash"],
    exits={0: "when it is printed", 1: "when the shell is too old"},
)
@click.argument("shell", type=click.Choice(SHELLS))
def _command(shell: str) -> None:
    """Print the lines that have a shell complete commands and flags.

    \b
    Switch it on by this line in the file that the shell reads at its start:
    bash  eval "$(pluginserver completion bash)"        ~/.bashrc
    zsh   eval "$(pluginserver completion zsh)"         ~/.zshrc
    fish  pluginserver completion fish | source         config.fish
    """
    try:
        complete(f"{shell}_source")
    except RuntimeError as error:
        raise PluginServerError(str(error)) from error
