"""``pluginserver check``: judges plugins before Kong does.

Rules kept here:

* a place is written ``FILE:LINE`` on one line, never wrapped and never coloured; a path below the current
  directory is relative;
* the judgement is that of a load (:mod:`pluginserver.plugins.judge`), with what only concerns Kong besides.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from .. import logs
from ..deploy.dumps import stale
from ..deploy.settings import version
from ..errors import PluginError
from ..plugins.discovery import named
from ..plugins.judge import Finding, judge, judge_broken, judge_passed_over, suits_protobuf
from ..plugins.registry import Plugins
from .dump import Stdout, no_plugin
from .loaded import tell_both_installed
from .subcommand import SubCommand, plugins_directory, run


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    return run(_command, arguments)


@click.command(
    "check",
    cls=SubCommand,
    example=["check hello.py --strict --kong 3.9"],
    exits={
        0: "when there is no error",
        1: "when there is one, with --strict a warning, or no plugin at all",
    },
)
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
@plugins_directory
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "json", "github")),
    default="text",
    help="How to write what is found; default: text.",
)
@click.option("--kong", metavar="VERSION", help="Say what this version of Kong lacks.")
@click.option("--env", multiple=True, metavar="NAME", help="A variable that Kong hands on.")
@click.option(
    "--dump",
    "dumps",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A dump that must be as the plugins are.",
)
def _command(
    files: tuple[Path, ...], plugins_directory: Path, dumps: tuple[Path, ...], **given: Any
) -> int:
    """Judge plugins before Kong does: FILEs, packages, or all of a directory."""
    kong = None if given["kong"] is None else version(given["kong"])
    logs.configure("critical")
    sources = files or (plugins_directory,)
    for path in sources:
        if not path.exists():
            raise PluginError(f"there is no file or directory {path}: give the path of a plugin")
    with Stdout() as stdout:
        plugins = Plugins(sources, entry_points=False)
        try:
            plugins.load()
            places = {one.name: one.file for path in sources for one in named(path)}
            found = []
            for name, error in plugins.failures.items():
                found += judge_broken(places[name] or Path(name), error, kong, given["env"])
            for plugin in plugins.all():
                found += judge(plugin, kong, given["env"])
            tell_both_installed(plugins.all())
            suited = [one.name for one in plugins.all() if suits_protobuf(one)]
            found += judge_passed_over(plugins.passed_over.values())
            for dump in dumps:
                found += [
                    Finding("warning", "dump", text, dump, 1) for text in stale(dump, plugins)
                ]
        finally:
            plugins.close()
        if not found and not plugins.all():
            raise no_plugin(plugins, *sources)
        stdout.write(os.fsencode("".join(f"{line}\n" for line in FORMATS[given["form"]](found))))
    _recommend(suited)
    levels = {"error", "warning"} if given["strict"] else {"error"}
    return int(not plugins.all() or any(one.level in levels for one in found))


def _recommend(names: Sequence[str]) -> None:
    """Advise ProtoBuf:1, on standard error: it is no finding."""
    if names:
        click.echo(
            f"{', '.join(names)}: every call that was found works in ProtoBuf:1, where no request passes"
            " without the plugin while its server is away: say protocol = 'protobuf' in the module, or"
            " 'msgpack' to stay with MsgPack:1",
            err=True,
        )


def _text(found: list[Finding]) -> Iterator[str]:
    for one in found:
        yield f"{_place(one)}: {one.level}: {logs.one_line(one.text)} [{one.rule}]"


def _json(found: list[Finding]) -> Iterator[str]:
    yield json.dumps(
        [
            {
                "level": one.level,
                "rule": one.rule,
                "file": logs.from_here(one.file),
                "line": one.line,
                "text": one.text,
            }
            for one in found
        ],
        indent=2,
    )


def _github(found: list[Finding]) -> Iterator[str]:
    for one in found:
        place = f"file={_escaped(logs.from_here(one.file), True)},line={one.line},title={one.rule}"
        yield f"::{one.level} {place}::{_escaped(one.text)}"


FORMATS: Final[dict[str, Callable[[list[Finding]], Iterator[str]]]] = {
    "text": _text,
    "json": _json,
    "github": _github,
}
"""Lines for people; one array; commands that a workflow of GitHub turns into annotations."""


def _place(one: Finding) -> str:
    return f"{logs.from_here(one.file)}:{one.line}"


def _escaped(text: str, is_property: bool = False) -> str:
    """A text in a workflow command."""
    replaced = {"%": "%25", "\r": "%0D", "\n": "%0A"}
    if is_property:
        replaced |= {":": "%3A", ",": "%2C"}
    return "".join(replaced.get(character, character) for character in text)
