"""Which Kong is played: what a plugin can see of its version.

Rules kept here:

* what a version changes is asked here, by a name, and not decided where it matters;
* the default is the newest Kong that is open source: what its users run, and what takes no license to try.
"""

from __future__ import annotations

from typing import Final

import attrs

from ...deploy.settings import Version, version
from ...errors import PluginServerError
from ...spec.functions import FUNCTIONS, LATER
from ..transports.base import GatewayError

NEWEST_OPEN: Final = "3.9.3"
"""The newest release that is open source; from 3.10 on there is Kong Enterprise alone."""

_ENTERPRISE: Final = (3, 10)


@attrs.frozen
class KongVersion:
    """A version of Kong.

    :param text: as it was given, such as ``"3.9"`` or ``"3.14.0.2"``.
    :param numbers: its first two numbers.
    """

    text: str
    numbers: Version

    @classmethod
    def parse(cls, text: str | None) -> KongVersion:
        """The version of that name; the default one for None.

        :raises GatewayError: when it is none.
        """
        given = NEWEST_OPEN if text is None else text
        try:
            return cls(given, version(given))
        except PluginServerError as error:
            raise GatewayError(str(error)) from None

    @property
    def server(self) -> str:
        """What it calls itself in ``Server`` and ``Via``."""
        wanted = 4 if self.numbers >= _ENTERPRISE else 3
        numbers = ".".join([*self.text.split("."), "0", "0"][:wanted])
        return f"kong/{numbers}{'-enterprise-edition' if wanted == 4 else ''}"

    @property
    def fails_open(self) -> bool:
        """Whether a request goes on when its plugin's RPC fails in MsgPack:1: up to 3.13."""
        return self.numbers < (3, 14)

    @property
    def protobuf_fails_open(self) -> bool:
        """Whether it does in ProtoBuf:1: before 3.8."""
        return self.numbers < (3, 8)

    @property
    def sized_bodies(self) -> bool:
        """Whether ``kong.request.get_raw_body`` takes a size: since 3.8."""
        return self.numbers >= (3, 8)

    def lacks(self, name: str) -> str | None:
        """The version that brought a function, when this one is older; None when it is not."""
        function = FUNCTIONS.get(name)
        since = LATER.get(name) if function is None else function.since
        return since if since is not None and self.numbers < version(since) else None
