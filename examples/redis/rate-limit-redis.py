"""Let each client make so many requests in so many seconds, whichever Kong it comes to.

Shows: state that several nodes share. Each Kong has a plugin server beside it, and what they all must know
is kept in Redis. Needs the package redis.
"""

from typing import Any, Final, Literal

import attrs
import redis

from pluginserver import Kong, attributes

version = "1.0.0"
priority = 910

TAKE: Final = """
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'since')
local tokens, since = tonumber(bucket[1]) or limit, tonumber(bucket[2]) or now
tokens = math.min(limit, tokens + math.max(0, now - since) * limit / window)
local taken = tokens >= 1
if taken then tokens = tokens - 1 end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'since', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(window * 1000))
return {taken and 1 or 0, tostring(tokens)}
"""
"""Takes a token from a bucket, by the clock of Redis: whether there was one, and how many are left."""


@attrs.define
class Plugin:
    """A token bucket for each client, shared by all nodes."""

    url: str = attrs.field(
        default="redis://127.0.0.1:6379/0",
        metadata=attributes(description="Where Redis is.", referenceable=True),
    )
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
    timeout: float = attrs.field(
        default=0.5,
        metadata=attributes(description="Seconds that Redis may take to answer.", gt=0),
    )
    without_redis: Literal["allow", "refuse"] = attrs.field(
        default="allow",
        metadata=attributes(
            description="What becomes of a request that Redis cannot be asked for."
        ),
    )
    _redis: Any = attrs.field(init=False, default=None)
    _take: Any = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._redis = redis.Redis.from_url(
            self.url, socket_timeout=self.timeout, socket_connect_timeout=self.timeout
        )
        self._take = self._redis.register_script(TAKE)

    def access(self, kong: Kong) -> None:
        client = kong.client.get_forwarded_ip()
        try:
            taken, left = self._take(keys=[f"rate-limit:{client}"], args=[self.limit, self.window])
        except redis.RedisError as error:
            kong.log.err(f"Redis cannot be asked: {error}")
            if self.without_redis == "refuse":
                kong.response.exit(503, {"message": "try again later"})
            return
        tokens = float(left)
        kong.response.set_header("x-ratelimit-limit", self.limit)
        kong.response.set_header("x-ratelimit-remaining", int(tokens))
        if not taken:
            wait = (1.0 - tokens) * self.window / self.limit
            kong.response.exit(
                429, {"message": "API rate limit exceeded"}, {"retry-after": str(int(wait) + 1)}
            )

    def close(self) -> None:
        """Called when Kong has done with this configuration."""
        self._redis.close()
