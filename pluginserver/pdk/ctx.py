"""``kong.ctx``: what the plugins of one request tell each other."""

from __future__ import annotations

from typing import Any, Final

from ..events.callbacks import callback
from .mapping import KongTable
from .namespace import Namespace
from .values import Value, check_text, to_lua


class Shared(KongTable):
    """The table that all plugins of one request share, Lua's too; works as a mapping.

    What Lua cannot hold does not go in: see the guide to errors.  An empty list and an empty dict
    are the same to Lua, both come back as an empty list.
    """

    __slots__ = ()

    NAME = "kong.ctx.shared"
    GET = "kong.ctx.shared.get"
    SET = "kong.ctx.shared.set"

    def get(self, key: str, default: Any = None) -> Any:
        """Read an entry.

        :param default: what to return when there is none.

        Phases: all.
        """
        answer = callback("kong.ctx.shared.get", check_text(key, "key"))
        return default if answer is None else answer

    def set(self, key: str, value: Value | None = None) -> None:
        """Write an entry.

        :param value: None removes it.

        Phases: all.
        """
        if value is None:
            callback("kong.ctx.shared.set", check_text(key, "key"))
        else:
            callback("kong.ctx.shared.set", check_text(key, "key"), to_lua(value, "value"))


class Ctx(Namespace):
    """The tables of the current request."""

    __slots__ = ()

    NAME = "kong.ctx"

    shared: Final = Shared()
