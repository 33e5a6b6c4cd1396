"""Which plugins are written for kong-pdk.

Rules kept here:

* a module that says so itself, by ``kong_pdk_style = True`` or ``False``, is believed;
* else a plugin is one whose source names ``kong_pdk``, in an import or in a text that is the name of a
  module, and any that a server in kong-pdk's manner serves; a word in a comment or docstring names nothing;
* the source is looked at, and nothing of it is run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from ..errors import PluginError

PACKAGE: Final = "kong_pdk"


@attrs.frozen
class Manner:
    """How a registry takes its plugins.

    :param always: whether each is one for kong-pdk, unless its module says otherwise.
    :param lua_style: whether those get pairs, ``(data, err)``, unless their module says otherwise.
    """

    always: bool = False
    lua_style: bool = True


OURS: Final = Manner()
"""Unless somebody says otherwise."""


def lua_style(module: Mapping[str, Any], file: Path | None, manner: Manner = OURS) -> bool | None:
    """Whether a plugin takes Kong's answers in pairs.

    :param module: the names of its module, of which ``kong_pdk_style`` and ``lua_style`` are used.
    :param file: its file, or a package's directory.
    :returns: None for a plugin of our own style.
    :raises PluginError: when the module says neither True nor False.
    """
    style = _switch(module, "kong_pdk_style")
    if style is None:
        style = manner.always or (file is not None and names_kong_pdk(file))
    if not style:
        return None
    pairs = _switch(module, "lua_style")
    return manner.lua_style if pairs is None else pairs


def names_kong_pdk(file: Path) -> bool:
    """Whether the source of a plugin names kong-pdk.

    :param file: a file, or a package's directory.
    """
    files = file.rglob("*.py") if file.is_dir() else (file,)
    return any(_names_it(one) for one in files)


def _names_it(file: Path) -> bool:
    try:
        source = file.read_bytes()
        return PACKAGE.encode() in source and any(map(_is_ours, _named(ast.parse(source))))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return False


def _named(tree: ast.Module) -> Iterator[str]:
    """What may be names of modules in a source."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.module and not node.level:
                yield node.module
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _is_ours(name: str) -> bool:
    parts = name.split(".")
    return parts[0] == PACKAGE and all(map(str.isidentifier, parts))


def _switch(module: Mapping[str, Any], name: str) -> bool | None:
    value = module.get(name)
    if value is not None and not isinstance(value, bool):
        raise PluginError(f"{name} must be True or False, got {value!r:.60}")
    return value
