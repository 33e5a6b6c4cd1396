"""Finds exceptions that an ``exit`` in a ``finally`` block has masked.

``kong.response.exit`` unwinds the handler with an exception of its own.  In a ``finally`` block that
replaces the one that was on its way, and nobody would hear of it again.  In an ``except`` block the same
is meant: the handler has seen the error and answers for it.  Python makes no difference between the two,
so the source does.
"""

from __future__ import annotations

import ast
import functools
import os
import tokenize
import traceback


def masked_exception(unwinding: BaseException) -> BaseException | None:
    """The exception that was on its way when a ``finally`` block began to unwind the handler.

    :param unwinding: what unwound it, caught.
    :returns: None when there was none, or an ``except`` block has dealt with it.
    """
    error = unwinding.__context__
    if error is None:
        return None
    for frame, line in traceback.walk_tb(unwinding.__traceback__):
        file = frame.f_code.co_filename
        try:
            changed = os.stat(file).st_mtime_ns
        except OSError:
            continue
        if line in _last_lines(file, changed):
            return error
    return None


@functools.lru_cache(maxsize=256)
def _last_lines(file: str, _changed: int) -> frozenset[int]:
    """The lines of a source file that stand in a ``finally`` block, and in no ``except`` inside it."""
    try:
        with tokenize.open(file) as source:
            tree = ast.parse(source.read())
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    return frozenset(_lines(tree, False))


def _lines(node: ast.AST, last: bool) -> set[int]:
    found: set[int] = set()
    for name, value in ast.iter_fields(node):
        inside = name == "finalbody" or (last and name != "handlers")
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                if inside and isinstance(child, ast.stmt):
                    found.add(child.lineno)
                found |= _lines(child, inside)
    if last and isinstance(node, ast.expr):
        found.add(node.lineno)
    return found
