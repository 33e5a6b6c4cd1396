"""Where a plugin's source uses ``kong``, and in which phases that code can run: a look at the source.

Rules kept here:

* the source is parsed, and nothing of it is run;
* a function runs in a phase when the handler calls it, by its name or as a method of its own object, or a
  function that the handler calls does; what nobody is seen to call runs in no phase that is known;
* ``kong`` is what is called so, what a handler takes as its argument, and a name that was given a part of
  it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeAlias

import attrs

from ..spec.phases import PHASES

FunctionDef: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"

KONG = "kong"


@attrs.frozen
class Use:
    """A use of something of ``kong``'s.

    :param path: what is used, such as ``kong.request.get_header``; what follows a call is not in it.
    :param line: where.
    :param argument: the text that it is called with, when the first argument is one.
    :param phases: in which phases the code around it may run.
    """

    path: str
    line: int
    argument: str | None
    phases: frozenset[str]


def plugin_class(tree: ast.Module) -> ast.ClassDef | None:
    """The class that is the module's ``Plugin``."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            for target in node.targets:
                if isinstance(target, ast.Name) and node.value.id in classes:
                    classes[target.id] = classes[node.value.id]
    return classes.get("Plugin")


def methods(cls: ast.ClassDef) -> dict[str, FunctionDef]:
    """The methods that a class defines itself."""
    return {
        node.name: node
        for node in cls.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def uses(tree: ast.Module) -> list[Use]:
    """Every use of ``kong`` in a module, in the order of the lines."""
    own = plugin_class(tree)
    functions: dict[str, FunctionDef] = {
        node.name: node
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    for name, node in methods(own).items() if own is not None else ():
        functions[f"self.{name}"] = node
    phases = _reached(functions)
    found = []
    inside: set[int] = set()
    for name, node in functions.items():
        handles = node.args.args[1:2] if name.removeprefix("self.") in PHASES else ()
        names = {KONG: KONG, **{argument.arg: KONG for argument in handles}}
        inside |= {id(one) for one in ast.walk(node)}
        found += list(_in(list(ast.walk(node)), names, frozenset(phases.get(name, ()))))
    rest = [node for node in ast.walk(tree) if id(node) not in inside]
    found += list(_in(rest, {KONG: KONG}, frozenset()))
    return sorted(found, key=lambda use: use.line)


def _reached(functions: dict[str, FunctionDef]) -> dict[str, set[str]]:
    """The phases in which each function may run."""
    calls = {name: {*_called(node, name)} & functions.keys() for name, node in functions.items()}
    phases: dict[str, set[str]] = {}
    for phase in PHASES:
        waiting = [f"self.{phase}"] if f"self.{phase}" in functions else []
        while waiting:
            name = waiting.pop()
            if phase not in phases.setdefault(name, set()):
                phases[name].add(phase)
                waiting += calls[name]
    return phases


def _called(node: FunctionDef, name: str) -> Iterator[str]:
    """What a function calls, as the keys of functions are."""
    first = node.args.args[0].arg if name.startswith("self.") and node.args.args else None
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            yield one.id
        elif isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and first:
            yield f"{'self' if one.value.id == first else '-'}.{one.attr}"


def _in(nodes: list[ast.AST], names: dict[str, str], phases: frozenset[str]) -> Iterator[Use]:
    names = {**names, **_aliases(nodes, names)}
    called = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        path = dotted(node, names)
        if path is None:
            continue
        call = called.get(id(node))
        first = call.args[0] if call is not None and call.args else None
        value = first.value if isinstance(first, ast.Constant) else None
        yield Use(path, node.lineno, value if isinstance(value, str) else None, phases)


def _aliases(nodes: list[ast.AST], names: dict[str, str]) -> dict[str, str]:
    """The names that are given a part of ``kong``, and nothing else."""
    stored = [
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    found = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, path = node.targets[0].id, dotted(node.value, names)
            if path is not None and stored.count(name) == 1:
                found[name] = path
    return found


def dotted(node: ast.AST, names: dict[str, str]) -> str | None:
    """What an expression such as ``kong.request`` names.

    :param names: what the names stand for with which it may begin.
    :returns: None when it is no such expression, or begins with another name.
    """
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    first = names.get(node.id) if isinstance(node, ast.Name) else None
    return None if first is None else ".".join([first, *reversed(parts)])
