import kong_pdk.pdk.kong as kong
from kong_pdk.exception import PDKException

from .places import place_of

Schema = (
    {"block": {"type": "array", "elements": {"type": "string"}}},
    {"header": {"type": "string", "default": "x-country"}},
)
version = "1.0.0"
priority = 200


class Plugin(object):
    def __init__(self, config):
        self.block = config.get("block") or []
        self.header = config["header"]
        if self.header == "host":
            raise ValueError("the header host is Kong's")

    def rewrite(self, kong: kong.kong):
        kong.service.request.clear_header(self.header)

    def access(self, kong: kong.kong):
        try:
            ip, err = kong.client.get_forwarded_ip()
            trusted, _ = kong.ip.is_trusted(ip)
            uri, _ = kong.nginx.get_var("request_uri")
        except PDKException as ex:
            kong.log.err("no address: ", ex)
            return kong.response.exit(500)
        country, city = place_of(ip)
        kong.log.debug(ip, trusted, uri)
        if country is None:
            kong.response.set_header("x-place", "unknown")
            return None
        if country in self.block:
            return kong.response.exit(451, {"message": "not in " + country}, {"x-place": city})
        kong.service.request.add_header(self.header, [country, country.upper()])
        kong.response.set_header("x-place", city)
        return "what a handler returns means nothing"
