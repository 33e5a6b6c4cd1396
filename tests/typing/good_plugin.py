"""A plugin without a mistake: nothing to complain of."""

import attrs

from pluginserver import Kong
from pluginserver.spec.entities import Consumer
from pluginserver.spec.multimap import Headers


@attrs.define
class Refusal:
    message: str


@attrs.define
class Plugin:
    realm: str = "api"

    def access(self, kong: Kong) -> None:
        headers: Headers = kong.request.get_headers()
        key = headers.get("x-api-key") or kong.request.get_query_arg("key")
        if key is None or key is True:
            kong.response.exit(
                401,
                Refusal("No API key"),
                headers={"WWW-Authenticate": f'Key realm="{self.realm}"', "X-Left": [1, 2]},
            )
        consumer: Consumer | None = kong.client.load_consumer(key, search_by_username=True)
        if consumer is None:
            kong.response.error(403, "Unknown key", headers)
        kong.client.authenticate(consumer)
        kong.ctx.shared["consumer"] = consumer.username
        kong.service.request.set_headers({"x-consumer": consumer.id or "", "x-raw": b"\xff"})
        kong.log.info("seen", consumer, exc_info=True)
        kong.service.request.set_query({"a": "1", "b": True, "c": ["x", True]})
        path: str = kong.request.get_path()
        status: int = kong.response.get_status()
        body: bytes = kong.request.get_raw_body()
        kong.log(path, status, body)
