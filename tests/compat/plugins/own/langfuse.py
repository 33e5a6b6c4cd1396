#!/usr/bin/env python3
import json
import queue

import kong_pdk.pdk.kong as kong
from kong_pdk.cli import start_dedicated_server

PLUGIN_VERSION = "0.3.1"
PLUGIN_PRIORITY = 3

SCHEMA = [
    {"host": {"type": "string", "required": True}},
    {"keys": {"type": "record", "fields": [
        {"public": {"type": "string", "default": "pk"}},
        {"secret": {"type": "string"}},
    ]}},
]


class LangfusePlugin(object):
    """Writes a trace of each request into a queue; another thread would send it."""

    def __init__(self, config):
        self.config = config
        self.traces = queue.Queue(2)
        print("configured for", config["host"])

    def access(self, kong: kong):
        body, _ = kong.request.get_body()
        if not isinstance(body, dict):
            return
        model = body.get("model", "none")
        kong.ctx.shared.set("model", model)
        if model == "secret":
            kong.response.exit(403, "")

    def log(self, kong: kong):
        model, _ = kong.ctx.shared.get("model")
        if model is None:
            return
        trace = {"model": model, "status": kong.response.get_status()[0]}
        keys = self.config.get("keys") or {}
        trace["key"] = keys.get("public")
        try:
            self.traces.put_nowait(json.dumps(trace, sort_keys=True))
            kong.log.notice("queued ", json.dumps(trace, sort_keys=True))
        except queue.Full as ex:
            kong.log.err("the queue is full: ", ex, self.traces.qsize())


if __name__ == "__main__":
    start_dedicated_server("Langfuse-Kong-Plugin", LangfusePlugin, PLUGIN_VERSION, PLUGIN_PRIORITY, SCHEMA)
