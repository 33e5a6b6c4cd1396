"""Let callers in who show an API key, and tell the upstream who they are.

Shows: reading headers, answering the client with ``exit``, naming the consumer, a secret in the
configuration.
"""

import attrs

from pluginserver import Kong, attributes

version = "1.0.0"
priority = 1250


@attrs.define
class Key:
    """One key, and whose it is."""

    key: str = attrs.field(
        metadata=attributes(
            description="The key that the caller shows.", referenceable=True, encrypted=True
        )
    )
    consumer: str = attrs.field(
        metadata=attributes(description="The id or name of the consumer that it belongs to.")
    )


@attrs.define
class Plugin:
    """Answers 401 without a key, and 403 with a wrong one."""

    keys: list[Key] = attrs.field(
        metadata=attributes(description="The keys that are let in.", len_min=1)
    )
    header: str = attrs.field(
        default="x-api-key",
        metadata=attributes(description="The header in which the key is looked for."),
    )
    hide_key: bool = attrs.field(
        default=True, metadata=attributes(description="Keep the key from the upstream.")
    )
    _consumers: dict[str, str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._consumers = {entry.key: entry.consumer for entry in self.keys}

    def access(self, kong: Kong) -> None:
        key = kong.request.get_header(self.header)
        if not key:
            kong.response.exit(
                401,
                {"message": "No API key found in the request"},
                {"WWW-Authenticate": f'Key realm="{self.header}"'},
            )
        name = self._consumers.get(key)
        if name is None:
            kong.log.notice("an unknown API key was refused")
            kong.response.exit(403, {"message": "Invalid API key"})
        consumer = kong.client.load_consumer(name, True)
        if consumer is None:
            kong.log.err(f"the API key belongs to the consumer {name}, whom Kong does not know")
            kong.response.exit(403, {"message": "Invalid API key"})
        kong.client.authenticate(consumer)
        kong.service.request.set_header("x-consumer-id", consumer.id or "")
        kong.service.request.set_header("x-consumer-username", consumer.username or "")
        if self.hide_key:
            kong.service.request.clear_header(self.header)
