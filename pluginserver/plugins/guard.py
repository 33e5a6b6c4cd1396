"""Keeps plugins from changing the standard library under everybody's feet.

``gevent.monkey.patch_all()`` and ``eventlet.monkey_patch()`` replace locks, threads, sockets and ``select``
in the whole process: the threads of the server stop being threads, and nothing answers any more.  gevent
itself has no way back.

Rules kept here:

* a plugin whose source does that is refused before any of it runs (:func:`validate_unpatching`): its file,
  and what it imports from its own directory;
* around each load the attributes of :data:`GUARDED` and the switch interval are saved; what has changed
  is put back, and the plugin is refused (:func:`unpatched`);
* what a plugin may well change (:data:`FREE`), and what it adds, does not count;
* a guarded module that was imported first by a plugin that is refused is forgotten: nobody knows what it
  was like.
"""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ..errors import PluginError

GUARDED: Final = (
    "_thread",
    "threading",
    "socket",
    "select",
    "selectors",
    "time",
    "os",
    "ssl",
    "subprocess",
    "signal",
    "queue",
)
"""The modules on whose attributes the server depends."""

FREE: Final = frozenset(
    {
        ("threading", "excepthook"),
        ("threading", "_profile_hook"),
        ("threading", "_trace_hook"),
        ("time", "tzname"),
        ("time", "timezone"),
        ("time", "altzone"),
        ("time", "daylight"),
    }
)
"""Attributes that there are functions to change, of the library itself."""

OURS: Final = 0.0002
"""Seconds: the server itself sets the switch interval so low, or lower, while a handler computes."""

_PATCHES: Final = (
    "gevent.monkey.patch_",
    "eventlet.monkey_patch",
    "eventlet.patcher.monkey_patch",
)
_HINT: Final = "the server needs the real ones, and handlers may block: remove it"


def validate_unpatching(path: Path, main: Path) -> None:
    """Look whether a plugin patches the standard library, without running it.

    :param path: a file, or a package's directory.
    :param main: the file that runs when it is loaded.
    :raises PluginError: when its source, or that of a module beside it which it imports, does.
    """
    package = path.rglob("*.py") if path.is_dir() else ()
    waiting = [main, *package]
    seen = set()
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        tree, may_patch = _parsed(file)
        names = _imported(tree)
        for node in ast.walk(tree) if may_patch else ():
            if isinstance(node, ast.Call) and _dotted(node.func, names).startswith(_PATCHES):
                where = "" if file == main else f" in {file}"
                raise PluginError(
                    f"the plugin {path} cannot be loaded: {ast.unparse(node.func)}() (line"
                    f" {node.lineno}{where}) changes threads, sockets and locks for the whole process:"
                    f" {_HINT}"
                )
        for name in names.values():
            base = path.parent.joinpath(*name.split(".")[:1])
            waiting += [one for one in (Path(f"{base}.py"), base / "__init__.py") if one.is_file()]


@contextmanager
def unpatched(what: str) -> Iterator[None]:
    """Put back what the code in the block changes in :data:`GUARDED`.

    :param what: what is loaded, for the error.
    :raises PluginError: when it has changed something and has not failed by itself.
    """
    before: dict[str, dict[str, Any]] = {
        name: vars(sys.modules[name]).copy() for name in GUARDED if name in sys.modules
    }
    interval = sys.getswitchinterval()
    try:
        yield
    except BaseException:
        _put_back(before)
        raise
    changed = _put_back(before)
    if _interval_changed(interval):
        sys.setswitchinterval(interval)
        changed.append("the switch interval")
    if changed:
        for name in GUARDED:
            if name not in before:
                sys.modules.pop(name, None)
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise PluginError(
            f"{what} cannot be loaded: it has changed {', '.join(changed[:5])}{more} for the whole"
            f" process, which was put back: {_HINT}"
        )


def _put_back(before: dict[str, dict[str, Any]]) -> list[str]:
    changed = []
    for name, attributes in before.items():
        now = vars(sys.modules[name]) if name in sys.modules else {}
        for key, value in attributes.items():
            if now.get(key, ...) is not value and (name, key) not in FREE:
                now[key] = value
                changed.append(f"{name}.{key}")
    return changed


def _interval_changed(before: float) -> bool:
    """Whether the block has changed the switch interval; the server does so only beside other threads."""
    now = sys.getswitchinterval()
    if threading.current_thread() is not threading.main_thread():
        return False
    return now != before and min(now, before) > OURS


def _parsed(file: Path) -> tuple[ast.Module, bool]:
    """A file's tree, and whether it may patch something: all of :data:`_PATCHES` hold that word.

    The tree is empty when the file cannot be read, which is told when it is run.
    """
    try:
        source = file.read_bytes()
        if b"import" in source:
            return ast.parse(source), b"patch" in source
    except (OSError, SyntaxError, ValueError, RecursionError):
        pass
    return ast.Module([], []), False


def _imported(tree: ast.Module) -> dict[str, str]:
    """What the names that a module's imports bind stand for, dotted."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                names[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            base = f"{node.module}." if node.module else ""
            for alias in node.names:
                names[alias.asname or alias.name] = f"{base}{alias.name}"
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """What an expression such as ``monkey.patch_all`` names; ``""`` for any other."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, names)
        return f"{base}.{node.attr}" if base else ""
    return ""
