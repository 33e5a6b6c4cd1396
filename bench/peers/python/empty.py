version = "1.0.0"
priority = 100


class Plugin:
    def __init__(self, config):
        self.config = config

    def access(self, kong):
        pass
