"""Faults to inject: what can go wrong between Kong and a plugin, on demand.

A fault lies in wait for a callback: one of a function (``"kong.request.get_header"``, or a pattern
such as ``"kong.client.*"``), or the n-th of its event (``step``, counted from 1), or both; without
either it hits the first.  It strikes ``times`` times (once unless told otherwise; None for ever).

A request that a fault has hit never raises :class:`~pluginserver.testing.PluginBug`: what the plugin
does with the fault is what the test is about.

Rules kept here:

* a callback gets at most one fault of each kind, the one set up first;
* a fault that does not fit is not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import attrs


@attrs.define(eq=False)
class Fault:
    """One fault that lies in wait.

    :param kind: ``"throw"``, ``"error"``, ``"answer"``, ``"disconnect"``, ``"silence"``,
        ``"delay"`` or ``"restart"``.
    :param function: the PDK function that it waits for, or a pattern; None for any.
    :param step: the number of the callback in its event, from 1; None for any.
    :param plugin: the plugin's name; None for any.
    :param phase: the phase; None for any.
    :param times: how often it still strikes; None for ever.
    :param value: the text, answer or seconds that it brings.
    :param hits: how often it has struck.
    """

    kind: str
    function: str | None
    step: int | None
    plugin: str | None
    phase: str | None
    times: int | None
    value: Any = None
    hits: int = 0

    def fits(self, function: str, step: int, plugin: str, phase: str) -> bool:
        """Whether it waits for this callback."""
        return (
            self.times != 0
            and (self.function is None or fnmatchcase(function, self.function))
            and self.step in (None, step)
            and self.plugin in (None, plugin)
            and self.phase in (None, phase)
        )

    def strike(self) -> None:
        """Count a hit."""
        self.hits += 1
        if self.times is not None:
            self.times -= 1


class Faults:
    """The faults of one gateway."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def throw(self, function: str | None = None, text: str = "injected", **where: Any) -> Fault:
        """The function throws in Lua: the client gets 500, the event hears nothing more.

        :param where: ``step``, ``plugin``, ``phase``, ``times``, as for all faults.
        """
        return self._add("throw", function, text, **where)

    def error(self, function: str | None = None, text: str = "injected", **where: Any) -> Fault:
        """The callback is answered with ``StepError``, as older clients do: ``PDKError`` in Python."""
        return self._add("error", function, text, **where)

    def answer(self, function: str, value: Any, **where: Any) -> Fault:
        """The function is not called; this is its answer.  A callable is called with the arguments."""
        return self._add("answer", function, value, **where)

    def disconnect(self, function: str | None = None, **where: Any) -> Fault:
        """The connection dies as the step is sent."""
        return self._add("disconnect", function, **where)

    def silence(self, function: str | None = None, **where: Any) -> Fault:
        """The step never comes: the client has gone away, and Kong forgets the event."""
        return self._add("silence", function, **where)

    def delay(self, seconds: float, function: str | None = None, **where: Any) -> Fault:
        """Kong takes so long for the callback."""
        return self._add("delay", function, seconds, **where)

    def restart(self, function: str | None = None, **where: Any) -> Fault:
        """The plugin server is restarted before the step is sent."""
        return self._add("restart", function, **where)

    def clear(self) -> None:
        """Forget all that still wait."""
        self._waiting.clear()

    def match(self, function: str, step: int, plugin: str, phase: str) -> dict[str, Fault]:
        """The faults that hit this callback, by kind; they count it as a hit."""
        hit: dict[str, Fault] = {}
        for fault in self._waiting:
            if fault.kind not in hit and fault.fits(function, step, plugin, phase):
                fault.strike()
                hit[fault.kind] = fault
        return hit

    def _add(
        self,
        kind: str,
        function: str | None,
        value: Any = None,
        *,
        step: int | None = None,
        plugin: str | None = None,
        phase: str | None = None,
        times: int | None = 1,
    ) -> Fault:
        fault = Fault(kind, function, step, plugin, phase, times, value)
        self._waiting.append(fault)
        return fault


def answer_of(fault: Fault, args: tuple[Any, ...]) -> Any:
    """What an ``answer`` fault answers to these arguments."""
    value: Any | Callable[..., Any] = fault.value
    return value(*args) if callable(value) else value
