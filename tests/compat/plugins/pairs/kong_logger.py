import kong_pdk.pdk.kong as kong
from kong_pdk.exception import PDKException

Schema = (
    {"channel": {"type": "string", "required": True}},
    {"sample": {"type": "integer", "default": 1}},
)
version = "0.1.0"
priority = 12


def safeiter(value):
    """Whatever the server gives, a pair or not, something that can be indexed."""
    if value is None:
        return [None]
    if isinstance(value, (tuple, list)):
        return value
    return [value]


class Plugin(object):
    def __init__(self, config):
        self.config = config
        self.count = 0

    def access(self, kong: kong.kong):
        method = safeiter(kong.request.get_method())[0]
        path = safeiter(kong.request.get_path())[0]
        self.count += 1
        if self.count % int(self.config.get("sample") or 1) != 0:
            kong.log.debug("skipped ", method, " ", path)
            return
        kong.log.notice("[", self.config["channel"], "] ", method, " ", path)
        kong.ctx.shared.set("logged", True)

    def log(self, kong: kong.kong):
        logged, err = kong.ctx.shared.get("logged")
        if err:
            kong.log.err("cannot read the context: ", err)
            return
        if not logged:
            return
        try:
            status = safeiter(kong.response.get_status())[0]
            size = safeiter(kong.response.get_header("Content-Length"))[0]
            kong.log.info(status, " ", size, " ", 1.5, " ", None, " ", True)
        except PDKException as ex:
            kong.log.err("failed: ", ex)
