"""Plugins' bugs, described so that their author knows what to mend.

Rules kept here:

* a bug is seen from outside, by what a plugin asked for and how its event ended, so that it is found with
  any plugin server; in process the exception itself is there too, and is kept with it;
* each bug becomes one :class:`~pluginserver.testing.record.exchange.Problem` of the exchange, whose text
  names the plugin, the phase and what to do.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, Final

from ...errors import EventEndedError, PhaseError
from ...events.outcome import AFTER, ERROR, EXIT, MASKED, UNEXPECTED, place
from ...spec.functions import FUNCTIONS, LATER
from ...spec.lua_only import LUA_ONLY
from ...spec.phases import ANSWERING
from ...spec.protocols import PROTOBUF
from ...spec.refusals import refusal
from ..kong import lua
from ..kong.router import Binding
from ..kong.state import State
from ..transports.base import HandlerFailure
from ..transports.wire import NoAnswer
from .exchange import Callback, Exchange, Problem, Run
from .format import short

_FAILED: Final = "plugin {} failed in {}: "


class PluginBug(AssertionError):
    """A plugin did something that fails behind Kong.

    :param exchange: the request in which it showed; its ``problems`` are the bugs.
    """

    def __init__(self, exchange: Exchange) -> None:
        super().__init__("\n".join(problem.message for problem in exchange.problems))
        self.exchange = exchange


def _lost(phase: str) -> str:
    """What becomes of a request in whose phase Kong's own code throws."""
    return "the client gets a 500" if phase in ANSWERING else "Kong logs it and goes on"


def _note(
    state: State, run_or_call: Run | Callback, kind: str, text: str, error: Any = None
) -> None:
    problem = Problem(kind, run_or_call.plugin, run_or_call.phase, text, error)
    state.exchange.problems.append(problem)


def shown(call: Callback) -> str:
    """A callback as it would be written in Python."""
    return f"{call.method}({', '.join(short(arg) for arg in call.args)})"


def cut_arguments(state: State, call: Callback, raw: Any) -> None:
    """A None among a callback's arguments has cut off the rest."""
    values = [lua.received(item) for item in raw] if isinstance(raw, (list, tuple)) else []
    lost = ", ".join(short(item) for item in values[len(call.args) + 1 :] if item is not None)
    wanted = ", ".join(short(item) for item in values)
    _note(
        state,
        call,
        "cut arguments",
        f"{call.plugin} called {call.method}({wanted}) in {call.phase}: Kong cuts the arguments off "
        f'at the None, so {lost} never reaches it. Send an empty value in its place, such as "" '
        "for a body",
    )


def unknown_function(state: State, call: Callback) -> None:
    """A callback names a function that Kong does not have."""
    known = FUNCTIONS.get(call.method)
    here = state.node.version
    since = here.lacks(call.method)
    if since is not None:
        hint = (
            f"Kong has it from {since} on, and this one is {here.text}: do without it, or test with a "
            "later one"
        )
    elif call.method in LATER:
        hint = "this simulated Kong does not play it. Give it one with kong.functions[name] = function"
    elif known is not None and known.enterprise:
        hint = "only Kong Enterprise has it. Give the gateway one with kong.functions[name] = function"
    elif lua := [name for name in LUA_ONLY if f"{call.method}.".startswith(f"{name}.")]:
        hint = f"{lua[0]} is in Kong's Lua code alone: {LUA_ONLY[lua[0]]}"
    else:
        close = get_close_matches(call.method, FUNCTIONS, 1)
        hint = f"Kong has no such function{f', did you mean {close[0]}?' if close else ''}"
    _note(
        state,
        call,
        "unknown function",
        f"{call.plugin} called {call.method} in {call.phase}: {hint}",
    )


def not_in_protobuf(state: State, call: Callback) -> None:
    """A callback names a function that Kong does not have in ProtoBuf:1."""
    _note(
        state,
        call,
        "unknown function",
        f"{call.plugin} called {call.method} in {call.phase}: Kong's ProtoBuf:1 has no such function, "
        f'{_lost(call.phase)}. Serve this plugin with protocol = "msgpack"',
    )


def thrown(state: State, call: Callback) -> None:
    """A PDK function threw."""
    function = FUNCTIONS.get(call.method)
    what = f"{call.plugin} called {shown(call)} in {call.phase}"
    if function is not None and call.phase not in function.phases:
        _note(state, call, "wrong phase", f"{what}: {_refused(call.method, call.phase)}")
        return
    _note(
        state,
        call,
        "bad argument",
        f"{what}: Kong throws {call.error!r}, {_lost(call.phase)}, and the handler never hears of it",
    )


def _refused(method: str, phase: str) -> str:
    return f"{refusal(method, (phase,))}; there Kong throws, {_lost(phase)}"


def _unanswered(state: State, run: Run) -> str:
    """What becomes of a request whose event has no answer."""
    node = state.node
    in_protobuf = run.protocol == PROTOBUF
    if node.version.protobuf_fails_open if in_protobuf else node.fails_open:
        return "Kong logs it, and goes on without the plugin"
    return f"Kong logs it, and {_lost(run.phase)}" if run.phase in ANSWERING else _lost(run.phase)


def stray_calls(state: State, calls: list[str]) -> None:
    """Threads of a plugin's own have called ``kong``."""
    runs = state.exchange.runs
    plugin, phase = (runs[-1].plugin, runs[-1].phase) if runs else ("", "")
    for text in calls:
        state.exchange.problems.append(Problem("own thread", plugin, phase, text))


def no_answer(state: State, run: Run, error: Exception, seconds: float) -> None:
    """The server gave no answer, or an error, to ``HandleEvent`` or a step.

    :param seconds: how long an answer was waited for.
    """
    last = f"after {shown(run.callbacks[-1])}" if run.callbacks else "before its first callback"
    if isinstance(error, NoAnswer) and error.timed_out:
        _note(
            state,
            run,
            "time-out",
            f"{run.plugin} did not come to an end in {run.phase} within {seconds:g} s, {last}: an "
            f"endless loop, or a call that blocks. {_unanswered(state, run)}",
        )
    elif isinstance(error, NoAnswer):
        _note(
            state,
            run,
            "no answer",
            f"{run.plugin} gave no answer in {run.phase}, {last}: {error}. Is the plugin server "
            "running?",
        )
    elif not str(error).startswith(_FAILED.format(run.plugin, run.phase)):
        _note(
            state,
            run,
            "raised",
            f"{run.plugin} failed in {run.phase}, {last}: {error}",
        )


def bad_instance(state: State, binding: Binding, error: Exception) -> None:
    """The server could not start an instance; ProtoBuf:1 does not say why, but in process it is known."""
    why = (
        f"{error}: {error.__cause__}" if isinstance(error, NoAnswer) and error.__cause__ else error
    )
    state.exchange.problems.append(
        Problem(
            "bad instance",
            binding.name,
            state.phase,
            f"{binding.name} cannot be started for {state.phase}: {why}. {_lost(state.phase).capitalize()}",
        )
    )


def after_run(state: State, run: Run, failures: list[HandlerFailure]) -> None:
    """Look at a phase that is over: what the handler raised, and what it left behind."""
    for failure in failures:
        if failure.kind == "leaked greenlet":
            _note(
                state,
                run,
                "leaked greenlet",
                f"{run.plugin} leaves a greenlet of its own suspended at the end of {run.phase} "
                f"({failure.text}): end it, or nobody ever will",
            )
    error = next((failure.error for failure in failures if failure.error is not None), None)
    told = _told(run)
    if error is not None:
        text = f"{type(error).__name__}: {error}{place(error)}"
    elif told is not None:
        text = told.removesuffix(AFTER).removesuffix(MASKED)
    else:
        return
    if told is not None and told.endswith(AFTER):
        _after_the_end(state, run, text, error)
    elif told is not None and told.endswith(MASKED):
        what = (
            f"{run.plugin} raised {text} in {run.phase}, and an exit in a finally block hid it: "
            "the client gets the answer of that exit; use except instead"
        )
        _note(state, run, "hidden", what, error)
    else:
        _raised(state, run, text, error)


def _raised(state: State, run: Run, text: str, error: BaseException | None) -> None:
    if isinstance(error, PhaseError) or text.startswith("pluginserver.errors.PhaseError"):
        called = re.search(r"kong\.[\w.]+", text)
        if called and called[0] in FUNCTIONS:
            refused = refusal(called[0], (run.phase,))
            what = f"{run.plugin} failed in {run.phase}: {refused}{_place(text, error)}"
            _note(state, run, "wrong phase", what, error)
            return
    outcome = (
        "Kong logs it and the client gets a 500"
        if run.ended in ("exit", "error")
        else "Kong logs it and goes on"
    )
    _note(state, run, "raised", f"{run.plugin} raised {text} in {run.phase}. {outcome}", error)


def _place(text: str, error: BaseException | None) -> str:
    """Where it was raised, which the text ends with that a server has told."""
    if error is not None:
        return place(error)
    found = re.search(r" \(\S+:\d+\)$", text)
    return found[0] if found else ""


def _after_the_end(state: State, run: Run, text: str, error: BaseException | None) -> None:
    last = run.callbacks[-1].method if run.callbacks else "its end"
    if isinstance(error, EventEndedError) or "EventEndedError: " in text:
        what = (
            f"{run.plugin} made a PDK call after {last} in {run.phase}: {text}. "
            "Look for one in a finally block, or after an except that catches everything"
        )
    else:
        what = (
            f"{run.plugin} raised {text} after {last} in {run.phase}, while it was unwound; "
            "the client has its answer already"
        )
    _note(state, run, "after the end", what, error)


def _told(run: Run) -> str | None:
    """What our plugin server said of an exception, as it is seen on the wire."""
    prefix = _FAILED.format(run.plugin, run.phase)
    texts = [
        str(call.args[0]) for call in run.callbacks if call.method == "kong.log.err" and call.args
    ]
    for text in (*texts, run.error or ""):
        if text.startswith(prefix):
            return text[len(prefix) :]
    last = run.callbacks[-1] if run.callbacks else None
    refusals = ((ERROR, (500,)), (EXIT, UNEXPECTED))
    if last is not None and texts and (last.method, last.args) in refusals:
        return texts[-1]
    return None
