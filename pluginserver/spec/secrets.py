"""Which values of a configuration are secrets, and how they are kept out of what people read.

A field is a secret when its schema says ``referenceable`` (the value may come from a vault, and Kong sends
what it found there) or ``encrypted`` (Kong keeps it encrypted).  Rules kept here:

* a secret's whole value is replaced, by the same text for every secret: not even its length is told;
* a value of another shape than its field says is replaced whole when the field holds a secret anywhere;
* in a text, what holds a secret of a few characters is not shown at all: they may stand in it by chance.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from operator import eq
from typing import Any, Final, TypeGuard

import attrs

MASK: Final = "(secret)"
"""What stands in the place of a secret."""

MARKS: Final = ("encrypted", "referenceable")
"""The attributes that make a field a secret."""

_SHORT: Final = 4
"""A secret of fewer characters is not looked for by itself: it may be a part of any word."""

_HEAD: Final = 8
"""So many characters that a secret begins with are not shown either."""

_HELD: Final = ("elements", "keys", "values")


def is_reference(value: object) -> TypeGuard[str]:
    """Whether a value is a text that looks like a reference to a vault: Kong looks at its two ends only."""
    return isinstance(value, str) and value.startswith("{vault://") and value.endswith("}")


def is_secret(attributes: Mapping[str, Any], marks: Sequence[str] = MARKS) -> bool:
    """Whether a field with these attributes is a secret as a whole."""
    return any(attributes.get(mark) for mark in marks)


def holds_secrets(field: Mapping[str, Any], marks: Sequence[str] = MARKS) -> bool:
    """Whether a field, or one in it, is a secret."""
    inner = [one for each in field.get("fields", ()) for one in each.values()]
    inner += [field[name] for name in _HELD if isinstance(field.get(name), Mapping)]
    return is_secret(field, marks) or any(holds_secrets(one, marks) for one in inner)


@attrs.frozen
class Mask:
    """What is hidden of a value, and by what.

    :param text: stands in the place of each secret.
    :param marks: the attributes that make a field a secret.
    :param references: whether a reference to a vault is shown: as it was written it is no secret.
    """

    text: str = MASK
    marks: Sequence[str] = MARKS
    references: bool = False

    def over(self, field: Mapping[str, Any], value: Any) -> Any:
        """A value without the secrets in it.

        :param field: its field's schema.
        :param value: as JSON has it.
        """
        if value is None or not holds_secrets(field, self.marks):
            return value
        if self.references and is_reference(value):
            return value
        if not is_secret(field, self.marks) and _fits(field, value):
            match field.get("type"):
                case "record":
                    return {**value, **self._over_fields(field, value)}
                case "array" | "set":
                    return [self.over(field.get("elements", {}), one) for one in value]
                case "map":
                    keys, values = field.get("keys", {}), field.get("values", {})
                    return {
                        self.over(keys, key): self.over(values, one) for key, one in value.items()
                    }
        return [] if value == [] else self.text

    def _over_fields(self, record: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: self.over(field, value[name])
            for one in record.get("fields", ())
            for name, field in one.items()
            if name in value
        }


_EVERY: Final = Mask()


def masked(field: Mapping[str, Any], value: Any) -> Any:
    """A value without any of the secrets in it: see :meth:`Mask.over`."""
    return _EVERY.over(field, value)


def secrets_in(field: Mapping[str, Any], value: Any) -> list[str]:
    """The secrets in a value, as texts.

    :param field: its field's schema.
    :param value: as JSON has it.
    """
    return list(_secrets(field, value, False))


def concealed(text: str, secrets: Iterable[str]) -> str | None:
    """A text without the secrets in it.

    :param secrets: what must not be shown; looked for as it is, and as ``repr`` and JSON write it.
    :returns: None when it cannot be shown: it holds what may be a short secret.
    """
    known = sorted(set(secrets), key=len, reverse=True)
    for secret in known:
        for written in _spellings(secret):
            if len(secret) < _SHORT and written in text:
                return None
            text = text.replace(written, MASK)
    for secret in known:
        for written in _spellings(secret):
            text = _without_beginnings(text, written)
    return text


def _without_beginnings(text: str, secret: str) -> str:
    """A text without what a secret begins with: texts are cut when they are long."""
    head = secret[:_HEAD]
    if len(head) < _HEAD:
        return text
    kept, at = "", 0
    while (found := text.find(head, at)) >= 0:
        kept += text[at:found] + MASK
        at = found + sum(1 for _ in takewhile(bool, map(eq, text[found:], secret)))
    return kept + text[at:]


def _spellings(secret: str) -> list[str]:
    folded = " ".join(secret.split())
    forms = (secret, folded, repr(secret)[1:-1], json.dumps(secret)[1:-1])
    return [form for form in dict.fromkeys(forms) if form]


def _fits(field: Mapping[str, Any], value: Any) -> bool:
    """Whether a value has the shape in which a field's secrets are known from the rest."""
    if field.get("type") in ("array", "set"):
        return isinstance(value, list)
    return isinstance(value, Mapping)


def _secrets(field: Mapping[str, Any], value: Any, inside: bool) -> Iterator[str]:
    """The texts in a value that are secrets; all of them when they are ``inside`` of one."""
    inside = inside or is_secret(field) or (holds_secrets(field) and not _fits(field, value))
    if isinstance(value, Mapping):
        named = {name: one for each in field.get("fields", ()) for name, one in each.items()}
        for key, one in value.items():
            yield from _secrets(field.get("keys", {}), key, inside)
            yield from _secrets(named.get(key, field.get("values", {})), one, inside)
    elif isinstance(value, list):
        for one in value:
            yield from _secrets(field.get("elements", {}), one, inside)
    elif inside and value is not None and not isinstance(value, bool):
        yield str(value)
