"""Where in a plugin's files something is that is wrong with it: file and line.

Rules kept here:

* what was raised has the place where it left the plugin's own files; what was found out about a name has the
  line where the module, or its ``Plugin``, defines that;
* the source is parsed, and nothing of it is run; what cannot be read or parsed has no names.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from pathlib import Path
from types import FunctionType
from typing import Final

from ..logs import place_of
from ..logs.places import Place
from .loader import main_file
from .pdk_uses import plugin_class

_CONSTRUCTOR: Final = "the constructor of Plugin"
_FIRST_WORD: Final = re.compile(
    r"(?:plugin \S+ \(.*?\): )?(?:the field |the default of )?(?:config\.)?(\w+)"
)


def parsed(file: Path) -> ast.Module:
    """The source of a file, parsed; empty when it cannot be."""
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


def lines_of_names(tree: ast.Module | None) -> dict[str, int]:
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


def source_of_class(cls: type) -> tuple[Path, ast.Module] | None:
    """Where a class is written: the file, and a module that has nothing else, with it as its ``Plugin``.

    What is beside it may be no plugin's: in a test ``kong`` is another thing.

    :returns: None when its source cannot be had.
    """
    module = sys.modules.get(cls.__module__)
    name = getattr(module, "__file__", None)
    if not isinstance(name, str):
        return None
    file = Path(os.path.abspath(name))
    tree = parsed(file)
    lines = [
        one.__code__.co_firstlineno for one in vars(cls).values() if isinstance(one, FunctionType)
    ]
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and node.name == cls.__name__
        and any(node.lineno <= line <= (node.end_lineno or 0) for line in lines)
    ]
    if len(found) != 1:
        return None
    found[0].name = "Plugin"
    return file, ast.Module([found[0]], [])


def place_of_failure(path: Path, text: str, cause: BaseException | None) -> Place:
    """Where a plugin is wrong that cannot be loaded.

    :param path: its file, or its package's directory.
    :param text: what is wrong, which begins with the name of it.
    :param cause: what its code raised, if that is it.
    """
    if isinstance(cause, SyntaxError) and cause.filename and cause.lineno:
        return cause.filename, cause.lineno
    raised = place_of(cause) if cause is not None else None
    main = main_file(path)
    return raised or (str(main), line_named(parsed(main), text))


def line_named(tree: ast.Module, text: str) -> int:
    """The line of what an error begins with; that of ``Plugin``, or 1, when that is nowhere."""
    lines = lines_of_names(tree)
    found = _FIRST_WORD.match(text)
    name = "__init__" if text.startswith(_CONSTRUCTOR) else found[1] if found else ""
    return lines.get(name, lines.get("Plugin", 1))
