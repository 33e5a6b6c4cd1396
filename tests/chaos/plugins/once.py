"""Asks Kong once, on a thread that it shares: as many events can wait as the server allows."""

from pluginserver import Kong

version = "1.0.0"
priority = 10
threads = "shared"


class Plugin:
    def access(self, kong: Kong) -> None:
        kong.request.get_header("host")
