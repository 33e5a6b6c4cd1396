"""The plan of the house: which room may import from which, and how large a module and a function may be.

It reads the source, so an import counts wherever it stands: at the top, for the type checker alone, or in a
function.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pluginserver

ROOT: Final = Path(pluginserver.__file__).parent

FLOORS: Final = (
    ("__main__", "dev"),
    ("cli",),
    ("testing",),
    ("telemetry",),
    ("server", "supervisor", "deploy"),
    ("rpc",),
    ("plugins",),
    ("compat",),
    ("pdk",),
    ("events",),
    ("runtime", "schema"),
    ("spec",),
    ("errors", "logs", "version"),
)
"""The rooms from the top down: an import may stay in its room, or go to a lower floor."""

ALLOWED: Final = {"__main__": {"cli"}, "runtime": {"errors", "logs"}}
"""Rooms that may import less than their floor allows."""

FACES: Final = {"pluginserver", "entities", "multimap", "kinds", "plugin"}
"""The public names of the package, and the paths that they once had: they import whatever they offer, and
nothing inside of the package imports them."""

MAX_LINES: Final = 400
TABLES: Final[dict[str, str]] = {}
"""Modules that may be longer, because they are one table, and what it holds."""

MAX_FUNCTION: Final = 45
LONG: Final = {
    "run_inline": "the slice that nearly all slices are: another call would cost as much as what it counts",
    "attributes": "Kong's attributes: a parameter and a line of documentation for each, and four statements",
}
"""Functions that may be longer, and why."""

NOT_PRIVATE: Final = {"_current_frames", "_exit", "_getframe", "_thread"}
"""Names of the standard library that begin with an underscore, and are documented."""


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its name, parsed."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("pluginserver", *path.relative_to(ROOT).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(), str(path))
    return found


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def is_package(module: str) -> bool:
    return ROOT.joinpath(*module.split(".")[1:], "__init__.py").exists()


def imports(module: str) -> list[tuple[str, int]]:
    """The modules of ours that a module imports, with the lines."""
    return sorted(set(_imports(module)))


def _imports(module: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in modules():
                    yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package(module)]
                base = ".".join([*parts, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                target = inner if inner in modules() else base
                if target in modules() and target != module:
                    yield target, node.lineno


def test_every_module_is_in_a_room_of_the_plan() -> None:
    planned = {name for floor in FLOORS for name in floor} | FACES
    assert {room(module) for module in modules()} == planned


def test_no_import_goes_up() -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}

    def may(source: str, target: str) -> bool:
        if source == target:
            return True
        if source in ALLOWED:
            return target in ALLOWED[source]
        return target not in FACES and floor[source] < floor[target]

    wrong = [
        f"{module}:{line} imports {target}"
        for module in modules()
        if room(module) not in FACES
        for target, line in imports(module)
        if not may(room(module), room(target))
    ]
    assert not wrong, "\n".join(wrong)


def test_no_import_goes_in_a_circle() -> None:
    graph = {module: {target for target, _line in imports(module)} for module in modules()}

    def path(start: str) -> list[str] | None:
        """The shortest way from a module back to itself."""
        ways = [[start]]
        seen = set()
        for way in ways:
            for target in sorted(graph[way[-1]]):
                if target == start:
                    return [*way, start]
                if target not in seen:
                    seen.add(target)
                    ways.append([*way, target])
        return None

    circles = [" -> ".join(way) for module in modules() if (way := path(module)) is not None]
    assert not circles, "\n".join(circles)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in NOT_PRIVATE


def own_names(tree: ast.Module) -> set[str]:
    """The names that a module defines itself: for itself, for its classes, and for their objects."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)  # in __slots__, or for setattr
    return names


def test_no_private_member_is_used_from_another_module() -> None:
    wrong = []
    for module, tree in modules().items():
        own = own_names(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
                wrong.append(f"{module}:{node.lineno} uses {ast.unparse(node)}")
            elif isinstance(node, ast.ImportFrom):
                wrong += [
                    f"{module}:{node.lineno} imports {alias.name}"
                    for alias in node.names
                    if is_private(alias.name)
                ]
    assert not wrong, "\n".join(wrong)


def test_no_module_is_too_long() -> None:
    found = {}
    for module in modules():
        parts = module.split(".")[1:]
        path = ROOT.joinpath(*parts, "__init__.py") if is_package(module) else None
        lines = len((path or ROOT.joinpath(*parts).with_suffix(".py")).read_text().splitlines())
        if lines > MAX_LINES:
            found[module] = lines
    assert set(TABLES) <= set(found), "an exemption that is not needed"
    long = {module: lines for module, lines in found.items() if module not in TABLES}
    assert not long, long


def test_no_function_is_too_long() -> None:
    long = {
        f"{module}:{node.lineno} {node.name}": length
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name not in LONG
        and (length := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION
    }
    assert not long, long
