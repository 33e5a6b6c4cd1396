"""The ``repr`` of config objects, without their secrets.

attrs writes a ``__repr__`` that shows every field, so that a plugin which logs itself would log its secrets.
Rules kept here:

* only a ``__repr__`` that attrs has written is replaced: an author's own, or that of ``object``, stays;
* it says what attrs' own would say, but for the secrets, and nothing else of the class changes.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

import attrs

from ..spec.secrets import MASK, holds_secrets, is_secret
from .annotations import FieldType, fields_of, parse

_GENERATED: Final = "<attrs generated"
"""How the file names of the code begin that attrs has written."""

_HELD: Final = ("elements", "keys", "values")


def hide_secrets(cls: type, record: Mapping[str, Any]) -> None:
    """Keep the secrets of a config class, and of the classes nested in it, out of their ``repr``.

    :param cls: an attrs class whose schema is known to be good.
    :param record: its schema: a field of type ``record``.
    """
    schemas = {name: field for one in record.get("fields", ()) for name, field in one.items()}
    hidden = set()
    for field in fields_of(cls, ""):
        schema = schemas.get(field.name, {})
        if _is_shown_by(schema):
            hidden.add(field.attribute)
        for nested, inner in _nested(field.kind, schema):
            if holds_secrets(inner):
                hide_secrets(nested, inner)
    code = getattr(cls.__repr__, "__code__", None)
    if hidden and code is not None and code.co_filename.startswith(_GENERATED):
        cls.__repr__ = _without(hidden)  # type: ignore[assignment, method-assign]


def _is_shown_by(field: Mapping[str, Any]) -> bool:
    """Whether the ``repr`` of a field's value shows a secret that no config class inside it hides."""
    return is_secret(field) or any(
        _is_shown_by(field[name]) for name in _HELD if isinstance(field.get(name), Mapping)
    )


def _nested(kind: FieldType, field: Mapping[str, Any]) -> Iterator[tuple[type, Mapping[str, Any]]]:
    """The config classes in a field's value, each with its schema."""
    if kind.type == "record":
        yield kind.python, field
    elif kind.elements is not None:
        inner = field.get("values" if kind.type == "map" else "elements", {})
        yield from _nested(parse(kind.elements, ""), inner)


def _without(hidden: Collection[str]) -> Callable[[Any], str]:
    """A ``__repr__`` as attrs writes it, but for the values of some attributes."""

    @reprlib.recursive_repr("...")
    def __repr__(self: Any) -> str:
        shown = []
        for attribute in attrs.fields(type(self)):
            value = getattr(self, attribute.name, attrs.NOTHING)
            if attribute.repr is False:
                continue
            if attribute.name in hidden and value is not None:
                text = MASK
            else:
                text = repr(value) if attribute.repr is True else attribute.repr(value)
            shown.append(f"{attribute.name}={text}")
        return f"{type(self).__qualname__.rpartition('>.')[2]}({', '.join(shown)})"

    return __repr__
