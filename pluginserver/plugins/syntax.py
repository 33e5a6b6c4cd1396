"""What one file's source says of threads: what ties its code to a thread, its ``with`` blocks, its imports.

Rules kept here:

* a file is read and parsed once for each stamp that it has (:func:`~.loader.stamp`);
* names are followed through ``import ... as``, through assignments of a name or an attribute, and through
  ``getattr`` and ``import_module`` with a constant; scopes are not: a name that means a module anywhere in
  a file means it everywhere;
* in doubt something is a tie: to be wrong costs speed, the other way round it costs somebody's request.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from ..spec.phases import PHASES
from .loader import Stamp, stamp

LOOPS: Final = frozenset({"asyncio", "gevent", "greenlet", "eventlet"})
"""Modules that run a loop, or switch greenlets, in the thread that uses them."""

THREADS: Final = frozenset({"threading", "_thread", "_threading_local"})
LOCALS: Final = frozenset({"local", "_local"})
"""What the thread modules call the class of thread-local values."""

IDENTS: Final = frozenset({"get_ident"})
NAMES: Final = IDENTS | {
    "get_native_id",
    "current_thread",
    "currentThread",
    "scoped_session",
    "async_scoped_session",
    "acquire",
    "enter_context",
    "enter_async_context",
    "__enter__",
    "__aenter__",
}
"""Names that tie wherever they come from: who a thread is, and what takes a lock without ``with``."""

HARMLESS: Final = frozenset({"suppress", "nullcontext"})
"""Context managers of :mod:`contextlib` that hold nothing."""

_CANDIDATE: Final = re.compile(rb"\b(?:_?local|get_ident)\b")


@attrs.frozen
class Tie:
    """What ties code to its thread.

    :param line: where.
    :param what: what it is, for a message.
    :param deep: whether it also counts in a package that a plugin imports: a thread-local value, or a
        thread's number as a key.
    """

    line: int
    what: str
    deep: bool = False


@attrs.frozen
class Import:
    """An import.

    :param module: the module's dotted name; may be empty in a relative import.
    :param level: the dots before it.
    :param names: what is imported from it.
    """

    module: str
    level: int = 0
    names: tuple[str, ...] = ()


@attrs.frozen
class Look:
    """What was seen in one file.

    :param ties: in the order of their lines.
    :param held: the first and the last line of what runs inside of each ``with`` block.
    :param imports: all of them, wherever they stand.
    """

    ties: tuple[Tie, ...]
    held: tuple[tuple[int, int], ...]
    imports: tuple[Import, ...]


_looks: Final[dict[str, tuple[Stamp | None, Look | None]]] = {}
_deep: Final[dict[str, tuple[Stamp | None, Tie | None]]] = {}


def look(path: str | Path) -> Look | None:
    """Look at a file; None when there is no source to be had."""
    name, at = str(path), stamp(path)
    known = _looks.get(name)
    if known is None or known[0] != at:
        known = _looks[name] = (at, None if at is None else _look_at_bytes(_bytes(path)))
    return known[1]


def deep_tie(path: str | Path) -> Tie | None:
    """The first tie in a file of an installed package; None when there is none, or no source."""
    name, at = str(path), stamp(path)
    known = _deep.get(name)
    if known is None or known[0] != at:
        source = _bytes(path)
        found = None
        if source is not None and b"thread" in source and _CANDIDATE.search(source):
            seen = _look_at_bytes(source)
            found = next((tie for tie in seen.ties if tie.deep), None) if seen else None
        known = _deep[name] = (at, found)
    return known[1]


def look_at(source: str | bytes) -> Look:
    """Look at a source.

    :raises SyntaxError: when it is not Python.
    :raises ValueError: when it holds a null byte.
    """
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    names = _Names(nodes)
    blocks = [node for node in nodes if isinstance(node, (ast.With, ast.AsyncWith))]
    blocks = [block for block in blocks if not all(names.is_harmless(one) for one in block.items)]
    ties = [*_ties(nodes, names), *(tie for block in blocks for tie in _held_call(block, names))]
    return Look(
        tuple(sorted(ties, key=lambda tie: tie.line)),
        tuple(lines for block in blocks for lines in _inside(block)),
        tuple(_imports(nodes)),
    )


def _bytes(path: str | Path) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def _look_at_bytes(source: bytes | None) -> Look | None:
    try:
        return None if source is None else look_at(source)
    except (SyntaxError, ValueError, RecursionError):
        return None


class _Names:
    """What the names of a file mean: modules, and ``kong`` or a part of it."""

    def __init__(self, nodes: list[ast.AST]) -> None:
        self.modules: dict[str, str] = {}
        self.kong = {"kong"}
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    self.modules[name] = alias.name if alias.asname else name
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self._imported(alias.name, alias.asname or alias.name)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self._parameters(node)
        assignments = list(_assignments(nodes))
        while any(self._assigned(name, value) for name, value in assignments):
            continue

    def _imported(self, name: str, known_as: str) -> None:
        if name in THREADS | LOOPS:
            self.modules[known_as] = name
        elif name == "kong":
            self.kong.add(known_as)

    def _parameters(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """A handler's argument is ``kong`` whatever it is called, and so is what is annotated so."""
        arguments = [*node.args.posonlyargs, *node.args.args]
        if node.name in PHASES and arguments:
            self.kong.add(arguments[-1].arg)
        for argument in [*arguments, *node.args.kwonlyargs]:
            if argument.annotation is not None and re.search(
                r"\bKong\b", ast.unparse(argument.annotation)
            ):
                self.kong.add(argument.arg)

    def _assigned(self, name: str, value: ast.expr) -> bool:
        """Follow an assignment; whether it told something new."""
        new = False
        module = self.module(value)
        if module is not None and self.modules.get(name) is None:
            self.modules[name] = module
            new = True
        if name not in self.kong and self.is_kong(value):
            self.kong.add(name)
            new = True
        return new

    def is_kong(self, node: ast.AST) -> bool:
        """Whether an expression is ``kong``, or an attribute of it."""
        while isinstance(node, ast.Attribute):
            if node.attr == "kong":
                return True
            node = node.value
        return isinstance(node, ast.Name) and node.id in self.kong

    def module(self, node: ast.AST) -> str | None:
        """The module that an expression is, as far as it can be told."""
        if isinstance(node, ast.Name):
            return self.modules.get(node.id)
        if isinstance(node, ast.Attribute):
            return node.attr if node.attr in THREADS | LOOPS else None
        if isinstance(node, ast.Call) and node.args:
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else None
            name = function.id if isinstance(function, ast.Name) else name
            if name in ("__import__", "import_module"):
                return _constant(node.args[0])
        return None

    def is_harmless(self, item: ast.withitem) -> bool:
        """Whether a context manager holds nothing."""
        call = item.context_expr
        if not isinstance(call, ast.Call):
            return False
        function = call.func
        name = function.attr if isinstance(function, ast.Attribute) else None
        return (function.id if isinstance(function, ast.Name) else name) in HARMLESS


def _assignments(nodes: list[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
        elif (
            isinstance(node, (ast.AnnAssign, ast.NamedExpr))
            and isinstance(node.target, ast.Name)
            and node.value is not None
        ):
            yield node.target.id, node.value


def _constant(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def _ties(nodes: list[ast.AST], names: _Names) -> Iterator[Tie]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in LOOPS:
                    yield Tie(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            yield from _import_from(node)
        elif isinstance(node, ast.Attribute):
            yield from _attribute(node.lineno, node.value, node.attr, names)
        elif isinstance(node, ast.Call):
            module = names.module(node)
            if module is not None and module.partition(".")[0] in LOOPS:
                yield Tie(node.lineno, module)
            if (
                isinstance(node.func, ast.Name)
                and node.func.id == "getattr"
                and len(node.args) > 1
            ):
                attribute = _constant(node.args[1])
                if attribute is not None:
                    yield from _attribute(node.lineno, node.args[0], attribute, names)


def _import_from(node: ast.ImportFrom) -> Iterator[Tie]:
    module = node.module or ""
    for alias in node.names:
        if module.partition(".")[0] in LOOPS and not node.level:
            yield Tie(node.lineno, module)
        elif alias.name in NAMES | LOOPS:
            yield Tie(node.lineno, alias.name, alias.name in IDENTS)
        elif module in THREADS and alias.name in {*LOCALS, "*"}:
            yield Tie(node.lineno, f"{module}.{alias.name}", deep=True)


def _attribute(line: int, value: ast.expr, attribute: str, names: _Names) -> Iterator[Tie]:
    if attribute in NAMES:
        yield Tie(line, f".{attribute}", attribute in IDENTS)
    elif attribute in LOCALS and names.module(value) in THREADS:
        yield Tie(line, f"threading.{attribute}", deep=True)
    elif attribute in LOOPS:
        yield Tie(line, attribute)


def _held_call(block: ast.With | ast.AsyncWith, names: _Names) -> Iterator[Tie]:
    inside: list[ast.AST] = [*(item.context_expr for item in block.items[1:]), *block.body]
    for part in inside:
        for node in ast.walk(part):
            if names.is_kong(node):
                yield Tie(block.lineno, "kong in a with block")
                return


def _inside(block: ast.With | ast.AsyncWith) -> Iterator[tuple[int, int]]:
    """The lines that run while the block's context is held."""
    for item in block.items[1:]:
        call = item.context_expr
        yield call.lineno, call.end_lineno or call.lineno
    yield block.body[0].lineno, block.end_lineno or block.body[-1].lineno


def _imports(nodes: list[ast.AST]) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield Import(node.module or "", node.level, names)
        elif isinstance(node, ast.Call):
            name = _Names([]).module(node)
            if name is not None:
                yield Import(name)
