version = "1.0.0"
priority = 100


class Plugin:
    def __init__(self, config):
        self.config = config

    def access(self, kong):
        host, _ = kong.request.get_header("host")
        agent, _ = kong.request.get_header("user-agent")
        kind, _ = kong.request.get_header("accept")
        method, _ = kong.request.get_method()
        path, _ = kong.request.get_path()
        kong.response.set_header("x-from", f"{agent} to {host}")
        kong.response.set_header("x-asked", f"{method} {path}")
        kong.response.set_header("x-kind", f"{kind}")
