"""One callback in Kong: its record, the faults that hit it, the PDK function that answers it.

Rules kept here:

* it is alike in both protocols: how a callback came, and how its result goes back, is not known here;
* whatever becomes of it, its time is noted and the observers are told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from ..pdk import MISSING
from ..pdk import call as call_function
from ..record import diagnostics
from ..record.exchange import Callback, Run
from .faults import Fault, answer_of
from .lua import LuaError
from .node import Node
from .state import Failure, State

T = TypeVar("T")

Hits = dict[str, Fault]
"""The faults that hit a callback, by kind."""


class Callbacks:
    """The callbacks of one node's plugins.

    :param node: whose they are.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    def enter(
        self, state: State, run: Run, name: str, args: tuple[Any, ...]
    ) -> tuple[Callback, Hits]:
        """Note a callback, and find the faults that hit it."""
        call = Callback(name, _written(args), run.plugin, run.phase, state.elapsed)
        run.callbacks.append(call)
        hit = self._node.faults.match(name, len(run.callbacks), run.plugin, run.phase)
        if hit:
            state.faulty = True
        return call, hit

    def perform(
        self,
        state: State,
        call: Callback,
        args: tuple[Any, ...],
        hit: Hits,
        convert: Callable[[Any, str | None], T],
    ) -> T:
        """Answer a callback.

        :param convert: makes the answer of the function's result and of the text of its failure.
        :raises LuaError: when the function throws, or ``convert`` does.
        :raises Exit: when it answers the request.
        """
        state.callback = call
        try:
            return convert(*self._result(state, call, args, hit))
        except LuaError as error:
            call.error = str(error)
            if "throw" not in hit:
                diagnostics.thrown(state, call)
            raise
        finally:
            state.callback = None
            call.duration = state.elapsed - call.start
            self._node.notify("callback", state.exchange, call)

    def _result(
        self, state: State, call: Callback, args: tuple[Any, ...], hit: Hits
    ) -> tuple[Any, str | None]:
        """The function's result, or the text of its failure."""
        if "delay" in hit:
            time.sleep(hit["delay"].value)
        if "throw" in hit:
            raise LuaError(hit["throw"].value)
        if "error" in hit:
            return None, str(hit["error"].value)
        if "answer" in hit:
            return answer_of(hit["answer"], call.args), None
        own = self._node.functions.get(call.method)
        if own is not None:
            return own(*call.args), None
        result = call_function(state, call.method, args)
        if result is MISSING:
            state.log("err", f"could not find pdk method: {call.method}", by_kong=True)
            diagnostics.unknown_function(state, call)
            return None, None
        if isinstance(result, Failure):
            return None, result.text
        return result, None


def _written(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments without the nil that stands for none, and others at the end."""
    end = len(args)
    while end and args[end - 1] is None:
        end -= 1
    return args[:end]
