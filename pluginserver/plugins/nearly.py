"""Files that are no plugin: what they lack, and whether they are meant to be one.

Rules kept here:

* a file is meant to be a plugin when it has two of its three parts, or one of them and a class with a
  handler; any other one beside plugins is a helper of theirs;
* the source is parsed, and nothing of it is run.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Final

from ..errors import PluginError
from ..spec.phases import PHASES
from .loader import main_file
from .pdk_uses import methods
from .places import lines_of_names, parsed
from .plugin import PARTS

_WRITE: Final = {"version": 'version = "1.0.0"', "priority": "priority = 100"}


class NotAPluginError(PluginError):
    """Something is not a plugin at all."""

    meant = False
    """Whether it looks as if it were to be one."""


def lacking(path: Path, missing: Sequence[str] = ()) -> NotAPluginError:
    """The error for a file that lacks parts of a plugin.

    :param path: it, or a package's directory.
    :param missing: what it lacks of :data:`~.plugin.PARTS`; none when it was not run, for want of the word
        ``Plugin``.
    """
    main = main_file(path)
    tree = parsed(main)
    lines = lines_of_names(tree)
    said = [part for part in PARTS if part in lines]
    cls = _class_with_handler(tree)
    meant = len(said) > 1 or (cls is not None and bool(said))
    lacks = missing or ["class Plugin", *(part for part in _WRITE if meant and part not in lines)]
    text = f"{path} is not a plugin: it defines no {' and no '.join(lacks)}"
    if not meant:
        return NotAPluginError(text)
    line = lines[said[0]] if cls is None else cls.lineno
    error = NotAPluginError(f"{text}: {_remedy(lines, cls, lacks)} ({main}:{line})")
    error.meant, error.place = True, (str(main), line)
    return error


def _remedy(lines: Container[str], cls: ast.ClassDef | None, lacks: Sequence[str]) -> str:
    steps = []
    if lacks[0].endswith("Plugin"):
        steps.append(
            "call its class Plugin" if cls is None else f"rename the class {cls.name} to Plugin"
        )
    steps += [
        f"rename {part.upper()} to {part}" if part.upper() in lines else f"write {_WRITE[part]}"
        for part in lacks
        if part in _WRITE
    ]
    text = " and ".join(steps)
    if cls is not None and cls.name == "Plugin" and _is_for_kong_pdk(cls, lines):
        text += (
            ", or serve it with kong-python-pluginserver, if it was written for kong-pdk, which asks for"
            " neither"
        )
    return text


def _class_with_handler(tree: ast.Module) -> ast.ClassDef | None:
    """The first class of a module that has a method called as a phase, which takes what handlers take."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for name, method in methods(node).items():
                if name in PHASES and len(method.args.args) == 2:
                    return node
    return None


def _is_for_kong_pdk(cls: ast.ClassDef, lines: Container[str]) -> bool:
    """Whether a file has what every plugin for kong-pdk has: a schema of its own, or a constructor."""
    made = methods(cls).get("__init__")
    takes_config = made is not None and len(made.args.args) == 2
    return takes_config or "Schema" in lines
