"""Returns at once."""

import attrs

from pluginserver import Kong

version = "1.0.0"
priority = 100


@attrs.define
class Plugin:
    def access(self, _kong: Kong) -> None:
        pass
