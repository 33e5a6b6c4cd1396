"""Misbehaves when it is configured."""

import time

import attrs

from pluginserver import Kong

version = "1.0.0"
priority = 10


@attrs.define
class Plugin:
    seconds: float = 0.0
    raises: bool = False

    def __attrs_post_init__(self) -> None:
        time.sleep(self.seconds)
        if self.raises:
            raise KeyboardInterrupt

    def access(self, kong: Kong) -> None:
        kong.request.get_header("host")
