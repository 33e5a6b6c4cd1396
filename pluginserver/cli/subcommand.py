"""What every sub-command has in common: how it is run, what its help holds, and what it takes everywhere.

Rules kept here:

* every flag is taken with one dash or two, wherever it stands;
* what a user got wrong is one line on stderr and exit code 1; for the arguments themselves it is the usage,
  the line, and exit code 2;
* a command's help has an example and says what it exits with.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from .. import logs
from ..errors import PluginServerError

F = TypeVar("F", bound=Callable[..., Any])

_FLAG: Final = re.compile(r"-(?=[a-z][a-z])")


_made: Final[dict[str | None, click.Command]] = {}
"""The commands of the modules that are loaded, by name."""


def made(name: str) -> click.Command | None:
    """The command of that name, when its module is loaded."""
    return _made.get(name)


class SubCommand(click.Command):
    """A command whose help has an example, and says what it exits with.

    :param example: a command line or several, without the program's name in front.
    :param exits: what each exit code means.
    """

    def __init__(
        self, name: str | None, example: Sequence[str], exits: Mapping[int, str], **kwargs: Any
    ) -> None:
        settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        super().__init__(name, context_settings=settings, **kwargs)
        self.example, self.exits = example, exits
        _made[name] = self

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what comes after the options."""
        with formatter.section("Example"):
            for line in self.example:
                formatter.write_text(f"pluginserver {line}")
        exits = "; ".join(f"{code} {meaning}" for code, meaning in self.exits.items())
        formatter.write_paragraph()
        formatter.write_text(f"Exits with {exits}; 2 when the arguments are wrong.")


def plugins_directory(function: F) -> F:
    """Add ``--plugins-directory``, which every command that takes a plugin's name has."""
    return click.option(
        "--plugins-directory",
        metavar="DIR",
        type=click.Path(path_type=Path),
        default=".",
        help="Where the plugins are; default: the current directory.",
    )(function)


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """Run a sub-command.

    :param command: its function returns the exit code, None for 0, and may raise
        :class:`~pluginserver.errors.PluginServerError`.
    :param arguments: the command line after its name.
    :returns: the exit code.
    """
    try:
        code = command.main(
            _with_two_dashes(arguments), f"pluginserver {command.name}", standalone_mode=False
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (PluginServerError, OSError) as error:
        sys.stderr.write(f"pluginserver: {logs.one_line(str(error))}\n")
        return 1
    except (KeyboardInterrupt, click.Abort):
        return 130
    return int(code or 0)


def _with_two_dashes(arguments: Sequence[str]) -> list[str]:
    """The arguments with two dashes before each long flag, up to ``--``."""
    given = list(arguments)
    end = given.index("--") if "--" in given else len(given)
    return [
        _FLAG.sub("--", one, count=1) if _FLAG.match(one) else one for one in given[:end]
    ] + given[end:]
