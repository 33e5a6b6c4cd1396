"""``kong.service``: where the request goes to, and how Kong connects to it."""

from __future__ import annotations

from typing import Final, NoReturn

from ..events.event import callback
from .service_request import ServiceRequest
from .service_response import ServiceResponse
from .unusable import refuse
from .values import flag, integer, text

MAX_TIMEOUT: Final = 2**31 - 2
MAX_RETRIES: Final = 32767


class ServiceNamespace:
    """Functions about the connection to the service."""

    __slots__ = ()

    request: Final = ServiceRequest()
    response: Final = ServiceResponse()

    def set_upstream(self, host: str) -> bool | None:
        """Send the request to one of Kong's upstreams, which balances it over its targets.

        :param host: the upstream's name.
        :returns: True, or None when there is no such upstream.

        Phases: access.
        """
        return callback("kong.service.set_upstream", text(host, "host"))

    def set_target(self, host: str, port: int) -> None:
        """Send the request to this address; no balancing, no health checks.

        :param host: a name or an address.
        :param port: from 0 to 65535.

        Phases: access.
        """
        callback("kong.service.set_target", text(host, "host"), integer(port, "port", 0, 65535))

    def set_retries(self, retries: int) -> None:
        """How often Kong tries again when the service cannot be reached.

        :param retries: from 0 to 32767.

        Phases: access.
        """
        callback("kong.service.set_retries", integer(retries, "retries", 0, MAX_RETRIES))

    def set_timeouts(self, connect_timeout: int, write_timeout: int, read_timeout: int) -> None:
        """How long Kong waits for the service.

        :param connect_timeout: milliseconds, from 1 to 2147483646; like the others.

        Phases: access.
        """
        callback(
            "kong.service.set_timeouts",
            integer(connect_timeout, "connect_timeout", 1, MAX_TIMEOUT),
            integer(write_timeout, "write_timeout", 1, MAX_TIMEOUT),
            integer(read_timeout, "read_timeout", 1, MAX_TIMEOUT),
        )

    def set_tls_verify(self, on: bool) -> bool | None:
        """Whether Kong verifies the certificate of the service.

        :returns: True, or None when it could not be set.

        Phases: rewrite, access, preread.
        """
        return callback("kong.service.set_tls_verify", flag(on, "on"))

    def set_tls_verify_depth(self, depth: int) -> bool | None:
        """How long a chain of certificates of the service may be.

        :param depth: 0 or more.
        :returns: True, or None when it could not be set.

        Phases: rewrite, access, preread.
        """
        return callback("kong.service.set_tls_verify_depth", integer(depth, "depth", 0, 2**31 - 1))

    def set_tls_cert_key(self, chain: object, key: object) -> NoReturn:
        """Not usable: set ``client_certificate`` on the service in Kong's configuration."""
        refuse("kong.service.set_tls_cert_key")

    def set_tls_verify_store(self, store: object) -> NoReturn:
        """Not usable: set ``ca_certificates`` on the service in Kong's configuration."""
        refuse("kong.service.set_tls_verify_store")
