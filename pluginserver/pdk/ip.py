"""``kong.ip``: addresses that Kong trusts."""

from __future__ import annotations

from ..events.callbacks import callback
from .namespace import Namespace
from .values import check_text


class IP(Namespace):
    """Functions about IP addresses."""

    __slots__ = ()

    NAME = "kong.ip"

    def is_trusted(self, address: str) -> bool:
        """Whether an address is among Kong's ``trusted_ips``.

        :param address: an IPv4 or IPv6 address.

        Phases: all.
        """
        return callback("kong.ip.is_trusted", check_text(address, "address"))
