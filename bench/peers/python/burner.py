import time

version = "1.0.0"
priority = 1


class Plugin:
    def __init__(self, config):
        self.config = config

    def access(self, kong):
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            sum(number * number for number in range(200))
