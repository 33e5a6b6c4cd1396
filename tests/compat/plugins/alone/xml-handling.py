import xml.etree.ElementTree as ElementTree

import kong_pdk.pdk.kong as kong

Schema = (
    {"root": {"type": "string", "default": "order"}},
    {"max_size": {"type": "integer", "default": 200}},
)
version = '0.1.0'
priority = 50


class Plugin(object):
    def __init__(self, config):
        self.config = config

    def access(self, kong: kong.kong):
        kind = kong.request.get_header("content-type")
        if kind != "application/xml":
            kong.log.info("passed on: ", kind)
            return
        body = kong.request.get_raw_body()
        if len(body) > self.config["max_size"]:
            return kong.response.exit(413, "too large: {}".format(len(body)))
        try:
            tree = ElementTree.fromstring(body)
        except ElementTree.ParseError as ex:
            return kong.response.exit(400, {"message": "no XML", "line": ex.position[0]})
        if tree.tag != self.config["root"]:
            return kong.response.exit(422, {"message": "root is " + tree.tag})
        ElementTree.SubElement(tree, "seen").text = "kong"
        changed = ElementTree.tostring(tree)
        kong.service.request.set_raw_body(changed)
        kong.service.request.set_header("X-Children", len(tree))
        kong.service.request.set_method("PUT")
        kong.service.request.set_path("/orders")
        kong.service.request.set_query({"from": "kong", "tags": ["a", "b"]})

    def response(self, kong: kong.kong):
        headers = kong.response.get_headers()
        kong.response.set_header("X-Names", ",".join(sorted(headers)[:1]))
        kong.response.add_header("X-Source", kong.response.get_source())
