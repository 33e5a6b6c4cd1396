"""What is doubtful about a plugin: the one judgement, for ``pluginserver check`` and for each load.

Rules kept here:

* an error is only what can serve nothing, which :func:`~.plugin.build` refuses to load; everything here is a
  warning, and the plugin is served;
* the source is looked at, nothing of it is run, and what cannot be read has no findings;
* a finding has a file and a line, and says what to do;
* at a load only what is certain there is told: a variable that the process has is passed on.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, Final, Literal

import attrs

from ..compat.recognition import names_kong_pdk
from ..errors import PluginError
from ..logs import get_logger
from ..spec import protobuf, remarks
from ..spec.functions import FUNCTIONS, LATER
from ..spec.protocols import MSGPACK, PROTOBUF
from ..spec.refusals import refusal
from .class_findings import Told, class_findings
from .loader import main_file
from .lua_style import lua_style_findings
from .nearly import NotAPluginError
from .pdk_uses import KONG, Use, dotted, plugin_class, uses
from .places import lines_of_names, parsed, place_of_failure, source_of_class
from .plugin import Plugin
from .source_files import source_files

Version = tuple[int, int]

_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_ENVIRONMENTS: Final = ("os.environ", "environ")
_NAMES: Final = {name: name for name in ("os", "environ", "getenv")}
_READERS: Final = ("os.getenv", "getenv", "os.environ.get", "environ.get")


@attrs.frozen
class Finding:
    """Something to be said of a plugin.

    :param level: whether it can serve nothing.
    :param rule: what it is about, in a word.
    :param text: a sentence that says what to do.
    :param file: where.
    :param line: its line, from 1 on.
    """

    level: Literal["error", "warning"]
    rule: str
    text: str
    file: Path
    line: int


def judge(
    plugin: Plugin,
    kong: Version | None = None,
    passed: Collection[str] = (),
    at_load: bool = False,
) -> list[Finding]:
    """What is doubtful about a plugin, in the order of its files and lines.

    :param kong: the version of Kong that it is for; None for none in particular.
    :param passed: the environment variables that Kong hands on.
    :param at_load: a variable that is read with a default is none that is missing.
    """
    path = plugin.source
    if isinstance(path, Path):
        trees = _trees(path)
        main = main_file(path)
    else:
        written = source_of_class(plugin.cls)
        if written is None:
            return _findings(_of_plugin(plugin, None, kong), Path(path))
        main = written[0]
        trees = dict([written])
    found = _findings(_of_plugin(plugin, trees[main], kong), main)
    theirs = plugin.lua_style is not None
    look = Look(plugin.has_fields, theirs, kong, passed, at_load, plugin.protocol)
    return _in_order([*found, *_of_sources(trees, look)])


def judge_broken(
    path: Path,
    error: PluginError,
    kong: Version | None = None,
    passed: Collection[str] = (),
) -> list[Finding]:
    """What is to be said of a plugin that cannot be loaded: why, and what its source shows besides.

    :param path: its file, or its package's directory.
    :param error: why.
    :param kong: see :func:`judge`.
    :param passed: see :func:`judge`.
    """
    file, line = error.place or place_of_failure(path, str(error), error.__cause__)
    trees = _trees(path)
    found = _of_sources(trees, Look(True, names_kong_pdk(path), kong, passed, False))
    return [Finding("error", "load", str(error), Path(file), line), *_in_order(found)]


def judge_passed_over(passed: Iterable[NotAPluginError]) -> list[Finding]:
    """What is to be said of files that are no plugin, and look as if they were meant to be one."""
    return [
        Finding("warning", "load", str(error), Path(error.place[0]), error.place[1])
        for error in passed
        if error.meant and error.place is not None
    ]


def suits_protobuf(plugin: Plugin) -> bool:
    """Whether a plugin says nothing of its protocol, and makes no call that ProtoBuf:1 is seen to lack."""
    path = plugin.source
    if plugin.lua_style is not None or not isinstance(path, Path):
        return False
    trees = _trees(path)
    if "protocol" in lines_of_names(trees[main_file(path)]):
        return False
    names = {_resolved(use)[0] for tree in trees.values() for use in uses(tree)}
    return not any(name in FUNCTIONS and _lacks(name) for name in names)


def judge_loaded(plugin: Plugin) -> list[Finding]:
    """What is doubtful about a plugin that was loaded where it runs: see :func:`judge`."""
    return judge(plugin, passed=os.environ, at_load=True)


def tell(plugin: Plugin) -> None:
    """Log what is doubtful about a plugin that was loaded, a line each."""
    log = get_logger(plugin=plugin.name)
    for one in judge_loaded(plugin):
        log.warning(f"{one.text} ({one.file}:{one.line})")


def _trees(path: Path) -> dict[Path, ast.Module]:
    """The sources of a plugin, parsed."""
    return {file: parsed(file) for file in source_files(path)}


@attrs.frozen
class Look:
    """For what a plugin's source is looked at.

    :param has_fields: whether its class is an attrs class.
    :param theirs: whether it was written for kong-pdk, which sends whatever name it is asked for.
    :param kong: see :func:`judge`.
    :param passed: see :func:`judge`.
    :param at_load: see :func:`judge`.
    :param protocol: what Kong is told to speak with it.
    """

    has_fields: bool
    theirs: bool
    kong: Version | None
    passed: Collection[str]
    at_load: bool
    protocol: str = MSGPACK


def _of_sources(trees: dict[Path, ast.Module], look: Look) -> list[Finding]:
    """What a plugin's files show, the main file first."""
    found = []
    for number, (file, tree) in enumerate(trees.items()):
        cls = plugin_class(tree) if number == 0 else None
        told = list(lua_style_findings(tree, look.theirs))
        if cls is not None:
            told += class_findings(cls, look.has_fields or look.theirs)
        if not look.theirs:
            told += _of_uses(uses(tree), look)
        told += _of_environment(tree, look.passed, look.at_load)
        found += _findings(told, file)
    return found


def _findings(told: Iterable[Told], file: Path) -> list[Finding]:
    return [Finding("warning", rule, text, file, line) for line, rule, text in told]


def _in_order(found: list[Finding]) -> list[Finding]:
    """Findings in the order of their files, as they come first, and of their lines."""
    files = list(dict.fromkeys(one.file for one in found))
    return sorted(found, key=lambda one: (files.index(one.file), one.line))


def _of_plugin(plugin: Plugin, tree: ast.Module | None, kong: Version | None) -> Iterator[Told]:
    lines = lines_of_names(tree)
    if plugin.version is not None and not _VERSION.fullmatch(plugin.version):
        text = (
            f"Kong 3 refuses the version {plugin.version!r:.60}: use three numbers, such as 1.0.0"
        )
        yield lines.get("version", 1), "version", text
    fields = plugin.schema["fields"]
    at = lines.get("Schema", lines.get("Plugin", 1))
    for doubt in remarks.doubtful_regexes(fields):
        yield at, "schema", doubt
    needed = remarks.needed_version(fields, kong) if kong is not None else None
    if needed:
        yield at, "kong", needed


def _lacks(name: str) -> bool:
    """Whether a function cannot be had in ProtoBuf:1."""
    return name not in protobuf.FUNCTIONS and name not in protobuf.BUILT


def _of_uses(found: list[Use], look: Look) -> Iterator[Told]:
    kong = look.kong
    for use in found:
        name, missing = _resolved(use)
        if missing is not None:
            yield use.line, "pdk", missing
            continue
        function = FUNCTIONS.get(name)
        since = LATER.get(name) if function is None else function.since
        if kong is not None and since and kong < _numbers(since):
            yield use.line, "kong", f"{name} is in Kong from {since} on: do without it before that"
        if function is None:
            continue
        if look.protocol == PROTOBUF and not function.unusable and _lacks(name):
            yield use.line, "protocol", protobuf.missing(name)
        wrong = use.phases - function.phases
        if function.unusable or wrong:
            rule = "pdk" if function.unusable else "phase"
            yield use.line, rule, refusal(name, wrong, ", where this code runs")


def _resolved(use: Use) -> tuple[str, str | None]:
    """The name of the function that a use is of; what is wrong when there is none."""
    from ..pdk import kong
    from ..pdk.namespace import missing

    here: Any = kong
    name = KONG
    for part in use.path.split(".")[1:]:
        inside = getattr(type(here), part, None)
        if inside is None:
            return name, missing(name, part, type(here))
        name = f"{name}.{part}"
        if isinstance(inside, (FunctionType, property)):
            break
        here = inside
    if name == "kong.call" and use.argument is not None:
        return use.argument, None
    return name, None


def _of_environment(tree: ast.Module, passed: Collection[str], needed: bool) -> Iterator[Told]:
    for node in ast.walk(tree):
        name = _variable(node, needed)
        if name is not None and name not in passed:
            yield (
                getattr(node, "lineno", 1),
                "environment",
                f"Kong hands the environment variable {name} on to no server that it starts, unless"
                f" nginx_main_env names it: pluginserver kong-conf --env {name} writes that",
            )


def _variable(node: ast.AST, needed: bool) -> str | None:
    """The environment variable that an expression reads.

    :param needed: only one that has no default there.
    """
    key: ast.expr | None = None
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        key = node.slice if dotted(node.value, _NAMES) in _ENVIRONMENTS else None
    elif isinstance(node, ast.Call) and node.args and not (needed and len(node.args) > 1):
        key = node.args[0] if dotted(node.func, _NAMES) in _READERS else None
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None


def _numbers(version: str) -> Version:
    major, minor = version.split(".")
    return int(major), int(minor)
