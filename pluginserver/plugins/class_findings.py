"""What is doubtful about a ``Plugin`` class, as it is written: its methods and its attributes.

Rules kept here:

* a method that Kong never calls is told of when it is one of Kong's phases for Lua, or is written almost
  like a phase and takes what a handler takes;
* what is said to be shared (``ClassVar``, ``Final``, a name in capitals) is meant to be.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from ..spec.phases import LUA_PHASES, PHASES
from .pdk_uses import FunctionDef, methods

Told = tuple[int, str, str]
"""A line, a rule, and a sentence."""

CLOSE: Final = 0.75
"""How much alike a misspelt phase is, as :mod:`difflib` counts."""

_MUTABLE: Final = frozenset(
    {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict"}
)
_MEANT: Final = ("ClassVar", "Final")


def class_findings(cls: ast.ClassDef, has_fields: bool) -> Iterator[Told]:
    """What is doubtful about a plugin's class.

    :param has_fields: whether it is an attrs class.
    """
    yield from _methods(methods(cls))
    yield from _shared(cls)
    if not has_fields:
        yield from _no_fields(cls)


def _methods(found: dict[str, FunctionDef]) -> Iterator[Told]:
    for name, node in found.items():
        if name in LUA_PHASES:
            text = (
                f"Kong never calls {name}: no plugin server can be asked there, {LUA_PHASES[name]}"
            )
            yield node.lineno, "phase", text
        elif name not in PHASES and not name.startswith("_") and len(node.args.args) == 2:
            from difflib import get_close_matches

            close = get_close_matches(name, [one for one in PHASES if one not in found], 1, CLOSE)
            if close:
                yield node.lineno, "phase", f"Kong never calls {name}: did you mean {close[0]!r}?"


def _shared(cls: ast.ClassDef) -> Iterator[Told]:
    for node in cls.body:
        target, meant = None, False
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
        elif isinstance(node, ast.AnnAssign):
            target = node.target
            meant = _is_meant(node)
        if not isinstance(target, ast.Name) or meant or target.id.isupper():
            continue
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if value is not None and _is_mutable(value):
            yield (
                node.lineno,
                "shared",
                f"{target.id} is one object for all instances of the plugin, and every thread: make it in"
                " the constructor, or write attrs.field(factory=...); ClassVar says that it is meant",
            )


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else None
        return (value.func.id if isinstance(value.func, ast.Name) else name) in _MUTABLE
    return isinstance(
        value, (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    )


def _no_fields(cls: ast.ClassDef) -> Iterator[Told]:
    for node in cls.body:
        if isinstance(node, ast.AnnAssign) and not _is_meant(node):
            name = ast.unparse(node.target)
            text = f"{name} is no field of the configuration: write @attrs.define above Plugin"
            yield node.lineno, "fields", text
            return


def _is_meant(node: ast.AnnAssign) -> bool:
    return any(word in ast.unparse(node.annotation) for word in _MEANT)
