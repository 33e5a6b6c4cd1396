"""Eight callbacks, as a plugin of some size makes them: five read, three set headers."""

import attrs

from pluginserver import Kong

version = "1.0.0"
priority = 1


@attrs.define
class Plugin:
    def access(self, kong: Kong) -> None:
        host = kong.request.get_header("host")
        agent = kong.request.get_header("user-agent")
        kind = kong.request.get_header("accept")
        method = kong.request.get_method()
        path = kong.request.get_path()
        kong.response.set_header("x-from", f"{agent} to {host}")
        kong.response.set_header("x-asked", f"{method} {path}")
        kong.response.set_header("x-kind", f"{kind}")
