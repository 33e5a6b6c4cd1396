"""What a plugin's file would serve by ``start_dedicated_server``, read where it is loaded and not run.

So a file whose class has another name than ``Plugin`` can be tested, checked and served beside others.

Rules kept here:

* only a call counts whose arguments are constants and names of the module: nothing is run for it;
* it is asked only of a module that has no ``Plugin``, which says what it is by itself.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

FUNCTION: Final = "start_dedicated_server"

_PARAMETERS: Final = {
    "name": "name",
    "plugin": "Plugin",
    "_version": "version",
    "_priority": "priority",
    "_schema": "Schema",
}
"""The parameters of the function, in order, and what a module calls the same."""


def dedicated(file: Path, module: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the call names, as a module would: ``name``, ``Plugin`` and what else is given.

    :param file: the plugin's file.
    :param module: the names of its module.
    :returns: None when there is no such call, or it cannot be read.
    """
    try:
        source = file.read_bytes()
        tree = ast.parse(source if FUNCTION.encode() in source else b"")
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == FUNCTION:
            try:
                return _arguments(node, module)
            except (KeyError, ValueError):
                return None
    return None


def _arguments(call: ast.Call, module: Mapping[str, Any]) -> dict[str, Any]:
    """The call's arguments.

    :raises KeyError: for a name that is none of the module's, or a parameter that the function lacks.
    :raises ValueError: for what is neither a name nor a constant.
    """
    given: dict[str, ast.expr] = dict(zip(_PARAMETERS, call.args, strict=False))
    given.update({str(one.arg): one.value for one in call.keywords})
    found = {_PARAMETERS[name]: _value(node, module) for name, node in given.items()}
    if not isinstance(found["name"], str) or not isinstance(found["Plugin"], type):
        raise ValueError
    return found


def _value(node: ast.expr, module: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return module[node.id]
    return ast.literal_eval(node)
