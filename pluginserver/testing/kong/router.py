"""What a Kong administrator sets up: routes, services, consumers, and plugins on them; the router.

Rules kept here:

* an entity's ``data`` is the map that Kong's PDK hands out, with Kong's defaults for what is not given;
* of several configurations of one plugin one applies to a request: the most specific (:func:`rank`);
* of several routes that match, the one with the most criteria wins, then the longest path.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Mapping
from typing import Any, Final, Protocol
from uuid import uuid4

import attrs

from ..transports.base import PluginInfo, Source
from .configuration import complete, config_record
from .messages import Request
from .secrets import resolved, secret

_numbers = itertools.count(1)
_RESERVED: Final = frozenset(b"!*'();:@&=+$,/?%#[]")

SERVICE_DEFAULTS: Final[dict[str, Any]] = {
    "protocol": "http",
    "port": 80,
    "retries": 5,
    "connect_timeout": 60000,
    "write_timeout": 60000,
    "read_timeout": 60000,
    "enabled": True,
}
ROUTE_DEFAULTS: Final[dict[str, Any]] = {
    "protocols": ["http", "https"],
    "strip_path": True,
    "preserve_host": False,
    "regex_priority": 0,
    "https_redirect_status_code": 426,
    "path_handling": "v0",
    "request_buffering": True,
    "response_buffering": True,
}


class Administration(Protocol):
    """What entities and bindings ask of the gateway on which they are set up."""

    @property
    def workspace_id(self) -> str:
        """The id of the workspace that everything is in."""

    @property
    def secrets(self) -> Mapping[str, str]:
        """The secrets by name."""

    def bind(
        self,
        source: Source,
        config: Mapping[str, Any] | None = None,
        *,
        route: Entity | None = None,
        service: Entity | None = None,
        consumer: Entity | None = None,
    ) -> Binding:
        """Put a plugin on any combination of route, service and consumer."""

    def unbind(self, binding: Binding) -> None:
        """Take a plugin off; its instance is closed."""


@attrs.define(eq=False)
class Entity:
    """A route, a service or a consumer.

    :param gateway: whose it is.
    :param kind: ``"route"``, ``"service"`` or ``"consumer"``.
    :param data: the entity as Kong has it; may be changed between requests.
    """

    gateway: Administration = attrs.field(repr=False)
    kind: str
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.data["id"])

    def plugin(self, source: Source, /, **config: Any) -> Binding:
        """Put a plugin on this entity: see :meth:`Gateway.plugin`."""
        return self.gateway.bind(source, config, **{self.kind: self})


def make(
    gateway: Administration, kind: str, defaults: dict[str, Any], given: dict[str, Any]
) -> Entity:
    """A new entity with what was given, and Kong's defaults for the rest."""
    now = int(time.time())
    data = {
        "id": str(uuid4()),
        "created_at": now,
        "updated_at": now,
        "ws_id": gateway.workspace_id,
        **json.loads(json.dumps(defaults)),
        **given,
    }
    return Entity(gateway, kind, data)


@attrs.define(eq=False)
class Binding:
    """A plugin put on the gateway, a route, a service or a consumer, with its configuration.

    :param gateway: whose it is.
    :param info: what the plugin server says of the plugin.
    :param config: the configuration, complete with the schema's defaults.
    :param route: the route that it is bound to; None for any.
    :param service: the service that it is bound to; None for any.
    :param consumer: the consumer that it is bound to; None for any.
    :param enabled: whether it applies to requests at all.
    """

    gateway: Administration = attrs.field(repr=False)
    info: PluginInfo
    config: dict[str, Any]
    route: Entity | None = None
    service: Entity | None = None
    consumer: Entity | None = None
    enabled: bool = True
    id: str = attrs.field(factory=lambda: str(uuid4()))
    sequence: int = attrs.field(factory=lambda: next(_numbers))

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.info.name

    @property
    def scope(self) -> tuple[Entity | None, Entity | None, Entity | None]:
        """What it is bound to: route, service, consumer."""
        return self.route, self.service, self.consumer

    @property
    def is_global(self) -> bool:
        """Whether it applies to every request."""
        return self.scope == (None, None, None)

    def configure(self, **config: Any) -> None:
        """Give it another configuration; its instances are started again with the next request.

        :raises GatewayError: when the configuration does not fit the plugin's schema.
        """
        self.config = complete(self.info, config)
        self.sequence = next(_numbers)

    def remove(self) -> None:
        """Take it off; its instance is closed."""
        self.gateway.unbind(self)

    def config_json(self) -> str:
        """The text that ``StartInstance`` carries: the configuration and Kong's own keys."""
        ids = {
            kind: entity.id if entity else ""
            for kind, entity in zip(("route", "service", "consumer"), self.scope, strict=True)
        }
        workspace = self.gateway.workspace_id
        own = {
            **self.with_secrets(),
            "__seq__": self.sequence,
            "__key__": ":".join(("plugins", self.name, *ids.values(), "", workspace)),
            "__ws_id": workspace,
            "__plugin_id": self.id,
        }
        own.update({f"{kind}_id": value for kind, value in ids.items() if value})
        return json.dumps(own, separators=(",", ":"), ensure_ascii=False)

    def with_secrets(self) -> dict[str, Any]:
        """The configuration with what its references name, as an instance gets it."""
        record = config_record(self.info.schema) or {}
        return resolved(record, self.config, lambda one: secret(self.gateway.secrets, one))


def rank(binding: Binding) -> int:
    """How specific a binding is: the consumer weighs most, then the route, then the service."""
    route, service, consumer = (entity is not None for entity in binding.scope)
    return 4 * consumer + 2 * route + service + (route + service + consumer) * 8


@attrs.frozen
class Match:
    """A route that a request matched.

    :param route: the route.
    :param prefix: the part of the path that matched; None when the route names no paths.
    :param captures: what a regex path captured, by number and by name.
    """

    route: Entity
    prefix: str | None
    captures: dict[int | str, str]


def find_route(routes: list[Entity], request: Request) -> Match | None:
    """The route for a request, None when there is none."""
    best: tuple[tuple[int, int, int, int], Match] | None = None
    path = normalize(request.path)
    for route in routes:
        data = route.data
        if request.scheme not in data["protocols"]:
            continue
        if data.get("methods") and request.method not in data["methods"]:
            continue
        if data.get("hosts") and not any(_host_fits(one, request.host) for one in data["hosts"]):
            continue
        if not _headers_fit(data.get("headers") or {}, request):
            continue
        given = sum(1 for what in ("methods", "hosts", "headers", "paths") if data.get(what))
        for score, match in _paths(route, path):
            if best is None or (given, *score) > best[0]:
                best = (given, *score), match
    return best[1] if best else None


def _paths(route: Entity, path: str) -> list[tuple[tuple[int, int, int], Match]]:
    paths = route.data.get("paths")
    if not paths:
        return [((0, 0, 0), Match(route, None, {}))]
    out = []
    for one in paths:
        if one.startswith("~"):
            found = re.match(re.sub(r"\(\?<(?![=!])", "(?P<", one[1:]), path)
            if found:
                captures: dict[int | str, str] = {
                    number: text or "" for number, text in enumerate(found.groups(), 1)
                }
                captures.update({name: text or "" for name, text in found.groupdict().items()})
                priority = int(route.data["regex_priority"])
                out.append(((1, priority, len(one)), Match(route, found[0], captures)))
        elif path.startswith(one):
            out.append(((0, 0, len(one)), Match(route, one, {})))
    return out


def _host_fits(pattern: str, host: str) -> bool:
    pattern = pattern.partition(":")[0].lower()
    if pattern.startswith("*"):
        return host.endswith(pattern[1:])
    if pattern.endswith("*"):
        return host.startswith(pattern[:-1])
    return host == pattern


def _headers_fit(wanted: dict[str, list[str]], request: Request) -> bool:
    return all(
        any(value in values for value in request.headers.all(name))
        for name, values in wanted.items()
    )


def upstream_path(
    base: str, prefix: str | None, strip: bool, path: str, handling: str = "v0"
) -> str:
    """The path that the service gets.

    :param base: the service's own path, ``/`` when it has none.
    :param prefix: the part of the request's path that matched the route.
    :param strip: whether that part is taken off.
    :param path: the request's path as sent.
    :param handling: ``"v0"`` has one slash between the service's path and the rest, ``"v1"`` what there is;
        as Kong 3.9, ``get_upstream_uri_v0`` and what stands beside it in ``kong/router/traditional.lua``.
    """
    matched = strip and prefix and path.startswith(prefix)
    stripped = path[len(prefix or "") if matched else 1 :]
    rest = stripped.removeprefix("/")
    if handling == "v1":
        return base + (rest if base.endswith("/") else stripped)
    if base.endswith("/"):
        return base + rest if rest or path.endswith("/") or base == "/" else base[:-1]
    return f"{base}/{rest}" if rest or (path.endswith("/") and path != "/") else base


def normalize(path: str) -> str:
    """A path as Kong normalises it: decoded but for reserved characters, dots and slashes settled."""
    decoded = re.sub(
        rb"%([0-9A-Fa-f]{2})", _decode_one, path.encode("utf-8", "surrogateescape")
    ).decode("utf-8", "surrogateescape")
    out: list[str] = []
    parts = re.sub("/+", "/", decoded).split("/")[1:]
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if part == "..":
            out = out[:-1]
        elif part != ".":
            out.append(part)
            continue
        if last:
            out.append("")
    return "/" + "/".join(out)


def _decode_one(match: re.Match[bytes]) -> bytes:
    byte = int(match[1], 16)
    return match[0].upper() if byte in _RESERVED else bytes((byte,))
