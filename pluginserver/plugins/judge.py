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
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any, Final, Literal

import attrs

from ..compat.recognition import names_kong_pdk
from ..errors import PluginError
from ..logs import get_logger
from ..spec import remarks
from ..spec.functions import FUNCTIONS, LATER
from ..spec.phases import PHASES
from .class_findings import Told, class_findings
from .loader import main_file
from .lua_style import lua_style_findings
from .pdk_uses import KONG, Use, dotted, plugin_class, uses
from .plugin import Plugin
from .source_files import source_files

Version = tuple[int, int]

_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_ENVIRONMENTS: Final = ("os.environ", "environ")
_NAMES: Final = {name: name for name in ("os", "environ", "getenv")}
_READERS: Final = ("os.getenv", "getenv", "os.environ.get", "environ.get")
_FIRST_WORD: Final = re.compile(r"(?:plugin \S+ \(.*?\): )?(?:the field )?(?:config\.)?(\w+)")


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
    if not isinstance(path, Path):
        return _findings(_of_plugin(plugin, None, kong), Path(path))
    trees = {file: _tree(file) for file in source_files(path)}
    main = main_file(path)
    found = _findings(_of_plugin(plugin, trees[main], kong), main)
    theirs = plugin.lua_style is not None
    look = Look(plugin.has_fields, theirs, kong, passed, at_load)
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
    main = main_file(path)
    line = _line_of(main, error.__cause__) or _line_named(main, str(error))
    trees = {file: _tree(file) for file in source_files(path)}
    found = _of_sources(trees, Look(True, names_kong_pdk(path), kong, passed, False))
    return [Finding("error", "load", str(error), main, line), *_in_order(found)]


def tell(plugin: Plugin) -> None:
    """Log what is doubtful about a plugin that was loaded, a line each."""
    log = get_logger(plugin=plugin.name)
    for one in judge(plugin, passed=os.environ, at_load=True):
        log.warning(f"{one.text} ({one.file}:{one.line})")


@attrs.frozen
class Look:
    """For what a plugin's source is looked at.

    :param has_fields: whether its class is an attrs class.
    :param theirs: whether it was written for kong-pdk, which sends whatever name it is asked for.
    :param kong: see :func:`judge`.
    :param passed: see :func:`judge`.
    :param at_load: see :func:`judge`.
    """

    has_fields: bool
    theirs: bool
    kong: Version | None
    passed: Collection[str]
    at_load: bool


def _of_sources(trees: dict[Path, ast.Module], look: Look) -> list[Finding]:
    """What a plugin's files show, the main file first."""
    found = []
    for number, (file, tree) in enumerate(trees.items()):
        cls = plugin_class(tree) if number == 0 else None
        told = list(lua_style_findings(tree, look.theirs))
        if cls is not None:
            told += class_findings(cls, look.has_fields or look.theirs)
        if not look.theirs:
            told += _of_uses(uses(tree), look.kong)
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
    lines = _lines(tree)
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


def _of_uses(found: list[Use], kong: Version | None) -> Iterator[Told]:
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
        if function.unusable:
            yield use.line, "pdk", f"{name} {function.unusable}"
            continue
        wrong = [phase for phase in PHASES if phase in use.phases - function.phases]
        if wrong:
            works = ", ".join(phase for phase in PHASES if phase in function.phases)
            where = ", ".join(wrong)
            text = f"{name} cannot be called in {where}, where this code runs: it works in {works}"
            yield use.line, "phase", text


def _resolved(use: Use) -> tuple[str, str | None]:
    """The name of the function that a use is of; what is wrong when there is none."""
    from ..pdk import kong

    here: Any = kong
    name = KONG
    for part in use.path.split(".")[1:]:
        inside = getattr(type(here), part, None)
        if inside is None:
            return name, _missing(name, part, type(here))
        name = f"{name}.{part}"
        if isinstance(inside, (FunctionType, property)):
            break
        here = inside
    if name == "kong.call" and use.argument is not None:
        return use.argument, None
    return name, None


def _missing(name: str, part: str, kind: type) -> str:
    from ..spec.wording import did_you_mean

    whole = f"{name}.{part}"
    if whole in LATER:
        return (
            f"{whole} is called by kong.call({whole!r}, ...): Kong has it from {LATER[whole]} on"
        )
    if issubclass(kind, Mapping):
        return f"{name} is a mapping: write {name}[{part!r}] for {whole}"
    known = [one for one in dir(kind) if not one.startswith("_")]
    return f"there is no {whole} in Kong's PDK{did_you_mean(part, known)}"


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


def _tree(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


def _lines(tree: ast.Module | None) -> dict[str, int]:
    """The lines of a module's names, and of its ``Plugin``'s."""
    found: dict[str, int] = {}
    cls = None if tree is None else plugin_class(tree)
    inside = cls.body if cls is not None else []
    for node in [*(tree.body if tree is not None else ()), *inside]:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.setdefault(node.name, node.lineno)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, node.lineno)
    return found


def _line_of(path: Path, cause: BaseException | None) -> int:
    """The line of the file in which it was raised; 0 when that is not known."""
    if isinstance(cause, SyntaxError) and cause.filename == str(path):
        return cause.lineno or 0
    line = 0
    traceback = cause.__traceback__ if cause is not None else None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(path):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _line_named(path: Path, text: str) -> int:
    """The line of what an error begins with; 1 when that is nowhere."""
    lines = _lines(_tree(path))
    found = _FIRST_WORD.match(text)
    return lines.get(found[1], lines.get("Plugin", 1)) if found else 1


def _numbers(version: str) -> Version:
    major, minor = version.split(".")
    return int(major), int(minor)
