"""Must never be hurt by what happens beside it; it notices an answer that is somebody else's."""

import attrs

from pluginserver import Kong

version = "1.0.0"
priority = 10


@attrs.define
class Plugin:
    calls: int = 3

    def access(self, kong: Kong) -> None:
        token = kong.request.get_header("x-token")
        for number in range(self.calls):
            if kong.call("kong.chaos.echo", token, number) != [token, number]:
                kong.response.exit(598, "crossed")
        kong.response.set_header("x-answer", token)

    def log(self, kong: Kong) -> None:
        kong.call("kong.chaos.logged", kong.request.get_header("x-token"))
