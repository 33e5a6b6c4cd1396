"""``kong.client.tls``: the TLS connection of the client."""

from __future__ import annotations

from ..events.callbacks import callback
from .namespace import Namespace
from .values import check_text


class TLS(Namespace):
    """Functions about the client's TLS connection."""

    __slots__ = ()

    NAME = "kong.client.tls"

    def request_client_certificate(self) -> bool | None:
        """Ask the client for a certificate; the handshake goes on if it has none.

        Whether it sent one can be seen later with :meth:`get_full_client_certificate_chain`.

        :returns: True, or None when it could not be asked.

        Phases: certificate.
        """
        return callback("kong.client.tls.request_client_certificate")

    def disable_session_reuse(self) -> bool | None:
        """Let the client not resume this TLS session later.

        :returns: True, or None when it failed.

        Phases: certificate.
        """
        return callback("kong.client.tls.disable_session_reuse")

    def get_full_client_certificate_chain(self) -> str | None:
        """The certificates that the client sent: its own first, then intermediate ones.

        :returns: PEM; None when the client sent none.

        Phases: rewrite, access, response.
        """
        return callback("kong.client.tls.get_full_client_certificate_chain")

    def set_client_verify(self, value: str) -> None:
        """Say how the verification of the client's certificate ended, for Kong's logs.

        :param value: ``"SUCCESS"``, ``"NONE"``, or ``"FAILED:"`` and a reason.
        :raises ValueError: for anything else.

        Phases: rewrite, access, response.
        """
        known = check_text(value, "value") in ("SUCCESS", "NONE")
        if not known and not value.startswith("FAILED:"):
            raise ValueError(
                f"value must be 'SUCCESS', 'NONE', or 'FAILED:' and a reason, not {value!r}"
            )
        callback("kong.client.tls.set_client_verify", value)
