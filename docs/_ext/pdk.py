"""The reference of Kong's functions: ``.. pdk:: kong.request`` documents a namespace under its own names.

Signatures and texts are those of the package; the examples are in ``docs/pdk/examples.txt``, of which a
test runs every one.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any, Final, NamedTuple

EXAMPLES: Final = Path(__file__).parent.parent / "pdk" / "examples.txt"

_HEAD: Final = re.compile(r"\[(?P<names>kong[.\w, ]+)\](?: (?P<phase>\w+))?")
_ROLE: Final = re.compile(r":meth:`([a-z_]+)`")
_TYPING: Final = re.compile(r"\b(?:typing|collections\.abc|attrs)\.")


class Example(NamedTuple):
    """An example: the functions that it is for, the phase that it needs (``""`` for any), its text."""

    names: tuple[str, ...]
    phase: str
    text: str


def examples() -> list[Example]:
    """All of them, in the order of the file."""
    found: list[Example] = []
    for line in EXAMPLES.read_text().splitlines():
        head = _HEAD.fullmatch(line)
        if head:
            found.append(Example(tuple(head["names"].split(", ")), head["phase"] or "", ""))
        elif found and not line.startswith("#"):
            found[-1] = found[-1]._replace(text=f"{found[-1].text}{line}\n")
    return [one._replace(text=one.text.strip() + "\n") for one in found]


def functions(space: object, name: str) -> Iterator[tuple[str, Any]]:
    """The functions of a namespace that are its own, as they stand in the source, with their full names.

    :param space: the namespace, such as ``kong.request``.
    :param name: its name.
    """
    for own, value in vars(type(space)).items():
        if inspect.isfunction(value) and (not own.startswith("_") or own == "__call__"):
            yield (name if own == "__call__" else f"{name}.{own}"), value


def namespaces(kong: object) -> Iterator[tuple[str, object]]:
    """All namespaces with functions, with their full names."""
    todo: list[tuple[str, object]] = [("kong", kong)]
    for name, space in todo:
        yield name, space
        todo += [
            (f"{name}.{own}", getattr(space, own))
            for own in dir(type(space))
            if not own.startswith("_")
            and type(getattr(space, own)).__module__.startswith("pluginserver.pdk")
        ]


def page(name: str, kong: object) -> Iterator[str]:
    """The functions of a namespace in reStructuredText.

    :param name: its full name.
    :param kong: the object that handlers get.
    """
    space = reduce(getattr, name.split(".")[1:], kong)
    yield from (_about(space), "")
    texts = {own: one.text for one in reversed(examples()) for own in one.names}
    for own, value in vars(type(space)).items():
        if isinstance(value, property) and not own.startswith("_"):
            yield from (f".. py:attribute:: {name}.{own}", "")
            yield from (f"    {line}".rstrip() for line in _doc(value, name).splitlines())
            yield ""
    for own, function in functions(space, name):
        yield from (f".. py:function:: {own}{_signature(function)}", "")
        yield from (f"    {line}".rstrip() for line in _doc(function, name).splitlines())
        if own in texts:
            yield from ("", "    .. code-block:: pycon", "")
            yield from (f"        {line}".rstrip() for line in texts[own].splitlines())
        yield ""


def _doc(value: Any, name: str) -> str:
    """A docstring, in which the functions beside it have their full names."""
    return _ROLE.sub(rf":func:`{name}.\1`", inspect.getdoc(value) or "")


def _about(space: object) -> str:
    """What a namespace's module says, up to its rules, without the name that the page has as its title."""
    cls = type(space)
    text = inspect.getdoc(sys.modules[cls.__module__]) if "." in cls.__module__ else ""
    text = (text or "").partition("\nRules kept here")[0].strip()
    if text.count(": ") and text.startswith("``kong"):
        text = text.partition(": ")[2]
        text = text[:1].upper() + text[1:]
    return text


def _signature(function: Any) -> str:
    """A function's parameters and what it returns, without ``self``."""
    whole = inspect.signature(function)
    _, *parameters = whole.parameters.values()
    text = _TYPING.sub("", str(whole.replace(parameters=parameters)).replace("'", ""))
    return re.sub(r"\b(Headers|Query)\b", r"pluginserver.spec.multimap.\1", text)


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx of the directive."""
    from docutils.statemachine import StringList
    from sphinx.util.docutils import SphinxDirective

    from pluginserver.pdk import kong

    class Namespace(SphinxDirective):
        required_arguments = 1

        def run(self) -> list[Any]:
            for file in (EXAMPLES, Path(__file__)):
                self.env.note_dependency(str(file))
            lines = StringList(list(page(self.arguments[0], kong)), source=self.arguments[0])
            return self.parse_content_to_nodes_of(lines)

        def parse_content_to_nodes_of(self, lines: StringList) -> list[Any]:
            from docutils import nodes

            node = nodes.section()
            node.document = self.state.document
            self.state.nested_parse(lines, 0, node)
            return list(node.children)

    app.add_directive("pdk", Namespace)
    return {"parallel_read_safe": True}
