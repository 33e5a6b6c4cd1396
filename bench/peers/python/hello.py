version = "1.0.0"
priority = 100


class Plugin:
    def __init__(self, config):
        self.config = config

    def access(self, kong):
        host, _ = kong.request.get_header("host")
        kong.response.set_header("x-hello", f"Python says hi to {host}")
