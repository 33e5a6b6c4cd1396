"""Kong's entities, as far as the PDK shows them to a plugin.

Rules kept here:

* which fields an entity has depends on Kong's version and edition: a field that is not known here is
  kept in :attr:`Entity.extra` and goes back to Kong with the rest;
* Lua has one kind of table: an empty list where a map belongs is an empty map, an empty map where a
  list belongs is an empty list;
* a number that Lua sent as a float although it is an integer is an integer here;
* ids are text, times are integers, in seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, TypeVar

import attrs

E = TypeVar("E", bound="Entity")


def whole(value: Any) -> Any:
    """A float that is an integer, as one; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_list(value: Any) -> list[Any]:
    """A list that came from Lua, where an empty one may be a map, or nothing at all."""
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value or ())


def as_map(value: Any) -> dict[Any, Any]:
    """A map that came from Lua, where one with the keys 1 to n, or an empty one, is a list."""
    if isinstance(value, Mapping):
        return dict(value)
    return dict(enumerate(value or (), 1))


@attrs.define(kw_only=True)
class Entity:
    """What all entities have in common."""

    extra: dict[str, Any] = attrs.field(factory=dict)
    """The fields that are not known here, as Kong sent them."""

    @classmethod
    def from_kong(cls: type[E], data: Any) -> E | None:
        """Make an entity of what Kong sent.

        :param data: a map, or an empty list for an empty map.
        :returns: the entity, None for None.
        """
        if data is None:
            return None
        known = attrs.fields_dict(cls)
        values: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for name, value in as_map(data).items():
            (values if name in known and name != "extra" else extra)[name] = value
        return cls(**values, extra=extra)

    def to_kong(self) -> dict[str, Any]:
        """The map that Kong takes; fields that are None are left out."""
        data = dict(self.extra)
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if field.name != "extra" and value is not None:
                data[field.name] = value.to_kong() if isinstance(value, Entity) else value
        return data


def _optional_list(value: Any) -> list[Any] | None:
    return None if value is None else as_list(value)


def _optional_map(value: Any) -> dict[Any, Any] | None:
    return None if value is None else as_map(value)


def _entity(cls: type[E], value: Any) -> E | None:
    return value if isinstance(value, cls) else cls.from_kong(value)


@attrs.define(kw_only=True)
class Stored(Entity):
    """An entity of Kong's database."""

    id: str | None = None
    """A UUID."""
    tags: list[str] | None = attrs.field(default=None, converter=_optional_list)
    created_at: int | None = attrs.field(default=None, converter=whole)
    """Seconds since the epoch."""
    updated_at: int | None = attrs.field(default=None, converter=whole)
    """Seconds since the epoch."""

    @property
    def created(self) -> datetime | None:
        """When the entity was created, in UTC."""
        return _time(self.created_at)

    @property
    def updated(self) -> datetime | None:
        """When the entity was last changed, in UTC."""
        return _time(self.updated_at)


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


def _stored(value: Any) -> Stored | None:
    return _entity(Stored, value)


@attrs.define(kw_only=True)
class Service(Stored):
    """A service: where Kong sends a request to.

    :param connect_timeout: in milliseconds, like ``read_timeout`` and ``write_timeout``.
    :param client_certificate: the entity, with its id only.
    :param ca_certificates: the ids of certificates.
    """

    name: str | None = None
    protocol: str | None = None
    host: str | None = None
    port: int | None = attrs.field(default=None, converter=whole)
    path: str | None = None
    retries: int | None = attrs.field(default=None, converter=whole)
    connect_timeout: int | None = attrs.field(default=None, converter=whole)
    write_timeout: int | None = attrs.field(default=None, converter=whole)
    read_timeout: int | None = attrs.field(default=None, converter=whole)
    enabled: bool | None = None
    tls_verify: bool | None = None
    tls_verify_depth: int | None = attrs.field(default=None, converter=whole)
    client_certificate: Stored | None = attrs.field(default=None, converter=_stored)
    ca_certificates: list[str] | None = attrs.field(default=None, converter=_optional_list)


def _service(value: Any) -> Service | None:
    return _entity(Service, value)


@attrs.define(kw_only=True)
class Route(Stored):
    """A route: which requests go to a service, and how.

    :param headers: header names with the values that match.
    :param sources: maps with ``ip`` and ``port``, for stream routes; like ``destinations``.
    :param service: the service, with its id only.
    """

    name: str | None = None
    protocols: list[str] | None = attrs.field(default=None, converter=_optional_list)
    methods: list[str] | None = attrs.field(default=None, converter=_optional_list)
    hosts: list[str] | None = attrs.field(default=None, converter=_optional_list)
    paths: list[str] | None = attrs.field(default=None, converter=_optional_list)
    headers: dict[str, list[str]] | None = attrs.field(default=None, converter=_optional_map)
    snis: list[str] | None = attrs.field(default=None, converter=_optional_list)
    sources: list[dict[str, Any]] | None = attrs.field(default=None, converter=_optional_list)
    destinations: list[dict[str, Any]] | None = attrs.field(default=None, converter=_optional_list)
    https_redirect_status_code: int | None = attrs.field(default=None, converter=whole)
    regex_priority: int | None = attrs.field(default=None, converter=whole)
    path_handling: str | None = None
    strip_path: bool | None = None
    preserve_host: bool | None = None
    request_buffering: bool | None = None
    response_buffering: bool | None = None
    expression: str | None = None
    priority: int | None = attrs.field(default=None, converter=whole)
    service: Service | None = attrs.field(default=None, converter=_service)


@attrs.define(kw_only=True)
class Consumer(Stored):
    """A consumer: who sends requests."""

    username: str | None = None
    custom_id: str | None = None


def _consumer(value: Any) -> Consumer | None:
    return _entity(Consumer, value)


@attrs.define(kw_only=True)
class Credential(Stored):
    """What a consumer was authenticated with.

    Its other fields depend on the plugin that authenticates: ``key`` for key-auth, ``username`` for
    basic-auth.  They are in :attr:`~Entity.extra`.

    :param consumer: the consumer, with its id only.
    """

    consumer_id: str | None = None
    consumer: Consumer | None = attrs.field(default=None, converter=_consumer)


@attrs.define(kw_only=True)
class SharedDict(Entity):
    """The memory of one of nginx's shared dictionaries.

    The numbers are integers, in bytes; in another unit they are texts, such as ``"12.00 KiB"``.
    """

    capacity: int | str | None = attrs.field(default=None, converter=whole)
    allocated_slabs: int | str | None = attrs.field(default=None, converter=whole)


@attrs.define(kw_only=True)
class WorkerVM(Entity):
    """The memory of the Lua of one nginx worker.

    :param http_allocated_gc: an integer, in bytes; in another unit a text.
    :param err: why Kong could not find it out.
    """

    pid: int | None = attrs.field(default=None, converter=whole)
    http_allocated_gc: int | str | None = attrs.field(default=None, converter=whole)
    err: str | None = None


def _dicts(value: Any) -> dict[str, SharedDict]:
    return {
        name: _entity(SharedDict, item) or SharedDict() for name, item in as_map(value).items()
    }


def _workers(value: Any) -> list[WorkerVM]:
    return [_entity(WorkerVM, item) or WorkerVM() for item in as_list(value)]


@attrs.define(kw_only=True)
class MemoryStats(Entity):
    """The memory that a Kong node uses."""

    lua_shared_dicts: dict[str, SharedDict] = attrs.field(factory=dict, converter=_dicts)
    workers_lua_vms: list[WorkerVM] = attrs.field(factory=list, converter=_workers)
