"""``kong.nginx``: the nginx that Kong runs in."""

from __future__ import annotations

from typing import Any, Final

from ..events.callbacks import callback
from .mapping import KongTable
from .namespace import Namespace
from .results import as_map, whole
from .values import Value, check_text, to_lua


class NginxCtx(KongTable):
    """nginx's table of the current request, ``ngx.ctx``; works as a mapping.

    Kong itself keeps things there: use ``kong.ctx.shared`` for your own.
    """

    __slots__ = ()

    NAME = "kong.nginx.ctx"
    GET = "kong.nginx.get_ctx"
    SET = "kong.nginx.set_ctx"

    def get(self, key: str, default: Any = None) -> Any:
        """Read an entry.

        :param default: what to return when there is none.
        """
        answer = callback("kong.nginx.get_ctx", check_text(key, "key"))
        return default if answer is None else answer


class Nginx(Namespace):
    """Functions about nginx."""

    __slots__ = ()

    NAME = "kong.nginx"

    ctx: Final = NginxCtx()

    def get_var(self, name: str) -> str | None:
        """Read one of nginx's variables.

        :param name: without the dollar sign.
        :returns: None when it has no value.

        Phases: rewrite, access, response, preread.
        """
        return callback("kong.nginx.get_var", check_text(name, "name"))

    def get_tls1_version_str(self) -> str | None:
        """The TLS version of the client's connection, such as ``"TLSv1.3"``.

        :returns: None when the connection has no TLS.

        Phases: rewrite, access, response.
        """
        return callback("kong.nginx.get_tls1_version_str")

    def get_ctx(self, key: str) -> Any:
        """Read an entry of :attr:`ctx`.

        :returns: None when there is none.

        Phases: all.
        """
        return callback("kong.nginx.get_ctx", check_text(key, "key"))

    def set_ctx(self, key: str, value: Value | None = None) -> None:
        """Write an entry of :attr:`ctx`.

        :param value: None removes it.

        Phases: all.
        """
        if value is None:
            callback("kong.nginx.set_ctx", check_text(key, "key"))
        else:
            callback("kong.nginx.set_ctx", check_text(key, "key"), to_lua(value, "value"))

    def req_start_time(self) -> float:
        """When the request began, in seconds since the epoch, with a fraction.

        Phases: rewrite, access, response, log.
        """
        return callback("kong.nginx.req_start_time")

    def get_subsystem(self) -> str:
        """Whether this is HTTP or plain TCP and TLS: ``"http"`` or ``"stream"``.

        Phases: all.
        """
        return callback("kong.nginx.get_subsystem")

    def get_statistics(self) -> dict[str, int]:
        """nginx's counters of connections and requests.

        :returns: ``connections_active``, ``connections_reading``, ``connections_writing``,
            ``connections_waiting``, ``connections_accepted``, ``connections_handled`` and
            ``total_requests``.

        Phases: all.
        """
        answer = as_map(callback("kong.nginx.get_statistics"))
        return {name: whole(value) for name, value in answer.items()}
