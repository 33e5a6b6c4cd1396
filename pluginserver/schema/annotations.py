"""What the annotations of a config class mean: the one place that knows, for the schema and the config.

:func:`parse` looks at one annotation from outside: its :class:`FieldType` says Kong's type, what is built
from a value in Python, and the annotations of what it holds, which the caller parses in turn.
:func:`fields_of` lists the fields of an attrs class that Kong can configure.

Rules kept here:

* a field is configurable when it is an argument of the constructor and its name has no leading
  underscore; one of type :class:`KongKeys` is never a field, but gets what Kong sent besides;
* an annotation that Kong cannot express is a :class:`~pluginserver.errors.SchemaError` that names the
  field and what to use instead, never a field that is silently left out.
"""

from __future__ import annotations

import types
import typing
from collections import abc
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union

import attrs

from ..errors import SchemaError
from ..spec.wording import describe_error

ATTRIBUTES_KEY: Final = "pluginserver.attributes"
"""Where the attributes stand in an attrs field's metadata, and in a marker of ``Annotated``."""

SCALARS: Final[dict[Any, str]] = {str: "string", bool: "boolean", int: "integer", float: "number"}
LISTS: Final[dict[Any, tuple[str, type]]] = {
    list: ("array", list),
    abc.MutableSequence: ("array", list),
    tuple: ("array", tuple),
    abc.Sequence: ("array", tuple),
    abc.Collection: ("array", tuple),
    abc.Iterable: ("array", tuple),
    set: ("set", set),
    abc.MutableSet: ("set", set),
    frozenset: ("set", frozenset),
    abc.Set: ("set", frozenset),
}
"""Python's containers: Kong's type, and what is built of a value."""
MAPS: Final = frozenset({dict, abc.Mapping, abc.MutableMapping})

_INSTEAD: Final = {
    "bytes": "use str",
    "bytearray": "use str",
    "datetime": "use str, or int for seconds",
    "date": "use str",
    "time": "use str",
    "timedelta": "use float for seconds",
    "Decimal": "use float or str",
    "Fraction": "use float or str",
    "complex": "use float",
    "Path": "use str",
    "PurePath": "use str",
    "UUID": "use str with uuid=True",
    "Pattern": "use str with is_regex=True",
    "NoneType": "give it a type",
}


class Attributes(dict[str, Any]):
    """What :func:`pluginserver.schema.attributes` returns; hashable, as ``Annotated`` needs it."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__  # type: ignore[assignment]


class KongKeys(dict[str, Any]):
    """What Kong sends with a configuration besides the plugin's own fields.

    Kong's keys are ``__plugin_id``, ``__seq__``, ``__key__``, ``__ws_id``, ``route_id``,
    ``service_id``, ``consumer_id`` and more; which of them are there depends on its version.  A config
    class that wants them has a field of this type; it is not part of the schema::

        @attrs.define
        class Plugin:
            message: str = "hello"
            kong_keys: KongKeys = attrs.field(factory=KongKeys)

    It is a plain dict of JSON values, filled before ``__attrs_post_init__`` runs.
    """


@attrs.frozen
class FieldType:
    """What one annotation means, seen from outside.

    :param type: Kong's type.
    :param python: what is built from a value: a scalar type, list, tuple, set, frozenset, dict, an attrs
        class; ``Any`` for JSON as it comes.
    :param nullable: None is allowed.
    :param elements: the annotation of a container's elements or of a map's values.
    :param keys: the annotation of a map's keys.
    :param choices: the only values, by what they are in JSON.
    :param attributes: Kong's attributes, from ``Annotated``.
    """

    type: str
    python: Any
    nullable: bool = False
    elements: Any = None
    keys: Any = None
    choices: Mapping[Any, Any] | None = None
    attributes: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Field:
    """One field that Kong can configure.

    :param name: its name in Kong.
    :param attribute: its name in the class.
    :param argument: its name in the constructor.
    :param annotation: its type, resolved.
    :param kind: what that means.
    :param default: attrs' default: a value, an ``attrs.Factory`` or ``attrs.NOTHING``.
    :param attributes: Kong's attributes, from ``Annotated`` and the field's metadata.
    """

    name: str
    attribute: str
    argument: str
    annotation: Any
    kind: FieldType
    default: Any
    attributes: Mapping[str, Any]


def parse(annotation: Any, path: str) -> FieldType:
    """What an annotation means.

    :param annotation: a resolved one, no string.
    :param path: the field's place, such as ``config.limits[].window``, for the error.
    :raises SchemaError: when Kong has no type for it.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    try:
        hash(annotation)
    except TypeError as error:
        raise SchemaError(
            f"{path}: the annotation {_name(annotation)} is not a type, or holds what cannot be "
            f"hashed ({error}): use a type"
        ) from error
    if origin is Annotated:
        kind = parse(arguments[0], path)
        marks = [mark[ATTRIBUTES_KEY] for mark in arguments[1:] if is_mark(mark)]
        merged = {name: value for one in (kind.attributes, *marks) for name, value in one.items()}
        return attrs.evolve(kind, attributes=merged)
    if origin in (Union, types.UnionType):
        return _optional(annotation, arguments, path)
    if origin is Literal:
        given = [(_plain(value), value) for value in arguments if value is not None]
        return _choice(annotation, given, path, nullable=None in arguments)
    if annotation in (Any, object):
        return FieldType("json", Any, nullable=True)
    if (origin or annotation) in LISTS:
        return _list(annotation, origin, arguments, path)
    if (origin or annotation) in MAPS:
        return _map(arguments, path)
    if hasattr(annotation, "__supertype__"):
        return parse(annotation.__supertype__, path)
    if isinstance(annotation, type) and origin is None:
        return _class(annotation, path)
    if hasattr(annotation, "__value__"):
        return parse(annotation.__value__, path)
    raise _no_type(annotation, path)


def fields_of(cls: type, path: str) -> list[Field]:
    """The fields of an attrs class that Kong can configure, in their order.

    :raises SchemaError: when an annotation is missing, cannot be resolved or means nothing to Kong,
        or when two fields have one name in Kong.
    """
    fields: dict[str, Field] = {}
    for attribute in _arguments(cls, path):
        if attribute.name.startswith("_") or attribute.type is KongKeys:
            continue
        given = attribute.metadata.get(ATTRIBUTES_KEY, {})
        place = f"{path}.{given.get('name', attribute.alias)}"
        if attribute.type is None:
            raise SchemaError(
                f"{place}: the field has no type: annotate it, {attribute.name}: str"
            )
        kind = parse(attribute.type, place)
        attributes = {**kind.attributes, **given}
        name = attributes.pop("name", attribute.alias)
        if name in fields:
            raise SchemaError(f"{place}: two fields have this name in Kong: rename one of them")
        fields[name] = Field(
            name=name,
            attribute=attribute.name,
            argument=attribute.alias or attribute.name,
            annotation=attribute.type,
            kind=kind,
            default=attribute.default,
            attributes=attributes,
        )
    return list(fields.values())


def keys_arguments(cls: type) -> list[str]:
    """The constructor's arguments that take :class:`KongKeys`."""
    return [
        attribute.alias or attribute.name
        for attribute in _arguments(cls, cls.__name__)
        if attribute.type is KongKeys
    ]


def _arguments(cls: type, path: str) -> list[attrs.Attribute[Any]]:
    try:
        attrs.resolve_types(cls)
    except Exception as error:
        raise SchemaError(
            f"{path}: the annotations of {cls.__qualname__} cannot be resolved ({describe_error(error)}): "
            "import or define what they name at the module's top level"
        ) from error
    return [attribute for attribute in attrs.fields(cls) if attribute.init]


def is_mark(mark: object) -> bool:
    """Whether it is what :func:`attributes` returns."""
    return isinstance(mark, Mapping) and ATTRIBUTES_KEY in mark


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _optional(annotation: Any, arguments: tuple[Any, ...], path: str) -> FieldType:
    inner = [argument for argument in arguments if argument is not types.NoneType]
    if len(inner) != 1 or len(inner) == len(arguments):
        raise SchemaError(
            f"{path}: Kong has no type for {_name(annotation)}: a field has one type, "
            "or one type and None"
        )
    return attrs.evolve(parse(inner[0], path), nullable=True)


def _choice(
    annotation: Any, choices: list[tuple[Any, Any]], path: str, nullable: bool = False
) -> FieldType:
    kinds = {type(value) for value, _ in choices}
    for python, allowed in ((str, {str}), (int, {int}), (float, {int, float})):
        if kinds and kinds <= allowed:
            return FieldType(SCALARS[python], python, nullable=nullable, choices=dict(choices))
    raise SchemaError(
        f"{path}: the values of {_name(annotation)} must be all strings or all numbers for Kong"
    )


def _list(annotation: Any, origin: Any, arguments: tuple[Any, ...], path: str) -> FieldType:
    type_, python = LISTS[origin or annotation]
    if not arguments:
        raise SchemaError(
            f"{path}: say what the {_name(annotation)} holds, such as list[str] or tuple[str, ...]"
        )
    if python is tuple and origin is tuple and (len(arguments) != 2 or arguments[1] is not ...):
        raise SchemaError(
            f"{path}: Kong has no type for {_name(annotation)}: use tuple[X, ...] or an attrs class"
        )
    element = _held(arguments[0], f"{path}[]")
    if type_ == "set" and element.type not in SCALARS.values():
        raise SchemaError(f"{path}: a set can hold only strings, numbers and booleans: use a list")
    return FieldType(type_, python, elements=arguments[0])


def _map(arguments: tuple[Any, ...], path: str) -> FieldType:
    keys, values = arguments or (str, Any)
    if parse(keys, f"{path} (keys)").type != "string":
        raise SchemaError(f"{path}: the keys must be str, since they come as JSON")
    if values in (Any, object):
        return FieldType("json", dict)
    _held(values, f"{path}{{}}")
    return FieldType("map", dict, keys=keys, elements=values)


def _held(annotation: Any, path: str) -> FieldType:
    kind = parse(annotation, path)
    if kind.nullable and kind.type != "json":
        raise SchemaError(f"{path}: Kong keeps no null inside a list or map: leave None out")
    return kind


def _class(cls: type, path: str) -> FieldType:
    if issubclass(cls, Enum):
        return _choice(cls, [(member.value, member) for member in cls], path)
    if cls in SCALARS:
        return FieldType(SCALARS[cls], cls)
    if attrs.has(cls):
        return FieldType("record", cls)
    raise _no_type(cls, path)


def _no_type(annotation: Any, path: str) -> SchemaError:
    if hasattr(annotation, "__dataclass_fields__"):
        return SchemaError(f"{path}: {_name(annotation)} is a dataclass: make it an attrs class")
    names = [base.__name__ for base in getattr(annotation, "__mro__", ())]
    names.append(getattr(typing.get_origin(annotation), "__name__", ""))
    instead = next((_INSTEAD[name] for name in names if name in _INSTEAD), None)
    return SchemaError(
        f"{path}: Kong has no type for {_name(annotation)}: "
        f"{instead or 'use a simple type, a container or an attrs class'}, "
        "or start the field's name with an underscore"
    )


def _name(annotation: Any) -> str:
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")
