"""Reads the blocks of a page that a reader types: commands with what they print, and pieces of files."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

_BLOCK: Final = re.compile(
    r"^\.\. code-block:: (?P<kind>\w+)\n(?P<options>(?:    :.*\n)*)\n(?P<text>(?:    .*\n|\n)+)",
    re.MULTILINE,
)
_CAPTION: Final = re.compile(r":caption: (?P<file>[\w.]+), (?P<how>.+)")

GAP: Final = "..."
"""A line for any number of lines that are not shown."""


@attrs.frozen
class Command:
    """A command and what it prints.

    :param line: what is typed.
    :param output: the lines that are shown; :data:`GAP` for any number of others, and each may be a part
        of what is printed.
    """

    line: str
    output: list[str] = attrs.field(factory=list)

    def missing(self, printed: str) -> str | None:
        """The first line that is shown and was not printed, in this order; None when all were."""
        rest = iter(printed.splitlines())
        for line in self.output:
            if line != GAP and not any(line.strip() in one for one in rest):
                return line
        return None


@attrs.frozen
class Piece:
    """A piece of a file.

    :param file: its name.
    :param how: where it goes, as the caption has it.
    :param text: the piece, indented as on the page.
    """

    file: str
    how: str
    text: str


def steps(page: Path) -> Iterator[Command | Piece]:
    """What a reader of a page types, in order.

    :raises AssertionError: when a block is none of either kind.
    """
    for block in _BLOCK.finditer(page.read_text()):
        text = re.sub("^    ", "", block["text"], flags=re.MULTILINE).rstrip("\n")
        if block["kind"] == "console":
            yield from _commands(text)
            continue
        caption = _CAPTION.search(block["options"])
        assert caption is not None, f"which file is this a piece of? {text}"
        yield Piece(caption["file"], caption["how"], f"{text}\n")


def _commands(text: str) -> Iterator[Command]:
    for one in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, *output = one.rstrip("\n").split("\n")
        yield Command(line, output)


def placed(piece: Piece, before: str) -> str:
    """A file's text with a piece in it.

    :param before: its text without.
    :raises AssertionError: when the caption says a place that is not known, or the page shows another text.
    """
    if piece.how == "as it was written":
        assert piece.text == before, f"the page shows another {piece.file} than there is"
        return before
    if piece.how == "at its end":
        return f"{before}\n\n{piece.text}"
    method = re.fullmatch(r"in place of (\w+)", piece.how)
    assert method is not None, f"where is this to go in {piece.file}: {piece.how}?"
    start = before.index(f"    def {method[1]}(")
    body = re.compile(r"(?:    .*\n|\n(?=    ))+").match(before, start)
    assert body is not None
    return (
        before[:start]
        + textwrap.indent(textwrap.dedent(piece.text), "    ")
        + before[body.end() :]
    )
