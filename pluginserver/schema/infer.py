"""The schema of a plugin's configuration, inferred from its attrs class.

Rules kept here:

* a field without a default is ``required``, unless it may be None; a default is told to Kong as JSON,
  and one that needs the object itself (``takes_self``) or is None is not told;
* a str field whose default is empty says ``len_min = 0``, without which Kong refuses empty strings;
* what an author writes about a field (:func:`attributes`) comes before what is inferred;
* every schema, inferred or given, is judged as Kong would (:mod:`pluginserver.spec.metaschema`) before
  anybody sees it: a bad one stops Kong.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Any, Final

import attrs

from ..errors import SchemaError
from ..spec.limits import EXACT
from ..spec.metaschema import check_field, check_fields
from ..spec.wording import describe_error, safe_repr
from .annotations import ATTRIBUTES_KEY, Attributes, Field, FieldType, fields_of, parse

PROTOCOLS: Final = (
    "grpc",
    "grpcs",
    "http",
    "https",
    "tcp",
    "tls",
    "tls_passthrough",
    "udp",
    "ws",
    "wss",
)
"""The protocols that Kong knows."""

RESTRICTIONS: Final = {
    "no_consumer": ("consumer", "consumers"),
    "no_route": ("route", "routes"),
    "no_service": ("service", "services"),
}
"""A module's name that forbids an entity: Kong's field, and what it refers to."""


def attributes(
    *,
    name: str | None = None,
    description: str | None = None,
    examples: Sequence[Any] | None = None,
    required: bool | None = None,
    one_of: Collection[Any] | None = None,
    not_one_of: Collection[Any] | None = None,
    between: tuple[float, float] | None = None,
    gt: float | None = None,
    ne: Any = None,
    len_eq: int | None = None,
    len_min: int | None = None,
    len_max: int | None = None,
    match: str | None = None,
    not_match: str | None = None,
    match_all: Sequence[Mapping[str, str]] | None = None,
    match_none: Sequence[Mapping[str, str]] | None = None,
    match_any: Mapping[str, Any] | None = None,
    starts_with: str | None = None,
    contains: Any = None,
    is_regex: bool | None = None,
    timestamp: bool | None = None,
    uuid: bool | None = None,
    mutually_exclusive_subsets: Sequence[Sequence[str]] | None = None,
    unique: bool | None = None,
    immutable: bool | None = None,
    referenceable: bool | None = None,
    encrypted: bool | None = None,
    err: str | None = None,
    deprecation: Mapping[str, Any] | None = None,
    json_schema: Mapping[str, Any] | None = None,
    entity_checks: Sequence[Mapping[str, Any]] | None = None,
) -> Attributes:
    """Kong's attributes of a config field, as metadata for ``attrs.field``, or inside ``Annotated``::

        limit: int = attrs.field(default=60, metadata=attributes(between=(1, 1000)))
        hosts: list[Annotated[str, attributes(starts_with="www.")]] = attrs.field(factory=list)

    The names are Kong's (``kong/db/schema/metaschema.lua``); what is not given is left out.  They are
    checked against the field's type when the plugin is loaded.

    :param name: the field's name in Kong, where it is no name in Python, such as ``"max-age"``.
    :param description: what the field is for, 10 to 500 characters; Kong 3.4 and later.
    :param examples: values for the documentation; Kong 3.6 and later.
    :param required: whether Kong refuses a null; by default, whether the field has no default.
    :param one_of: the only values; better a ``Literal`` or an ``Enum``.
    :param not_one_of: values that are refused.
    :param between: smallest and largest number.
    :param gt: the number must be greater.
    :param ne: a value that is refused.
    :param len_eq: the exact length of a string in bytes, or of a list or map.
    :param len_min: the smallest length; 0 lets a string be empty, which Kong refuses by default.
    :param len_max: the largest length.
    :param match: a Lua pattern, no regular expression, that the string must match.
    :param not_match: a Lua pattern that it must not match.
    :param match_all: maps of ``pattern`` and ``err``; all must match.
    :param match_none: maps of ``pattern`` and ``err``; none may match.
    :param match_any: a map of ``patterns`` (a list, of which one must match) and ``err``.
    :param starts_with: how the string must begin.
    :param contains: a value that the list must hold.
    :param is_regex: the string must be a regular expression, as PCRE has them.
    :param timestamp: the number must be a timestamp.
    :param uuid: the string must be a UUID.
    :param mutually_exclusive_subsets: lists of values, of which a set may hold only those of one.
    :param unique: no two entities have the same value.
    :param immutable: the value can be set once.
    :param referenceable: the string may be a reference to a vault, ``{vault://...}``.
    :param encrypted: Kong Enterprise keeps the value encrypted in its database.
    :param err: the error text for a value that breaks a rule.
    :param deprecation: a map of ``message``, ``removal_in_version`` and ``old_default``; Kong 3.7 and later.
    :param json_schema: the JSON schema (draft 4) of a field of type ``Any`` or ``dict``:
        ``{"inline": {...}}``.
    :param entity_checks: checks between the fields of a record: ``[{"at_least_one_of": ["a", "b"]}]``.
    :returns: a mapping; more metadata can be added with ``{**attributes(...), "mine": 1}``.
    """
    given = {key: value for key, value in locals().items() if value is not None}
    return Attributes({ATTRIBUTES_KEY: given})


def infer(cls: type, path: str = "config") -> list[dict[str, Any]]:
    """The fields of a config class, as Kong's schemas have them.

    :param cls: an attrs class.
    :param path: its place, for errors.
    :returns: maps with one key, the field's name in Kong, and its attributes.
    :raises SchemaError: for a field that Kong cannot express; the text names it.
    """
    return _record(cls, path, ())


def plugin_schema(name: str, fields: object, module: Mapping[str, Any]) -> dict[str, Any]:
    """The whole schema of a plugin, as ``GetPluginInfo`` and the dumps show it.

    :param name: the plugin's name.
    :param fields: the fields of its configuration, a list of one-key maps.
    :param module: the plugin module's names; used are ``protocols`` (what the plugin works for, such as
        ``["http", "https"]``), ``no_consumer``, ``no_route`` and ``no_service`` (true: it cannot be
        bound to one) and ``entity_checks`` (between fields of the configuration).
    :returns: ``{"name": name, "fields": [{"config": {...}}, ...]}``.
    :raises SchemaError: when Kong would refuse it.
    :raises TypeError: when it holds what JSON cannot hold.
    """
    config: dict[str, Any] = {"type": "record", "fields": jsonable(fields)}
    if module.get("entity_checks"):
        config["entity_checks"] = jsonable(module["entity_checks"])
    check_field(config, "config")
    schema: list[dict[str, Any]] = [{"config": config}]
    for switch, (field, reference) in RESTRICTIONS.items():
        if module.get(switch):
            schema.append({field: {"type": "foreign", "reference": reference, "eq": None}})
    if module.get("protocols"):
        schema.append({"protocols": _protocols(module["protocols"])})
    check_fields(schema, "")
    return {"name": name, "fields": schema}


def jsonable(value: Any, lenient: bool = False) -> Any:
    """A Python value as JSON has it: enums as their values, sets and tuples as lists, attrs as maps.

    :param lenient: show what JSON cannot hold as its ``repr``, and a lone surrogate escaped, instead of
        raising.
    :raises TypeError: for a value that JSON or Kong's numbers cannot hold.
    """
    match value:
        case Enum():
            return jsonable(value.value, lenient)
        case str() if not _is_text(value, lenient):
            if lenient:
                return value.encode("utf-8", "backslashreplace").decode()
            raise TypeError(f"{value!a} holds a lone surrogate, which is not text")
        case None | bool() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case int() if abs(value) <= EXACT:
            return value
        case Mapping():
            return {
                str(jsonable(key, lenient)): jsonable(inner, lenient)
                for key, inner in dict(value).items()
            }
        case list() | tuple():
            return [jsonable(inner, lenient) for inner in list(value)]
        case set() | frozenset():
            return sorted((jsonable(inner, lenient) for inner in list(value)), key=repr)
    if attrs.has(type(value)):
        return {
            name: inner
            for name, inner in public_values(value, lenient).items()
            if inner is not None or lenient
        }
    if lenient:
        return safe_repr(value)
    raise TypeError(f"{value!r} cannot be told to Kong")


def _is_text(value: str, lenient: bool) -> bool:
    """Whether UTF-8 has it; leniently also with surrogates that stand for other bytes."""
    try:
        value.encode("utf-8", "surrogateescape" if lenient else "strict")
    except UnicodeEncodeError:
        return False
    return True


def public_values(value: Any, lenient: bool = False) -> dict[str, Any]:
    """The configurable fields of an attrs object as JSON, by their names in Kong.

    :param lenient: as for :func:`jsonable`.
    """
    return {
        field.name: jsonable(getattr(value, field.attribute, None), lenient)
        for field in fields_of(type(value), "config")
    }


def _record(cls: type, path: str, inside: tuple[type, ...]) -> list[dict[str, Any]]:
    if cls in inside:
        raise SchemaError(
            f"{path}: {cls.__name__} contains itself, and Kong has no type for a tree: "
            "use Any with json_schema"
        )
    return [
        {field.name: _field(field, f"{path}.{field.name}", (*inside, cls))}
        for field in fields_of(cls, path)
    ]


def _field(field: Field, path: str, inside: tuple[type, ...]) -> dict[str, Any]:
    found = _kind(field.kind, path, inside)
    default = _default(field, path)
    if default is not None:
        found["default"] = default
    elif field.default is attrs.NOTHING and not field.kind.nullable:
        found["required"] = True
    if default == "" and field.kind.type == "string":
        found["len_min"] = 0
    return {**found, **_attributes(field.attributes, path)}


def _kind(kind: FieldType, path: str, inside: tuple[type, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": kind.type}
    if kind.choices is not None:
        found["one_of"] = list(kind.choices)
        if "" in kind.choices:
            found["len_min"] = 0
    if kind.type == "record":
        found["fields"] = _record(kind.python, path, inside)
    elif kind.type == "json":
        inline = {"type": "object"} if kind.python is dict else {"description": "any JSON value"}
        found["json_schema"] = {"inline": inline}
    elif kind.type == "map":
        found["keys"] = _held(kind.keys, f"{path} (keys)", inside)
        found["values"] = _held(kind.elements, f"{path}{{}}", inside)
    elif kind.elements is not None:
        found["elements"] = _held(kind.elements, f"{path}[]", inside)
    return found


def _held(annotation: Any, path: str, inside: tuple[type, ...]) -> dict[str, Any]:
    kind = parse(annotation, path)
    return {**_kind(kind, path, inside), **_attributes(kind.attributes, path)}


def _attributes(given: Mapping[str, Any], path: str) -> dict[str, Any]:
    try:
        return {name: jsonable(value) for name, value in given.items()}
    except TypeError as error:
        raise SchemaError(f"{path}: {error}: use what JSON can hold") from error


def _default(field: Field, path: str) -> Any:
    default = field.default
    if default is attrs.NOTHING:
        return None
    try:
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            if default.takes_self:
                return None
            default = default.factory()
        return jsonable(default)
    except Exception as error:
        raise SchemaError(
            f"{path}: the default cannot be told to Kong ({describe_error(error)}): use what JSON can hold"
        ) from error


def _protocols(given: Any) -> dict[str, Any]:
    names = sorted(given) if isinstance(given, (set, frozenset)) else given
    known = isinstance(names, (list, tuple)) and all(name in PROTOCOLS for name in names)
    if not known:
        raise SchemaError(
            f"protocols must be a list of some of {', '.join(PROTOCOLS)}, got {given!r}"
        )
    return {
        "type": "set",
        "required": True,
        "default": list(names),
        "elements": {"type": "string", "one_of": list(names)},
    }
