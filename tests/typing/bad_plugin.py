"""A mistake a line, each with what mypy must say about it."""

from datetime import datetime

from pluginserver import Kong


class Plugin:
    def access(self, kong: Kong) -> None:
        kong.request.get_header(5)  # error: arg-type
        kong.request.get_header()  # error: call-arg
        kong.request.get_header("a", "b")  # error: call-arg
        kong.request.get_haeder("a")  # error: attr-defined
        kong.request.get_header("a").lower()  # error: union-attr
        kong.request.get_query(max_arguments=5)  # error: call-arg
        kong.response.set_header("x", None)  # error: arg-type
        kong.response.set_header("x", datetime.now())  # error: arg-type
        kong.response.set_header("x", {"a": "b"})  # error: arg-type
        kong.response.set_status("200")  # error: arg-type
        kong.service.set_target("host")  # error: call-arg
        kong.service.set_timeouts(1, 2)  # error: call-arg
        kong.service.request.set_query("a=1")  # error: arg-type
        kong.log.set_serialize_value("k", 1, mode="put")  # error: arg-type
        kong.ctx.shared.set("k", {1, 2})  # error: arg-type
        kong.client.authenticate(None)  # error: call-overload
        consumer = kong.client.get_consumer()
        kong.log(consumer.username)  # error: union-attr
        host: int = kong.request.get_host()  # error: assignment
        kong.log(host)
        kong.response.exit("401")  # error: arg-type

    def rewrite(self, kong: Kong) -> None:
        kong.response.exit(200, 5)  # error: arg-type

    def response(self, kong: Kong) -> str:
        kong.response.exit(200, headers=[("a", "b")])  # error: arg-type
