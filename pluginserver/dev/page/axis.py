"""The axis of time: round numbers, and where they stand.

Rules kept here:

* a step is 1, 2 or 5 times a power of ten, so that a tick can be read without counting;
* places are percentages of the whole width: the page needs no style of its own for them.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

STEPS: Final = 5
"""Ticks after the first at the most."""

SHORT: Final = 1e-6
"""Seconds: nothing has been measured yet."""

_EDGE: Final = 94.0
"""Percent from which on a tick's text ends at its place, for there is no room after it."""


@attrs.frozen
class Tick:
    """A tick: its place in percent, its text, and the side of the text that is at the place."""

    x: float
    text: str
    anchor: str


def ticks(whole: float) -> list[Tick]:
    """The ticks of an axis.

    :param whole: its length, in seconds.
    """
    if whole < SHORT:
        return [Tick(0.0, "0", "start")]
    step = _step(whole * 1000 / STEPS)
    count = int(whole * 1000 / step + 1e-9)
    return [_tick(number, step, whole) for number in range(count + 1)]


def _step(least: float) -> float:
    """The smallest round number of milliseconds that is no smaller."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * by for by in (1, 2, 5, 10) if power * by >= least * (1 - 1e-9))


def _tick(number: int, step: float, whole: float) -> Tick:
    x = round(number * step / whole / 10, 3)
    anchor = "start" if not number else "end" if x > _EDGE else "middle"
    return Tick(x, _text(number * step, step), anchor)


def _text(ms: float, step: float) -> str:
    if not ms:
        return "0"
    if step >= 1000:
        return f"{ms / 1000:.0f} s"
    return f"{ms:.{max(0, -math.floor(math.log10(step) + 1e-9))}f} ms"
