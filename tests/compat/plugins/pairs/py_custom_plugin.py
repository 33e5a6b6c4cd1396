import json
import threading

import kong_pdk.pdk.kong as kong

Schema = [
    {"limit": {"type": "integer", "default": 2}},
    {"by": {"type": "string", "one_of": ["ip", "header"], "default": "ip"}},
]
version = "1.0.0"
priority = 901


class Plugin:
    """Counts by client, in memory, with a lock."""

    lock = threading.Lock()

    def __init__(self, config):
        self.limit = config["limit"]
        self.by = config["by"]
        self.seen = {}

    def key(self, kong):
        if self.by == "ip":
            ip, err = kong.client.get_ip()
            return ip
        headers, _ = kong.request.get_headers()
        values = headers.get("x-client")
        if not values:
            return None
        return ",".join(values)

    def access(self, kong: kong.kong):
        key = self.key(kong)
        if key is None:
            kong.response.error(400, "x-client is missing")
            return
        with self.lock:
            self.seen[key] = self.seen.get(key, 0) + 1
            used = self.seen[key]
        left = max(0, self.limit - used)
        kong.response.set_headers({"X-Left": str(left), "X-Key": [key, str(used)]})
        if used > self.limit:
            body = json.dumps({"message": "too many", "key": key})
            return kong.response.exit(429, body, {"Content-Type": "application/json"})
        _, err = kong.service.request.set_header("X-Counted", used)
        if err:
            kong.log.err(err)
