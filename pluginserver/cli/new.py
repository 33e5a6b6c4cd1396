"""``pluginserver new``: a folder with a plugin, its test, a README and its ``pyproject.toml``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ..deploy.project import STYLES, create
from .subcommand import SubCommand, run


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    return run(_command, arguments)


@click.command(
    "new",
    cls=SubCommand,
    example=["new my-plugin --style auth"],
    exits={0: "when it is written", 1: "when the name cannot be, or the folder is there already"},
)
@click.argument("name")
@click.option(
    "--style",
    type=click.Choice(tuple(STYLES)),
    default="attrs",
    help=f"{'; '.join(f'{style}: {about}' for style, about in STYLES.items())}. Default: attrs.",
)
@click.option(
    "--into",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=".",
    help="Where the folder is made; default: the current directory.",
)
def _command(name: str, style: str, into: Path) -> None:
    """Begin a plugin: write a folder NAME with the plugin, its test, a README and a pyproject.toml.

    pytest passes in there as it is.
    """
    folder = create(name, style, into)
    lines = [f"{folder}{os.sep}{one.name}" for one in sorted(folder.iterdir())]
    lines += ["", f"cd {shlex.quote(str(folder))} && pytest    # README.md says how to go on"]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
