"""Computes for 10 ms of its thread's time on a processor."""

import time

import attrs

from pluginserver import Kong

version = "1.0.0"
priority = 1


@attrs.define
class Plugin:
    def access(self, _kong: Kong) -> None:
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            sum(number * number for number in range(200))
