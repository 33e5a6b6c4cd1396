"""What Kong accepts as a plugin's schema.

Kong judges every schema with its meta-schema (``kong/db/schema/metaschema.lua``) when it starts, and
does not start when one is bad; so the same judgement is made here first, with an error that names
the field.  The attributes are described as Kong describes them: by fields of its own language
(:data:`ATTRIBUTES`), which :func:`~pluginserver.spec.validators.fault` reads.

Rules kept here:

* what cannot travel in JSON (Lua functions) is refused by name;
* a null is refused everywhere but in ``eq``: Kong takes ``"required": null`` for true.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from ..errors import SchemaError
from .lua_pattern import LuaPattern, LuaPatternError
from .validators import fault, fits
from .wording import NAMES, describe, did_you_mean

_ORDERED: Final = frozenset({"number", "integer"})
_SIZED: Final = frozenset({"array", "set", "string", "map"})
_LISTS: Final = frozenset({"array", "set"})
_TEXT: Final = frozenset({"string"})
_KEYS: Final = frozenset({"string", "number", "integer", "foreign"})
_ABSTRACT: Final = frozenset({"string", "number", "integer", "record", "array", "set", "map"})

_ANY: Final = {"type": "any"}
_FLAG: Final = {"type": "boolean"}
_STRING: Final = {"type": "string"}
_INTEGER: Final = {"type": "integer"}
_VALUES: Final = {"type": "array", "elements": _ANY}
_STRINGS: Final = {"type": "array", "elements": _STRING}
_PATTERNS: Final = {
    "type": "array",
    "elements": {
        "type": "record",
        "fields": [{"pattern": {"type": "string", "required": True}}, {"err": _STRING}],
    },
}
_FIRST_OF: Final = {
    "type": "record",
    "fields": [{"patterns": {**_STRINGS, "required": True}}, {"err": _STRING}],
}
_JSON_SCHEMA: Final = {
    "type": "record",
    "fields": [
        {"inline": _ANY},
        {"namespace": _STRING},
        {"parent_subschema_key": _STRING},
        {"optional": _FLAG},
        {"default": _ANY},
    ],
}
_DEPRECATION: Final = {
    "type": "record",
    "fields": [
        {"message": {"type": "string", "required": True}},
        {"removal_in_version": {"type": "string", "required": True}},
        {"old_default": _ANY},
        {"replaced_with": _ANY},
    ],
}

ATTRIBUTES: Final[dict[str, tuple[dict[str, Any], Collection[str] | None]]] = {
    "required": (_FLAG, None),
    "reference": (_STRING, None),
    "description": ({"type": "string", "len_min": 10, "len_max": 500}, None),
    "examples": (_VALUES, None),
    "auto": (_FLAG, None),
    "unique": (_FLAG, _KEYS),
    "unique_across_ws": (_FLAG, _KEYS),
    "on_delete": ({"type": "string", "one_of": ["restrict", "cascade", "null"]}, None),
    "abstract": (_FLAG, _ABSTRACT),
    "generate_admin_api": (_FLAG, None),
    "immutable": (_FLAG, None),
    "err": (_STRING, None),
    "encrypted": (_FLAG, None),
    "referenceable": (_FLAG, None),
    "transient": (_FLAG, None),
    "json_schema": (_JSON_SCHEMA, {"json"}),
    "deprecation": (_DEPRECATION, None),
    "between": ({"type": "array", "elements": {"type": "number"}, "len_eq": 2}, _ORDERED),
    "ne": (_ANY, None),
    "gt": ({"type": "number"}, _ORDERED),
    "len_eq": (_INTEGER, _SIZED),
    "len_min": (_INTEGER, _SIZED),
    "len_max": (_INTEGER, _SIZED),
    "match": (_STRING, _TEXT),
    "not_match": (_STRING, _TEXT),
    "match_all": (_PATTERNS, _TEXT),
    "match_none": (_PATTERNS, _TEXT),
    "match_any": (_FIRST_OF, _TEXT),
    "starts_with": (_STRING, _TEXT),
    "one_of": (_VALUES, _TEXT | _ORDERED),
    "not_one_of": (_VALUES, _TEXT | _ORDERED),
    "contains": (_ANY, _LISTS),
    "is_regex": (_FLAG, _TEXT),
    "timestamp": (_FLAG, _ORDERED),
    "uuid": (_FLAG, _TEXT),
    "mutually_exclusive_subsets": ({"type": "array", "elements": _STRINGS}, {"set"}),
}
"""The attributes that a field may have: what their value must be, and on which types (None: all).

Apart from them there are ``type``, ``default`` and ``eq``, and those that hold fields: ``elements``,
``keys``, ``values``, ``fields`` and ``entity_checks``.
"""

NESTED: Final = {
    "array": {"elements"},
    "set": {"elements"},
    "map": {"keys", "values"},
    "record": {"fields"},
    "json": {"json_schema"},
    "foreign": {"reference"},
}
"""What a field of these types must have."""

_STRUCTURE: Final = {
    "type",
    "default",
    "eq",
    "elements",
    "keys",
    "values",
    "fields",
    "entity_checks",
}
_FUNCTIONS: Final = {
    "custom_validator",
    "func",
    "shorthand_fields",
    "shorthands",
    "transformations",
}

_NAME_LISTS: Final = {
    "at_least_one_of",
    "only_one_of",
    "distinct",
    "mutually_required",
    "mutually_exclusive",
}
_NAME_KEYS: Final = {"if_field", "then_field", "then_at_least_one_of", "set1", "set2"}
_CHECKS: Final = _NAME_LISTS | {
    "conditional",
    "conditional_at_least_one_of",
    "mutually_exclusive_sets",
}


def check_fields(fields: object, path: str) -> None:
    """Judge a list of fields as Kong's meta-schema does.

    :param fields: a list of mappings with one key each: a field's name, and its attributes.
    :param path: where they are, for the error; empty at the top.
    :raises SchemaError: with the place and the reason.
    """
    place = path or "the schema"
    if not isinstance(fields, (list, tuple)):
        raise SchemaError(
            f"{place}: the fields must be a list of one-key maps, got {describe(fields)}"
        )
    seen: set[str] = set()
    for one in fields:
        if not isinstance(one, Mapping) or len(one) != 1:
            raise SchemaError(
                f"{place}: each field must be a map with one key, its name, got {describe(one)}"
            )
        ((name, field),) = one.items()
        if not isinstance(name, str) or not name:
            raise SchemaError(f"{place}: a field's name must be a string, got {describe(name)}")
        if name in seen:
            raise SchemaError(f"{place}: the field {name} is there twice: rename one of them")
        seen.add(name)
        check_field(field, f"{path}.{name}" if path else name)


def check_field(field: object, path: str) -> None:
    """Judge one field as Kong's meta-schema does; parameters and errors as in :func:`check_fields`."""
    if not isinstance(field, Mapping):
        raise SchemaError(f"{path}: the field must be a map of attributes, got {describe(field)}")
    type_ = field.get("type")
    if type_ == "function":
        raise SchemaError(f"{path}: a function cannot be told to Kong: leave the field out")
    if not isinstance(type_, str) or type_ not in NAMES or type_ == "any":
        kinds = ", ".join(sorted(NAMES.keys() - {"any"}))
        raise SchemaError(f"{path}: the type must be one of {kinds}, got {describe(type_)}")
    for name in sorted(NESTED.get(type_, set()) - field.keys()):
        if not field.get("abstract"):
            raise SchemaError(f"{path}: a field of type {type_} must have {name!r}")
    for name, value in field.items():
        _check_attribute(type_, name, value, path)
    if "elements" in field:
        check_field(field["elements"], f"{path}[]")
    for name in ("keys", "values"):
        if name in field:
            check_field(field[name], f"{path}.{name}")
    if "fields" in field:
        check_fields(field["fields"], path)
    if "entity_checks" in field:
        check_entity_checks(field["entity_checks"], field.get("fields", ()), path)
    for name in ("one_of", "not_one_of"):
        for value in field.get(name, ()):
            if not fits(type_, value):
                raise SchemaError(
                    f"{path}: {name} holds {describe(value)}, which is not {NAMES[type_]}"
                )
    if "default" in field and (found := fault(field, field["default"], f"{path}: default")):
        raise SchemaError(found)


def _check_attribute(type_: str, name: str, value: Any, path: str) -> None:
    if name == "eq":
        return
    if value is None:
        raise SchemaError(
            f"{path}: {name} must not be None, which Kong reads as true: leave it out"
        )
    if name in _STRUCTURE:
        return
    if name in _FUNCTIONS:
        raise SchemaError(f"{path}: {name} holds Lua functions, which cannot be told to Kong")
    if name not in ATTRIBUTES:
        hint = did_you_mean(name, {**ATTRIBUTES, **dict.fromkeys(_STRUCTURE)})
        raise SchemaError(f"{path}: Kong has no attribute {name!r}{hint}")
    rule, types = ATTRIBUTES[name]
    if types is not None and type_ not in types:
        raise SchemaError(
            f"{path}: {name} is for {_listed(types)}, not for a field of type {type_}"
        )
    if found := fault(rule, value, f"{path}: {name}"):
        raise SchemaError(found)
    if name == "json_schema" and "inline" in value:
        _check_json_schema(value["inline"], path)
    for pattern in _patterns(name, value):
        try:
            LuaPattern(pattern)
        except LuaPatternError as error:
            raise SchemaError(
                f"{path}: {name} holds {describe(pattern)}, which is not a Lua pattern: {error}"
            ) from None


def _patterns(name: str, value: Any) -> list[str]:
    """The Lua patterns that an attribute holds."""
    match name:
        case "match" | "not_match":
            return [value]
        case "match_all" | "match_none":
            return [one["pattern"] for one in value]
        case "match_any":
            return list(value["patterns"])
        case _:
            return []


def _check_json_schema(schema: Any, path: str) -> None:
    from jsonschema import Draft4Validator
    from jsonschema import SchemaError as Invalid

    try:
        Draft4Validator.check_schema(schema)
    except Invalid as error:
        raise SchemaError(
            f"{path}: json_schema is not a JSON schema of draft 4: {error.message}"
        ) from None


def check_entity_checks(checks: object, fields: Any, path: str) -> None:
    """Judge the checks between the fields of a record.

    :param checks: a list of maps with one key each, such as ``{"at_least_one_of": ["a", "b"]}``.
    :param fields: the record's fields.
    :param path: the record's place, for the error.
    :raises SchemaError: for an unknown check or a field that is not there.
    """
    if not isinstance(checks, (list, tuple)):
        raise SchemaError(f"{path}: entity_checks must be a list, got {describe(checks)}")
    names = {name for one in fields for name in one}
    for check in checks:
        if not isinstance(check, Mapping) or len(check) != 1:
            raise SchemaError(
                f"{path}: each entity check must be a map with one key, got {describe(check)}"
            )
        ((kind, argument),) = check.items()
        if kind not in _CHECKS:
            raise SchemaError(
                f"{path}: there is no entity check {kind!r}{did_you_mean(kind, _CHECKS)}"
            )
        for name in _named(kind, argument, path):
            if name.partition(".")[0] not in names:
                raise SchemaError(
                    f"{path}: the entity check {kind} names {name!r}, which is not a field"
                )


def _named(kind: str, argument: Any, path: str) -> list[str]:
    if kind in _NAME_LISTS:
        found = [argument]
    elif isinstance(argument, Mapping):
        found = [argument[key] for key in _NAME_KEYS if key in argument]
    else:
        raise SchemaError(f"{path}: the entity check {kind} takes a map, got {describe(argument)}")
    names: list[str] = []
    for item in found:
        items = [item] if isinstance(item, str) and kind not in _NAME_LISTS else item
        if not isinstance(items, (list, tuple)) or not all(isinstance(one, str) for one in items):
            raise SchemaError(
                f"{path}: the entity check {kind} takes names of fields, got {describe(item)}"
            )
        names += items
    return names


def _listed(types: Collection[str]) -> str:
    return " and ".join(sorted(types))
