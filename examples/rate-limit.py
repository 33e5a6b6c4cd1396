"""Let each client make so many requests in so many seconds.

Shows: private fields that are kept between events, and a lock around them, because events of one
instance may run in several threads at once.
"""

import threading
import time
from typing import Literal

import attrs

from pluginserver import Kong, attributes

version = "1.0.0"
priority = 910


@attrs.define
class Plugin:
    """A token bucket for each client."""

    limit: int = attrs.field(
        default=5,
        metadata=attributes(
            description="How many requests a client may make.", between=(1, 10**6)
        ),
    )
    window: float = attrs.field(
        default=60.0,
        metadata=attributes(description="In how many seconds it may make them.", gt=0),
    )
    by: Literal["ip", "header"] = attrs.field(
        default="ip", metadata=attributes(description="What tells one client from another.")
    )
    header: str = attrs.field(
        default="x-api-key",
        metadata=attributes(description="The header that does so with `by: header`."),
    )
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _buckets: dict[str, tuple[float, float]] = attrs.field(factory=dict, init=False)

    def access(self, kong: Kong) -> None:
        if self.by == "ip":
            client = kong.client.get_forwarded_ip()
        else:
            client = kong.request.get_header(self.header) or ""
        left, wait = self._take(client, time.monotonic())
        kong.response.set_header("x-ratelimit-limit", self.limit)
        kong.response.set_header("x-ratelimit-remaining", int(left))
        if wait:
            kong.response.exit(
                429, {"message": "API rate limit exceeded"}, {"retry-after": str(int(wait) + 1)}
            )

    def _take(self, client: str, now: float) -> tuple[float, float]:
        """Take a token: how many are left, and how many seconds to wait if there was none."""
        rate = self.limit / self.window
        with self._lock:
            tokens, since = self._buckets.pop(client, (float(self.limit), now))
            tokens = min(float(self.limit), tokens + (now - since) * rate)
            taken = tokens >= 1.0
            self._buckets[client] = (tokens - taken, now)
            self._forget(now)
        return (tokens - 1.0, 0.0) if taken else (0.0, (1.0 - tokens) / rate)

    def _forget(self, now: float) -> None:
        """Drop the client that was not seen for longest, if its bucket is full again."""
        client, (_, since) = next(iter(self._buckets.items()))
        if now - since > self.window:
            del self._buckets[client]
