"""``kong.enterprise_edition`` and ``kong.websocket``, which only Kong Enterprise has.

A Kong that lacks a function writes a line to its log and answers nothing, so that None comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from ..events.callbacks import callback
from .namespace import Namespace
from .unusable import refuse
from .values import check_raw, check_text, to_lua, to_lua_map


class JWE(Namespace):
    """Encrypted JSON web tokens; Kong Enterprise only."""

    __slots__ = ()

    NAME = "kong.enterprise_edition.jwe"

    def decode(self, token: str) -> dict[Any, Any] | list[Any] | None:
        """The parts of a token, not decrypted.

        :returns: the five parts and what they decode to; None when the text is not a token.

        Kong Enterprise only.

        Phases: all.
        """
        return callback("kong.enterprise_edition.jwe.decode", check_text(token, "token"))

    def decrypt(self, key: str | Mapping[str, Any], token: str) -> str | None:
        """What is in a token.

        :param key: the private key, as JWK (text or map) or PEM.
        :returns: None when it cannot be decrypted.

        Kong Enterprise only.

        Phases: all.
        """
        return callback(
            "kong.enterprise_edition.jwe.decrypt", to_lua(key, "key"), check_text(token, "token")
        )

    def encrypt(
        self,
        alg: str,
        enc: str,
        key: str | Mapping[str, Any],
        plaintext: str | bytes,
        options: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Make a token.

        :param alg: how the key is managed, ``"RSA-OAEP"`` or ``"ECDH-ES"``.
        :param enc: how the content is encrypted, ``"A256GCM"``.
        :param key: the public key, as JWK (text or map) or PEM.
        :param options: ``zip``, ``apu``, ``apv``.
        :returns: None when it cannot be encrypted.

        Kong Enterprise only.

        Phases: all.
        """
        sent = (
            check_text(alg, "alg"),
            check_text(enc, "enc"),
            to_lua(key, "key"),
            check_raw(plaintext, "plaintext"),
        )
        if options is None:
            return callback("kong.enterprise_edition.jwe.encrypt", *sent)
        return callback(
            "kong.enterprise_edition.jwe.encrypt", *sent, to_lua_map(options, "options")
        )


class EnterpriseEdition(Namespace):
    """Functions that only Kong Enterprise has."""

    __slots__ = ()

    NAME = "kong.enterprise_edition"

    jwe: Final = JWE()


class WebSocketPeer:
    """One side of a WebSocket; its functions work only in phases that Kong does not send
    to plugin servers."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def get_frame(self) -> NoReturn:
        """Not usable."""
        refuse(f"{self._name}.get_frame")

    def set_frame_data(self, data: str) -> NoReturn:
        """Not usable."""
        refuse(f"{self._name}.set_frame_data")

    def set_status(self, status: int) -> NoReturn:
        """Not usable."""
        refuse(f"{self._name}.set_status")

    def drop_frame(self) -> NoReturn:
        """Not usable."""
        refuse(f"{self._name}.drop_frame")

    def close(self, status: int = 1000, message: str = "") -> NoReturn:
        """Not usable."""
        refuse(f"{self._name}.close")

    def set_max_payload_size(self, size: int) -> NoReturn:
        """Not usable."""
        refuse(f"{self._name}.set_max_payload_size")


class WebSocket(Namespace):
    """Functions about WebSockets, none of which a plugin server can use."""

    __slots__ = ()

    NAME = "kong.websocket"

    client: Final = WebSocketPeer("kong.websocket.client")
    upstream: Final = WebSocketPeer("kong.websocket.upstream")
