"""How the flag form explains itself: its help, and what it says of a flag that it does not have.

Rules kept here:

* the help fits a screen: it has the flags of every day, and ``-help-all`` has all of them;
* a flag of kong-pdk's is told with what stands for it here, any other with the one that was probably meant;
* a dump pays for nothing that only the help needs: argparse asks for the terminal's width with each flag
  that it is told of, and loads the compression libraries for that.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NoReturn, TypeVar

A = TypeVar("A", bound=argparse.Action)

COLUMNS: Final = 80
"""The width when there is no terminal."""

EVERYDAY: Final = frozenset(
    {
        "--plugins-directory",
        "--watch",
        "--dump",
        "--version",
        "--help",
        "--help-all",
        "--kong-prefix",
        "--socket",
        "--processes",
        "--log-level",
    }
)
"""The flags that the short help has."""

THEIRS: Final = {
    "d": "say -plugins-directory DIR",
    "p": "say -kong-prefix DIR",
    "v": "say -log-level debug",
    "verbose": "say -log-level debug",
    "socket-name": "say -socket PATH",
    "m": "say -processes N",
    "multiprocessing": "say -processes N",
    "g": "leave it out, handlers may block",
    "gevent": "leave it out, handlers may block",
    "listen-queue-size": "leave it out, the queue is as long as the system allows",
    "no-lua-style": "put lua_style = False into the plugin's module",
}
"""The flags of kong-pdk 0.36 that are not ours too, and what to do instead."""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """The usual help, as wide as the terminal; what is below the flags keeps its lines."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_width() - 2)


class Parser(argparse.ArgumentParser):
    """A parser whose help fits a screen, and which says what was meant by a flag that it does not have.

    :param commands: the names of the sub-commands, which stand first on the command line.
    """

    def __init__(self, commands: Sequence[str] = (), **settings: Any) -> None:
        self._known: list[argparse.Action] = []
        self._commands = commands
        super().__init__(
            allow_abbrev=False, add_help=False, formatter_class=HelpFormatter, **settings
        )

    def _add_action(self, action: A) -> A:
        self._known.append(action)
        return super()._add_action(action)

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Read a command line; ends the process when it is wrong, or asks for help.

        :param arguments: its words, the flags with two dashes.
        """
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            self._refuse(unknown)
        return options

    def flags(self) -> dict[str, tuple[bool, str]]:
        """Its flags: whether each takes a value, and what it is for."""
        return {
            flag: (one.nargs != 0, str(one.help or ""))
            for one in self._known
            for flag in one.option_strings
        }

    def everyday(self) -> str:
        """The help with the flags of every day."""
        formatter = HelpFormatter(self.prog)
        formatter.add_usage(f"{self.prog} [FLAGS]", [], [])
        formatter.add_text(self.description)
        formatter.start_section("flags of every day; -help-all has all")
        formatter.add_arguments(
            [one for one in self._known if EVERYDAY.intersection(one.option_strings)]
        )
        formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()

    def format_usage(self) -> str:
        """The usage in a line: what is said before a mistake is told."""
        return f"usage: {self.prog} [FLAGS]; {self.prog} -help tells more\n"

    def _refuse(self, unknown: Sequence[str]) -> NoReturn:
        """End the process, since there are arguments that nobody knows."""
        hints = [hint for one in unknown if (hint := self._hint(one))]
        shown = " ".join(map(_as_given, unknown))
        self.error("; ".join([f"unrecognized arguments: {shown}", *hints]))

    def _hint(self, argument: str) -> str | None:
        """What was probably meant by an argument."""
        from difflib import get_close_matches

        name = argument.partition("=")[0].lstrip("-")
        if not argument.startswith("-"):
            close = get_close_matches(name, self._commands, 1)
            return f"{argument}: did you mean the command {close[0]}?" if close else None
        if name in THEIRS:
            flag = _as_given(argument.partition("=")[0])
            what = "a flag of kong-pdk's, which kong-python-pluginserver takes as it is"
            return f"{flag} is {what}: here, {THEIRS[name]}"
        flags = [flag[2:] for action in self._known for flag in action.option_strings]
        close = get_close_matches(name, flags, 1)
        return f"did you mean -{close[0]}?" if close else None


def _as_given(argument: str) -> str:
    """An argument as it was typed: a flag of one letter has one dash."""
    return argument[1:] if re.match(r"--\w(=|$)", argument) else argument


class Help(argparse.Action):
    """Shows the help that fits a screen, and ends the process."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, **settings)

    def __call__(self, parser: argparse.ArgumentParser, *_given: object) -> NoReturn:
        """Show it."""
        assert isinstance(parser, Parser)
        sys.stdout.write(parser.everyday())
        parser.exit()


@cache
def _width() -> int:
    """The columns of the terminal: what ``COLUMNS`` says, what it says itself, or 80."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or COLUMNS
    except (AttributeError, ValueError, OSError):  # no stdout, closed, not a terminal
        return COLUMNS
