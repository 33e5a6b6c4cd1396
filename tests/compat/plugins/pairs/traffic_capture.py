import json

import kong_pdk.pdk.kong as kong

Schema = (
    {"rules": {"type": "string"}},
    {"mask": {"type": "array", "elements": {"type": "string"}, "default": ["authorization"]}},
)
priority = 5


class Plugin(object):
    def __init__(self, config):
        self.mask = set(config["mask"])
        self.rules = config.get("rules")

    def access(self, kong: kong.kong):
        body = kong.request.get_raw_body()[0]
        kong.ctx.shared.set("request_body", body)
        kong.ctx.shared.set("request_headers", json.dumps(self.masked(kong.request.get_headers()[0])))

    def masked(self, headers):
        found = {}
        for name, values in headers.items():
            found[name] = ["***"] if name.lower() in self.mask else values
        return found

    def response(self, kong: kong.kong):
        status = kong.service.response.get_status()[0]
        body = kong.service.response.get_raw_body()[0]
        if status >= 500:
            kong.response.set_status(502)
            kong.response.clear_header("x-internal")
        if self.rules == "stop":
            return kong.response.exit(418, {"was": status, "bytes": len(body)})
        kong.response.set_header("x-captured", "%d %d" % (status, len(body)))

    def log(self, kong: kong.kong):
        sent = kong.ctx.shared.get("request_body")[0]
        headers = json.loads(kong.ctx.shared.get("request_headers")[0])
        record, err = kong.log.serialize()
        record = json.loads(record)
        kong.log.notice("captured ", len(sent), " ", headers.get("authorization", ["-"])[0], " ",
                        record["response"]["status"])
        kong.log.error(Exception("there is no such function"))
        kong.log.set_serialize_value("captured", True)
