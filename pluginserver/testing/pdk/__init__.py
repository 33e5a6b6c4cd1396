"""Kong's PDK, played on the state of a simulated request: a module for each of its namespaces.

In which phases a function may be called is in :mod:`pluginserver.spec.functions` alone.  What only Kong
Enterprise has, this Kong does not have.

Rules kept here:

* the phase is checked before the arguments, as Kong does;
* arguments that are too many are dropped, those that are missing are nil;
* what the gateway's version of Kong lacks is not there.
"""

from __future__ import annotations

from typing import Any, Final

from ...spec.functions import FUNCTIONS
from ..kong.lua import LuaError
from ..kong.state import State
from . import client, log, node, request, response, service
from .table import TABLE

__all__ = ["MISSING", "TABLE", "call", "client", "log", "node", "request", "response", "service"]

MISSING: Final = object()
"""What :func:`call` returns for a function that Kong does not have."""


def call(state: State, name: str, args: tuple[Any, ...]) -> Any:
    """Call a PDK function as Lua would.

    :param name: its full name, such as ``"kong.request.get_header"``.
    :param args: the arguments as Lua has them.
    :returns: its first result, a :class:`~pluginserver.testing.kong.state.Failure` for ``nil, err``, or
        :data:`MISSING`.
    :raises LuaError: when it throws: wrong phase, wrong arguments.
    :raises Exit: when it answers the request.
    """
    if state.node.version.lacks(name):
        return MISSING
    known = FUNCTIONS.get(name)
    if known is not None and not known.enterprise and state.phase not in known.phases:
        raise LuaError(f"function cannot be called in {state.phase} phase")
    function = TABLE.get(name)
    if function is None:
        return MISSING
    if function.arity is None:
        return function.call(state, *args)
    missing = function.arity - len(args)
    return function.call(state, *args[: function.arity], *(None,) * missing)
