"""``kong.service``: where the request goes to, and how Kong connects to it."""

from __future__ import annotations

from typing import Final, NoReturn

from ..events.callbacks import callback
from .namespace import Namespace
from .service_request import ServiceRequest
from .service_response import ServiceResponse
from .unusable import refuse
from .values import check_flag, check_integer, check_text

MAX_TIMEOUT: Final = 2**31 - 2
MAX_RETRIES: Final = 32767


class ServiceNamespace(Namespace):
    """Functions about the connection to the service."""

    __slots__ = ()

    NAME = "kong.service"

    request: Final = ServiceRequest()
    response: Final = ServiceResponse()

    def set_upstream(self, host: str) -> bool | None:
        """Send the request to one of Kong's upstreams, which balances it over its targets.

        :param host: the upstream's name.
        :returns: True, or None when there is no such upstream.

        Phases: access.
        """
        return callback("kong.service.set_upstream", check_text(host, "host"))

    def set_target(self, host: str, port: int) -> None:
        """Send the request to this address, without balancing and health checks.

        :param host: a name or an address.
        :param port: from 0 to 65535.

        Phases: access.
        """
        callback(
            "kong.service.set_target",
            check_text(host, "host"),
            check_integer(port, "port", 0, 65535),
        )

    def set_retries(self, retries: int) -> None:
        """Set how often Kong tries again when the service cannot be reached.

        :param retries: from 0 to 32767.

        Phases: access.
        """
        callback("kong.service.set_retries", check_integer(retries, "retries", 0, MAX_RETRIES))

    def set_timeouts(self, connect_timeout: int, write_timeout: int, read_timeout: int) -> None:
        """Set how long Kong waits for the service.

        :param connect_timeout: milliseconds, from 1 to 2147483646, as the other two.

        Phases: access.
        """
        callback(
            "kong.service.set_timeouts",
            check_integer(connect_timeout, "connect_timeout", 1, MAX_TIMEOUT),
            check_integer(write_timeout, "write_timeout", 1, MAX_TIMEOUT),
            check_integer(read_timeout, "read_timeout", 1, MAX_TIMEOUT),
        )

    def set_tls_verify(self, on: bool) -> bool | None:
        """Set whether Kong verifies the service's certificate.

        :returns: True, or None when it could not be set.

        Phases: rewrite, access, preread.
        """
        return callback("kong.service.set_tls_verify", check_flag(on, "on"))

    def set_tls_verify_depth(self, depth: int) -> bool | None:
        """Set how long the service's chain of certificates may be.

        :param depth: 0 or more.
        :returns: True, or None when it could not be set.

        Phases: rewrite, access, preread.
        """
        return callback(
            "kong.service.set_tls_verify_depth", check_integer(depth, "depth", 0, 2**31 - 1)
        )

    def set_tls_cert_key(self, chain: object, key: object) -> NoReturn:
        """Not usable: set ``client_certificate`` on the service in Kong's configuration."""
        refuse("kong.service.set_tls_cert_key")

    def set_tls_verify_store(self, store: object) -> NoReturn:
        """Not usable: set ``ca_certificates`` on the service in Kong's configuration."""
        refuse("kong.service.set_tls_verify_store")
