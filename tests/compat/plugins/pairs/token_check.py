import os

import kong_pdk.pdk.kong as kong
from helper_for_tokens import strip_scheme

Schema = (
    {"anonymous": {"type": "boolean", "default": False}},
)
version = "0.2.0"
priority = 1000

TOKEN = os.environ.get("SERVICE_TOKEN")


class Plugin(object):
    def __init__(self, config):
        self.config = config
        if not TOKEN:
            raise Exception("SERVICE_TOKEN is not set")

    def rewrite(self, kong: kong.kong):
        kong.nginx.set_ctx("began", "here")
        kong.service.request.clear_header("x-verified")

    def access(self, kong: kong.kong):
        began, _ = kong.nginx.get_ctx("began")
        kong.log("began: %s" % began)
        header = kong.request.get_header("authorization")
        token = strip_scheme(header[0])
        if token is None:
            if self.config["anonymous"]:
                kong.service.request.set_header("x-verified", "anonymous")
                return
            return kong.response.exit(401, {"message": "no token"}, {"WWW-Authenticate": "Bearer"})
        if token == "crash":
            raise ValueError("a bug of the author's")
        if token != TOKEN:
            return kong.response.exit(403)
        query, _ = kong.request.get_query()
        if "debug" in query:
            kong.log.warn(query)
        service, _ = kong.router.get_service()
        route, _ = kong.router.get_route()
        kong.service.request.set_headers({
            "x-verified": "yes",
            "x-service": service["name"],
            "x-route": route.get("name"),
        })
