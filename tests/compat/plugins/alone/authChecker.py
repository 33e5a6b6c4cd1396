import base64

import kong_pdk.pdk.kong as kong
from kong_pdk.exception import PDKException

Schema = (
    {"users": {"type": "map", "keys": {"type": "string"}, "values": {"type": "string"},
               "default": {"alice": "secret"}}},
    {"realm": {"type": "string", "default": "kong"}},
)
version = '1.1.0'
priority = 2000


class Plugin(object):
    def __init__(self, config):
        self.config = config

    def deny(self, kong, status, text):
        kong.response.set_header("WWW-Authenticate", 'Basic realm="%s"' % self.config["realm"])
        return kong.response.exit(status, {"message": text})

    def access(self, kong: kong.kong):
        header = kong.request.get_header("Authorization")
        if header is None:
            return self.deny(kong, 401, "who are you?")
        try:
            user, _, password = base64.b64decode(header[len("Basic "):]).decode().partition(":")
        except Exception as ex:
            kong.log.warn("bad header: ", ex)
            return self.deny(kong, 400, "bad header")
        try:
            consumer = kong.client.load_consumer(user, True)
        except PDKException as ex:
            kong.log.err(ex)
            return kong.response.exit(500, str(ex))
        if self.config["users"].get(user) != password:
            return self.deny(kong, 403, "%s may not %s" % (user, kong.request.get_method))
        if consumer is None:
            kong.response.error(404, "no consumer")
        kong.client.authenticate(consumer)
        kong.service.request.set_header("X-User", consumer["username"])
        kong.service.request.clear_header("Authorization")
