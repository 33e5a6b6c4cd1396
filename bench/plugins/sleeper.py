"""Blocks for 50 ms, as a call over the network would."""

import time

import attrs

from pluginserver import Kong

version = "1.0.0"
priority = 1


@attrs.define
class Plugin:
    def access(self, kong: Kong) -> None:
        kong.request.get_header("host")
        time.sleep(0.05)
