"""``hello`` on threads of its own, each event one."""

import attrs

from pluginserver import Kong

version = "1.0.0"
priority = 100
threads = "own"


@attrs.define
class Plugin:
    """Adds the response header ``x-hello``."""

    message: str = "hello"

    def access(self, kong: Kong) -> None:
        host = kong.request.get_header("host")
        kong.response.set_header("x-hello", f"{self.message} to {host}")
