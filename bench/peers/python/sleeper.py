import time

version = "1.0.0"
priority = 1


class Plugin:
    def __init__(self, config):
        self.config = config

    def access(self, kong):
        kong.request.get_header("host")
        time.sleep(0.05)
