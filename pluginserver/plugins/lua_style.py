"""What is left of Lua's style in a plugin: a look at its source.

A plugin that was half moved, from Lua or from kong-pdk, unpacks pairs that our functions do not give
(``host, err = kong.request.get_host()``); one for kong-pdk may ask ``kong.ctx.shared.name`` for an entry of
Kong's table, which it is not there either.

Rules kept here:

* only what begins with the name ``kong`` counts, which is what everybody calls it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from .class_findings import Told
from .pdk_uses import KONG, dotted

_SHARED: Final = f"{KONG}.ctx.shared"
_NAMES: Final = {KONG: KONG}


def lua_style_findings(tree: ast.Module, theirs: bool) -> Iterator[Told]:
    """What reads as in Lua, and works otherwise.

    :param theirs: whether the plugin was written for kong-pdk, where pairs are right.
    """
    yield from _shared(tree) if theirs else _pairs(tree)


def _pairs(tree: ast.Module) -> Iterator[Told]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        call = dotted(node.value.func, _NAMES) or ""
        for target in node.targets if call.startswith(f"{KONG}.") else ():
            if isinstance(target, (ast.Tuple, ast.List)) and len(target.elts) == 2:
                left = ", ".join(map(ast.unparse, target.elts))
                yield (
                    node.lineno,
                    "lua-style",
                    f"{left} = {call}(...) takes a pair, which only plugins for kong-pdk get: write"
                    f" {ast.unparse(target.elts[0])} = {call}(...), and catch PDKError where Kong may fail"
                    " (the guide: From kong-pdk)",
                )


def _shared(tree: ast.Module) -> Iterator[Told]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and dotted(node.value, _NAMES) == _SHARED
            and node.attr not in ("get", "set")
        ):
            text = f'{_SHARED}.{node.attr} is no entry of Kong\'s table: write {_SHARED}.get("{node.attr}")'
            yield node.lineno, "lua-style", text
