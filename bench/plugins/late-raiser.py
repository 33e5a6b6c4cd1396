"""Raises after its first callback."""

import attrs

from pluginserver import Kong

version = "1.0.0"
priority = 1


@attrs.define
class Plugin:
    def access(self, kong: Kong) -> None:
        kong.request.get_header("host")
        raise RuntimeError("after the first callback")
