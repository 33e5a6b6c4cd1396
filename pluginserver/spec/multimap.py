"""Maps with several values for a name, as requests have them: headers and query arguments.

Rules kept here:

* used as a mapping they give the first value of each name, and ``dict()`` of one is a plain dict;
  :meth:`MultiMap.get_all` and :meth:`MultiMap.lists` give every value;
* they never change: what a handler does to the request is a PDK call, not an assignment;
* the names of headers are found in any case, and ``-`` and ``_`` are one, as in Kong's own
  ``get_header``; the names of query arguments are found as they were sent, because Kong's
  ``get_query_arg`` tells ``a`` from ``A``;
* whatever keeps headers can be asked the same questions: :class:`ReadHeaders`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

QueryValue: TypeAlias = "str | Literal[True]"
"""The value of a query argument; True for one that was sent without a value."""

V = TypeVar("V")


@lru_cache(maxsize=1024)
def same(name: str) -> str:
    """The form in which two names of one header are equal."""
    return name.lower().replace("_", "-")


class ReadHeaders(Mapping[str, str]):
    """What can be asked of headers, however they are kept.

    As a mapping it gives each name's first value; names are found in any case and with ``_`` for ``-``.
    """

    __slots__ = ()

    @abstractmethod
    def get_all(self, name: str) -> list[str]:
        """Every value of a name, in the order in which they came; empty when it is not there."""

    @abstractmethod
    def pairs(self) -> list[tuple[str, str]]:
        """Every value with its name, as ``(name, value)``."""

    def all(self, name: str) -> list[str]:
        """Every value of a name: another name of :meth:`get_all`."""
        return self.get_all(name)

    def lists(self) -> dict[str, list[str]]:
        """Every value of every name in lower case, as a new dict of new lists."""
        out: dict[str, list[str]] = {}
        for name, value in self.pairs():
            out.setdefault(name.lower(), []).append(value)
        return out

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(f"no header {name!r}; there are: {', '.join(self) or 'none'}")
        return values[0]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.lists())

    def __len__(self) -> int:
        return len(self.lists())


class MultiMap(Mapping[str, V], Generic[V]):
    """Several values for a name.

    :param given: a mapping of names to a value or a list of values, or ``(name, value)`` pairs.
    """

    __slots__ = ("_lists",)

    BARE: ClassVar[Any] = ""
    """The value of a name that came with an empty list."""

    def __init__(
        self, given: Mapping[str, V | Sequence[V]] | Iterable[tuple[str, V | Sequence[V]]] = ()
    ) -> None:
        self._lists: dict[str, list[V]] = {}
        pairs: Any
        if isinstance(given, (MultiMap, ReadHeaders)):
            pairs = given.lists().items()
        else:
            pairs = given.items() if isinstance(given, Mapping) else given
        for name, value in pairs:
            values = list(value) if isinstance(value, (list, tuple)) else [value]
            self._lists.setdefault(self._kept(name), []).extend(values or [self.BARE])

    def __getitem__(self, name: str) -> V:
        return self._find(name)[0]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._search(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._lists)

    def __len__(self) -> int:
        return len(self._lists)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (MultiMap, ReadHeaders)):
            return self._lists == other.lists()
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._lists!r})"

    def get_all(self, name: str) -> list[V]:
        """Every value of a name, in the order in which they came; empty when it is not there."""
        return list(self._search(name) or ())

    def lists(self) -> dict[str, list[V]]:
        """Every value of every name, as a new dict of new lists."""
        return {name: list(values) for name, values in self._lists.items()}

    def pairs(self) -> list[tuple[str, V]]:
        """Every value with its name, as ``(name, value)``."""
        return [(name, value) for name, values in self._lists.items() for value in values]

    def _kept(self, name: str) -> str:
        """The form of a name under which its values are kept."""
        return name

    def _search(self, name: str) -> list[V] | None:
        return self._lists.get(name)

    def _find(self, name: str) -> list[V]:
        values = self._search(name)
        if not values:
            raise KeyError(name)
        return values


class Headers(MultiMap[str], ReadHeaders):
    """Headers: names in lower case, found in any case and with ``_`` for ``-``."""

    __slots__ = ()

    def _kept(self, name: str) -> str:
        return name.lower()

    def _search(self, name: str) -> list[str] | None:
        name = name.lower()
        values = self._lists.get(name)
        if values is None:
            key = same(name)
            for have, values in self._lists.items():
                if same(have) == key:
                    return values
            return None
        return values


class Query(MultiMap[QueryValue]):
    """Query arguments: names as they were sent, True for an argument without a value."""

    __slots__ = ()

    BARE = True
