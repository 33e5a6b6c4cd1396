"""From the JSON that Kong sends to the object that a config class describes.

cattrs does the work; the rules for single values are ours, since Kong's JSON was written by Lua:

* an empty list may be an empty map, list or set (an empty Lua table), and a whole number may come as a
  float or the other way round; nothing else is converted: ``"5"`` is not an integer and ``true`` is not one;
* a null is the default, a key that is not a field is ignored (Kong's own are kept: see
  :class:`~pluginserver.schema.annotations.KongKeys`);
* a wrong value is a :class:`~pluginserver.errors.ConfigError` that names its place and what was
  expected; the value itself is not shown where the field holds a secret;
* this module is imported when the first instance starts, never for a dump: cattrs takes its time.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any, Final

import attrs
from cattrs import ClassValidationError, Converter, IterableValidationError
from cattrs.cols import list_structure_factory, mapping_structure_factory
from cattrs.errors import AttributeValidationNote

from ..errors import ConfigError
from ..logs import place_of
from ..spec.secrets import is_secret
from ..spec.validators import broken_rule, fits
from ..spec.wording import NAMES, describe, describe_error, is_users_interrupt
from .annotations import SCALARS, Field, FieldType, KongKeys, fields_of, keys_arguments, parse
from .infer import jsonable

_EMPTY: Final[dict[str, Callable[[], Any]]] = {
    "array": list,
    "set": list,
    "map": dict,
    "record": dict,
}
"""What an empty Lua table is for a field of these types."""

_PATH: Final = "config"
_SHOWN: Final = 5
"""How many wrong values one error names."""

Hook = Callable[[Any, Any], Any]


class _Wrong(ValueError):
    """A value does not fit; the text says why, without the place."""


class _Refused(ValueError):
    """A config class did not take the values; the text says what it said."""


def read_object(config: str | bytes) -> dict[str, Any]:
    """Decode the JSON object that Kong sends.

    :param config: JSON; bytes that are not UTF-8 become surrogates.
    :returns: the object; an empty text, ``null`` and ``[]`` (Lua's empty table) are the empty one.
    :raises ConfigError: when it is something else, or holds a lone surrogate, which no answer can carry.
    """
    text = config.decode("utf-8", "surrogateescape") if isinstance(config, bytes) else config
    try:
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"Decoding config: this is not JSON: {error}") from error
    if value is None or value == []:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"Decoding config: expected a JSON object, got {describe(value)}")
    if (place := next(_surrogates(value, _PATH), None)) is not None:
        raise ConfigError(
            f"Decoding config: {place}: it holds half of a surrogate pair, which is not text: "
            "write the whole character"
        )
    return value


def _surrogates(value: Any, path: str) -> Iterator[str]:
    """The places of texts that cannot be sent; a name that cannot is told by the place of its object."""
    if isinstance(value, str):
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            yield path
    elif isinstance(value, dict):
        for name, inner in value.items():
            unnamed = any(_surrogates(name, path))
            yield from [path] if unnamed else _surrogates(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _surrogates(inner, f"{path}[{number}]")


class Decoder:
    """Makes objects of one config class.

    :param cls: an attrs class whose schema was inferred, so that its annotations are known to be good.
    :param path: what the places of wrong values begin with, such as ``config`` in ``config.limit``; may
        be empty.
    :param intro: what an error's text begins with.
    """

    def __init__(self, cls: type, path: str = _PATH, intro: str = "Decoding config: ") -> None:
        self._cls = cls
        self._path = path
        self._intro = intro
        self._converter = _converter()

    def decode(self, values: Mapping[str, Any]) -> Any:
        """Make an object.

        :param values: what :func:`read_object` returned.
        :raises ConfigError: for values that do not fit or that the class refuses; it names them.
        """
        try:
            return self._converter.structure(values, self._cls)
        except (ClassValidationError, _Refused) as error:
            found = list(_explain(error, self._path))
            if len(found) > _SHOWN:
                found[_SHOWN:] = [f"and {len(found) - _SHOWN} more"]
            raise ConfigError(f"{self._intro}{'; '.join(found)}") from error


def _converter() -> Converter:
    """A converter for which every annotation means what :mod:`pluginserver.kinds` says."""
    converter = Converter(detailed_validation=True)
    converter.register_structure_hook_factory(lambda _annotation: True, _hook)
    hook = cache(partial(_hook, converter=converter))

    def scalar(value: Any, annotation: Any) -> Any:
        """cattrs prefers its own hooks for these types and their subclasses, such as an ``IntEnum``."""
        return hook(annotation)(value, annotation)

    for type_ in SCALARS:
        converter.register_structure_hook(type_, scalar)
    return converter


def _hook(annotation: Any, converter: Converter) -> Hook:
    """How cattrs makes a value of any annotation."""
    kind = parse(annotation, _PATH)
    make = _maker(kind, converter)
    rules = jsonable(kind.attributes)

    def structure(value: Any, _annotation: Any) -> Any:
        made = make(value)
        _check(rules, value)
        return made

    return structure


def _maker(kind: FieldType, converter: Converter) -> Callable[[Any], Any]:
    if kind.choices is not None:
        return partial(_chosen, kind.type, kind.choices)
    match kind.type:
        case "array" | "set":
            items = list_structure_factory(_of(list, kind.elements), converter)
            return lambda value: kind.python(items(_fitting(kind.type, value), list))
        case "map":
            entries: Hook = mapping_structure_factory(
                _of(dict, kind.keys, kind.elements), converter
            )
            return lambda value: entries(_fitting(kind.type, value), dict)
        case "record":
            return _Record(kind.python, converter)
        case "json" if kind.python is dict:
            return partial(_fitting, "map")
        case _:
            return partial(_fitting, kind.type)


def _of(container: type, *arguments: Any) -> Any:
    return types.GenericAlias(container, arguments)


class _Record:
    """Makes an object of an attrs class, the plugin's or one nested in it."""

    def __init__(self, cls: type, converter: Converter) -> None:
        self._cls = cls
        self._fields = [
            (field, converter.get_structure_hook(field.annotation), jsonable(field.attributes))
            for field in fields_of(cls, _PATH)
        ]
        self._names = {field.name for field, _, _ in self._fields}
        self._keys = keys_arguments(cls)

    def __call__(self, value: Any) -> Any:
        values = _fitting("record", value)
        arguments: dict[str, Any] = {}
        errors: list[Exception] = []
        for field, hook, rules in self._fields:
            try:
                _take(field, hook, rules, values.get(field.name), arguments)
            except (ValueError, IterableValidationError, ClassValidationError) as error:
                hidden = is_secret(field.attributes)
                wrong = _Wrong(f"expected {NAMES[field.kind.type]} that fits") if hidden else error
                note = AttributeValidationNote(field.name, field.name, field.annotation)
                wrong.__notes__ = [note]  # type: ignore[union-attr, unused-ignore]
                errors.append(wrong)
        if errors:
            raise ClassValidationError(self._cls.__name__, errors, self._cls)
        rest = {name: other for name, other in values.items() if name not in self._names}
        for argument in self._keys:
            arguments[argument] = KongKeys(rest)
        return _build(self._cls, arguments)


def _take(
    field: Field, hook: Hook, rules: Mapping[str, Any], given: Any, arguments: dict[str, Any]
) -> None:
    """Put one field's value among the constructor's arguments, unless its default serves."""
    if given is not None:
        arguments[field.argument] = hook(given, field.annotation)
        _check(rules, given)
    elif field.default is attrs.NOTHING:
        if not field.kind.nullable:
            raise _Wrong(f"is missing: expected {NAMES[field.kind.type]}")
        arguments[field.argument] = None


def _build(cls: type, arguments: dict[str, Any]) -> Any:
    try:
        return cls(**arguments)
    except BaseException as error:
        if is_users_interrupt(error):
            raise
        raise _Refused(refused_by(cls, error)) from error


def refused_by(cls: type, error: BaseException) -> str:
    """How it is told that a class, which is the plugin's, raised: what, and where in the plugin's files."""
    place = place_of(error)
    at = "" if place is None else f" ({place[0]}:{place[1]})"
    return f"{cls.__name__} was refused: {describe_error(error)}{at}"


def _fitting(type_: str, value: Any) -> Any:
    """The value, if it is of that type of Kong's, with the slips of a Lua encoder put right."""
    if type_ in _EMPTY and value in ([], {}):
        return _EMPTY[type_]()
    if not fits(type_, value):
        raise _Wrong(f"expected {NAMES[type_]}, got {describe(value)}")
    if type_ == "integer":
        return int(value)
    if type_ == "number":
        return _float(value)
    return value


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise _Wrong(f"expected a number, got {describe(value)}, which is too large") from None


def _chosen(type_: str, choices: Mapping[Any, Any], value: Any) -> Any:
    if fits(type_, value) and value in choices:
        return choices[value]
    listed = ", ".join(json.dumps(choice) for choice in choices)
    raise _Wrong(f"expected one of {listed}, got {describe(value)}")


def _check(rules: Mapping[str, Any], value: Any) -> None:
    if rules and (broken := broken_rule(rules, value)):
        raise _Wrong(f"{broken}, got {describe(value)}")


def _explain(error: BaseException, path: str) -> Iterator[str]:
    """The single errors inside one of cattrs' groups, each with its place."""
    if isinstance(error, ClassValidationError):
        for inner, note in error.group_exceptions()[0]:
            yield from _explain(inner, f"{path}.{note.name}" if path else note.name)
    elif isinstance(error, IterableValidationError):
        for inner, at in error.group_exceptions()[0]:
            yield from _explain(inner, f"{path}[{at.index!r}]")
    else:
        yield f"{path}: {error}"
