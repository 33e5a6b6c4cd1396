"""Writes ``docs/pdk/phases.rst``, the table of Kong's functions, from what the package knows of them.

Run it after a change of ``pluginserver/spec/functions.py``; a test fails until then::

    python docs/_ext/phases.py
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Final

from pluginserver.spec.functions import FUNCTIONS, Function
from pluginserver.spec.phases import PHASES

PAGE: Final = Path(__file__).parent.parent / "pdk" / "phases.rst"

HEAD: Final = """\
.. Written by docs/_ext/phases.py: change pluginserver/spec/functions.py instead.

==========================
Which function works where
==========================

A function that is called in a phase without a mark raises
:class:`~pluginserver.errors.PhaseError`, and nothing is sent: Kong would fail the request, and never
tell the handler. The marks are those of Kong 3.10.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    functions = sorted(FUNCTIONS.values(), key=lambda function: namespace(function))
    for name, members in groupby(functions, namespace):
        parts += [f"\n{name}\n{'=' * len(name)}\n", table(list(members))]
    return "".join(parts)


def namespace(function: Function) -> str:
    """The namespace that a function is in; ``kong.log`` is in its own."""
    return function.name if function.name == "kong.log" else function.name.rpartition(".")[0]


def table(functions: list[Function]) -> str:
    """The rows of one namespace."""
    lines = [
        "",
        ".. list-table::",
        "    :class: phases",
        "    :header-rows: 1",
        "    :widths: auto",
        "",
    ]
    lines += row(["", *PHASES, ""])
    for function in functions:
        marks = ["x" if phase in function.phases else "" for phase in PHASES]
        lines += row([f"``{function.name.rpartition('.')[2]}``", *marks, notes(function)])
    return "\n".join(lines) + "\n"


def row(cells: list[str]) -> list[str]:
    """One row of a list-table."""
    return [
        f"    {'* -' if not place else '  -'} {cell}".rstrip() for place, cell in enumerate(cells)
    ]


def notes(function: Function) -> str:
    """What else is to be known of a function."""
    words = [
        f"since Kong {function.since}" if function.since else "",
        "Kong Enterprise only" if function.enterprise else "",
        "does not come back" if function.never_returns else "",
        function.unusable,
    ]
    return "; ".join(word for word in words if word)


if __name__ == "__main__":
    PAGE.write_text(page())
