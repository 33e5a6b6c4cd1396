"""What ``kong`` and its namespaces say of a name that they do not have.

Rules kept here:

* the sentence is the same whether a plugin's source is looked at or the plugin runs;
* it is made only for a name that is missing: a name that is there costs nothing more;
* a type checker does not see it, and calls a name that is missing an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, NoReturn

from ..spec.functions import LATER
from ..spec.lua_only import LUA_ONLY
from ..spec.wording import did_you_mean


class Namespace:
    """``kong``, or a part of it that holds functions."""

    __slots__ = ()

    NAME: ClassVar[str]
    """Its full name."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            raise AttributeError(missing(self.NAME, name, type(self)))


def missing(name: str, part: str, kind: type) -> str:
    """Why a namespace does not have a name, and what to write.

    :param name: the full name of the namespace.
    :param part: what it was asked for.
    :param kind: its class.
    """
    whole = f"{name}.{part}"
    if whole in LUA_ONLY:
        return f"{whole} is in Kong's Lua code alone: {LUA_ONLY[whole]}"
    if whole in LATER:
        return (
            f"{whole} is called by kong.call({whole!r}, ...): Kong has it from {LATER[whole]} on"
        )
    if issubclass(kind, Mapping):
        return f"{name} is a mapping: write {name}[{part!r}] for {whole}"
    known = [one for one in dir(kind) if not one.startswith("_") and not one.isupper()]
    return f"there is no {whole} in Kong's PDK{did_you_mean(part, known)}"
