"""The figures of several processes, added up: what ``server.Status`` answers with ``-processes``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

SAME: Final = frozenset({"bounds", "priority", "python", "ready", "started", "version"})
"""What is no count: it is taken as the first one says it."""


def added(all_figures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures added up: numbers, lists place by place, maps by their keys.

    :param all_figures: as :func:`~.report.figures` makes them.
    :returns: the same, of all together; empty for none.
    """
    whole: dict[str, Any] = {}
    for figures in all_figures:
        _add(whole, figures)
    return whole


def _add(whole: dict[str, Any], figures: dict[str, Any]) -> None:
    for key, value in figures.items():
        if isinstance(value, dict):
            _add(whole.setdefault(key, {}), value)
        elif key not in whole:
            whole[key] = value
        elif key in SAME:
            continue
        elif isinstance(value, list):
            whole[key] = [a + b for a, b in zip(whole[key], value, strict=True)]
        else:
            whole[key] += value
