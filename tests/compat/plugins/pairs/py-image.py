#!/usr/bin/env python3
import os
import kong_pdk.pdk.kong as kong

Schema = (
    {"path": {"type": "string", "default": "/logo"}},
    {"tint": {"type": "string"}},
)

version = '0.1.0'
priority = 100

# A GIF of one pixel; bytes that are no text at all.
PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00"
    b"!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00"
    b"\x00\x02\x02D\x01\x00;"
)


class Plugin(object):
    def __init__(self, config):
        self.config = config

    def access(self, kong: kong.kong):
        path, err = kong.request.get_path()
        if err is not None:
            return kong.response.exit(500, "no path: " + err)
        if path != self.config["path"]:
            return
        host, err = kong.request.get_header("host")
        if err:
            pass
        accept, _ = kong.request.get_header("accept")
        if accept and "image" not in accept and "*/*" not in accept:
            return kong.response.exit(406, {"message": "only images here"})
        tint = self.config.get("tint")
        headers = {
            "Content-Type": "image/gif",
            "X-Host": host,
            "X-Files": [os.path.basename(path), "pixel"],
        }
        if tint:
            headers["X-Tint"] = tint
        kong.response.exit(200, PIXEL, headers)
        # kong-pdk comes here, and whatever is called is lost
        kong.response.set_header("X-Never", "1")
        raise RuntimeError("not reached")
