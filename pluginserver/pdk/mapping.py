"""Kong's per-request tables as Python mappings.

Rules kept here:

* reading, writing and deleting an entry is one PDK call each;
* Kong does not have a function that lists the entries, so what would need one raises ``TypeError``;
* None is not an entry: one that is set to None is removed, and one that is not there reads as None with
  :meth:`KongTable.get` and raises ``KeyError`` with ``[]``.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, ClassVar, NoReturn

from ..events.callbacks import callback
from .namespace import Namespace
from .values import check_text, to_lua


class KongTable(Namespace, MutableMapping[str, Any]):
    """A table that lives in Kong as long as the request."""

    __slots__ = ()

    GET: ClassVar[str]
    SET: ClassVar[str]

    def __getitem__(self, key: str) -> Any:
        value = callback(self.GET, check_text(key, "key"))
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        if value is None:
            callback(self.SET, check_text(key, "key"))
        else:
            callback(self.SET, check_text(key, "key"), to_lua(value, "value"))

    def __delitem__(self, key: str) -> None:
        callback(self.SET, check_text(key, "key"))

    def __contains__(self, key: object) -> bool:
        return callback(self.GET, check_text(key, "key")) is not None

    def __iter__(self) -> Iterator[str]:
        self._unknown()

    def __len__(self) -> int:
        self._unknown()

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<{self.NAME}>"

    def _unknown(self) -> NoReturn:
        raise TypeError(f"the entries of {self.NAME} cannot be listed: read them by their names")
