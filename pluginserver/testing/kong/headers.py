"""Header lists as nginx keeps them: in the order they were sent, under the names as sent.

Rules kept here:

* upper and lower case are one, and so are ``-`` and ``_``: ``X_Bar`` is found as ``x-bar``;
* a value is text; bytes that are not UTF-8 are in it as surrogates;
* line breaks in names and values are percent-encoded, as nginx sends them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TypeAlias

from ...spec.multimap import ReadHeaders
from ...spec.multimap import same as same

HeadersInput: TypeAlias = (
    "Mapping[str, str | bytes | Iterable[str | bytes]] | Iterable[tuple[str, str | bytes]] | None"
)
"""What headers can be given as: a mapping, whose values may be lists, or pairs."""

_BREAKS = str.maketrans({"\r": "%0D", "\n": "%0A"})


def header_value(value: Any) -> str:
    """A header's value as text: bytes as UTF-8 with surrogates, anything else as Lua prints it."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    elif isinstance(value, bool):
        value = "true" if value else "false"
    return _escaped(str(value))


def _escaped(line: str) -> str:
    return line.translate(_BREAKS) if "\n" in line or "\r" in line else line


class Headers(ReadHeaders, MutableMapping[str, str]):
    """Headers, several values for a name allowed.

    As a mapping it gives each name's first value, and setting a name replaces all its values.

    :param given: a mapping of names to a value or a list of values, or ``(name, value)`` pairs.
    """

    __slots__ = ("_pairs",)

    def __init__(self, given: HeadersInput = None) -> None:
        self._pairs: list[tuple[str, str]] = []
        if given is None:
            return
        if isinstance(given, ReadHeaders):
            given = given.pairs()
        for name, value in given.items() if isinstance(given, Mapping) else given:
            for one in [value] if isinstance(value, (str, bytes)) else value:
                self.add(name, one)

    def __setitem__(self, name: str, value: Any) -> None:
        self.set(name, [value])

    def __delitem__(self, name: str) -> None:
        if not self.remove(name):
            raise KeyError(name)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ReadHeaders):
            return self.lists() == other.lists()
        if isinstance(other, Mapping):
            return self == Headers(other)
        return NotImplemented

    def __repr__(self) -> str:
        return f"Headers({self._pairs!r})"

    def get_all(self, name: str) -> list[str]:
        """All values of a header, in order; empty when it is not there."""
        key = same(name)
        return [value for have, value in self._pairs if same(have) == key]

    def pairs(self) -> list[tuple[str, str]]:
        """Every header as ``(name, value)``, as it goes over the wire."""
        return list(self._pairs)

    def add(self, name: str, value: Any) -> None:
        """Append one header."""
        self._pairs.append((_escaped(name), header_value(value)))

    def set(self, name: str, values: Iterable[Any]) -> None:
        """Replace a header by these values, at the end of the list."""
        self.remove(name)
        for value in values:
            self.add(name, value)

    def remove(self, name: str) -> bool:
        """Drop every value of a header; whether there was one."""
        key = same(name)
        before = len(self._pairs)
        self._pairs = [pair for pair in self._pairs if same(pair[0]) != key]
        return len(self._pairs) < before
