"""Answers of Kong, put right where Lua's types lose something.

Rules kept here:

* a function that gives a map, a list, a multi-map or bytes gives an empty one when Kong sent nothing,
  and for Lua's empty table, whether it came as a list or a map;
* an answer is read by the call that asked for it, never by the name of the step that brought it;
* an answer that an event remembers is Kong's to every call that gets it: a handler is shown another object
  (:func:`fresh`), which it may change.
"""

from __future__ import annotations

from typing import Any, TypeVar

from ..spec.entities import as_list, as_map, whole
from ..spec.multimap import Headers, MultiMap, Query

M = TypeVar("M", bound="MultiMap[Any]")

__all__ = ["as_list", "as_map", "body", "fresh", "headers", "map_or_list", "query", "whole"]


def fresh(answer: Any) -> Any:
    """An answer in maps and lists of its own."""
    if isinstance(answer, dict):
        return {key: fresh(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return [fresh(value) for value in answer]
    return answer


def headers(answer: Any) -> Headers:
    """Headers from Kong's ``{name: [values]}``."""
    return _multimap(Headers, answer)


def query(answer: Any) -> Query:
    """Query arguments from Kong's ``{name: [values]}``."""
    return _multimap(Query, answer)


def body(answer: Any) -> bytes:
    """A raw body."""
    if isinstance(answer, str):
        return answer.encode("utf-8", "surrogateescape")
    return bytes(answer or b"")


def map_or_list(answer: Any) -> dict[str, Any] | list[Any] | None:
    """A table of Lua that may be a map or a list; an empty one is a map."""
    return answer if answer is None or answer else {}


def _multimap(cls: type[M], answer: Any) -> M:
    return cls(answer or {})
