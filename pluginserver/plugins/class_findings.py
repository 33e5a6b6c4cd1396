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

METADATA: Final = (
    "the default of {} is what attributes() returns, which is metadata: write"
    " attrs.field(metadata=attributes(...))"
)

_MUTABLE: Final = frozenset(
    {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict"}
)
_KINDS: Final = {
    ast.List: "list",
    ast.ListComp: "list",
    ast.Dict: "dict",
    ast.DictComp: "dict",
    ast.Set: "set",
    ast.SetComp: "set",
}
_MEANT: Final = ("ClassVar", "Final")


def class_findings(cls: ast.ClassDef, has_fields: bool) -> Iterator[Told]:
    """What is doubtful about a plugin's class.

    :param has_fields: whether it is an attrs class.
    """
    yield from _methods(methods(cls))
    yield from _shared(cls, has_fields)
    yield from _metadata(cls)
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


def _shared(cls: ast.ClassDef, has_fields: bool) -> Iterator[Told]:
    for node in cls.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target: ast.expr = node.targets[0]
        elif isinstance(node, ast.AnnAssign) and not _is_meant(node):
            target = node.target
        else:
            continue
        if not isinstance(target, ast.Name) or target.id.isupper():
            continue
        if node.value is not None and _is_mutable(node.value):
            yield (
                node.lineno,
                "shared",
                f"{target.id} is one object for all instances of the plugin, and every thread, so that one"
                f" route reads what another one wrote: {_instead(node, has_fields)}; ClassVar says that it"
                " is meant",
            )


def _instead(node: ast.Assign | ast.AnnAssign, has_fields: bool) -> str:
    """What to write for a mutable attribute."""
    if not has_fields:
        return "make it in the constructor"
    factory = (
        ast.unparse(node.value) if isinstance(node.value, ast.Call) else _KINDS[type(node.value)]
    )
    if isinstance(node, ast.AnnAssign) and not ast.unparse(node.target).startswith("_"):
        return f"write attrs.field(factory={factory.partition('(')[0]})"
    return f"annotate it, and write attrs.field(factory={factory.partition('(')[0]}, init=False)"


def _metadata(cls: ast.ClassDef) -> Iterator[Told]:
    for node in cls.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            default = node.value
            if isinstance(default, ast.Call) and _name(default.func) == "field":
                given = [one.value for one in default.keywords if one.arg == "default"]
                default = given[0] if given else None
            if isinstance(default, ast.Call) and _name(default.func) == "attributes":
                yield node.lineno, "fields", METADATA.format(node.target.id)


def _name(function: ast.expr) -> str:
    """The last name of what is called."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return _name(value.func) in _MUTABLE
    return type(value) in _KINDS


def _no_fields(cls: ast.ClassDef) -> Iterator[Told]:
    for node in cls.body:
        if isinstance(node, ast.AnnAssign) and not _is_meant(node):
            name = ast.unparse(node.target)
            text = f"{name} is no field of the configuration: write @attrs.define above Plugin"
            yield node.lineno, "fields", text
            return


def _is_meant(node: ast.AnnAssign) -> bool:
    return any(word in ast.unparse(node.annotation) for word in _MEANT)
