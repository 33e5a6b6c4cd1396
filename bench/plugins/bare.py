"""``hello`` without the PDK's types and checks, to measure what they cost."""

import attrs

from pluginserver import Kong
from pluginserver.events.callbacks import callback

version = "1.0.0"
priority = 1


@attrs.define
class Plugin:
    message: str = "hello"

    def access(self, _kong: Kong) -> None:
        host = callback("kong.request.get_header", "host")
        callback("kong.response.set_header", "x-hello", f"{self.message} to {host}")
