"""Raises before its first callback."""

import attrs

from pluginserver import Kong

version = "1.0.0"
priority = 1


@attrs.define
class Plugin:
    def access(self, _kong: Kong) -> None:
        raise RuntimeError("before the first callback")
