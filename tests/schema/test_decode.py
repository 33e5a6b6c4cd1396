"""From Kong's JSON to plugin objects: what is taken, and what is refused with which words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginserver.errors import ConfigError
from pluginserver.schema.annotations import KongKeys
from pluginserver.schema.decode import Decoder, read_object
from pluginserver.schema.infer import attributes, infer
from pluginserver.spec.metaschema import check_field
from pluginserver.spec.validators import fault


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Word(str, Enum):
    ONE = "one"


@attrs.define
class Limit:
    window: int = attrs.field(metadata=attributes(between=(1, 60)))
    by: Literal["ip", "key"] = "ip"


@attrs.define
class Everything:
    """One field of each kind."""

    text: str = "hello"
    number: float = 0.5
    count: int = 0
    on: bool = False
    names: list[str] = attrs.field(factory=list)
    fixed: tuple[int, ...] = ()
    some: Sequence[str] = ()
    tags: set[str] = attrs.field(factory=set)
    frozen: frozenset[Color] = frozenset()
    headers: dict[str, int] = attrs.field(factory=dict)
    weights: Mapping[Color, float] = attrs.field(factory=dict)
    color: Color = Color.RED
    level: Level = Level.LOW
    levels: list[Level] = attrs.field(factory=list)
    ranks: dict[Word, Level] = attrs.field(factory=dict)
    letter: Literal["a", "b"] = "a"
    limits: list[Limit] = attrs.field(factory=list)
    limit: Limit | None = None
    maybe: int | None = 7
    anything: Any = None
    thing: dict[str, Any] = attrs.field(factory=dict)
    hosts: list[Annotated[str, attributes(starts_with="www.")]] = attrs.field(factory=list)


EVERYTHING = Decoder(Everything)


def decode(**values: Any) -> Everything:
    made = EVERYTHING.decode(values)
    assert isinstance(made, Everything)
    return made


def refused(cls: type, values: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        Decoder(cls).decode(values)
    text = str(caught.value)
    assert text.startswith("Decoding config: ")
    assert "\n" not in text
    return text.removeprefix("Decoding config: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", {}),
        ("", {}),
        (" \n", {}),
        ("null", {}),
        ("[]", {}),
        ('{"a": 1}', {"a": 1}),
        (b'{"a": "\xc3\xa9\xff"}', {"a": "é\udcff"}),
        ('{"a": "\udcff"}', {"a": "\udcff"}),
        (b"", {}),
    ],
)
def test_the_json_text(text: str | bytes, expected: dict[str, Any]) -> None:
    assert read_object(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "this is not JSON"),
        (b"\xff", "this is not JSON"),
        ('{"a":' + "[" * 100_000, "this is not JSON"),
        ('{"a":' + "1" * 10_000 + "}", "this is not JSON"),
        ("[1]", "expected a JSON object, got [1] (a list)"),
        ('"x"', 'expected a JSON object, got "x" (a string)'),
        ("true", "expected a JSON object, got true"),
    ],
)
def test_a_text_that_is_no_json_object_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(ConfigError, match="^Decoding config: " + re.escape(words)):
        read_object(text)


def test_defaults_serve_for_what_is_missing_and_for_nulls() -> None:
    assert decode() == Everything()
    assert decode(**dict.fromkeys(attrs.asdict(Everything()))) == Everything()


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("text", "x", "x"),
        ("text", "", ""),
        ("text", "\udcff", "\udcff"),
        ("number", 1, 1.0),
        ("number", 1.5, 1.5),
        ("count", 5, 5),
        ("count", 5.0, 5),
        ("count", 9.007199254740992e15, 2**53),
        ("on", True, True),
        ("names", ["a", "b"], ["a", "b"]),
        ("names", {}, []),
        ("fixed", [1, 2.0], (1, 2)),
        ("some", ["a"], ("a",)),
        ("tags", ["a", "b", "a"], {"a", "b"}),
        ("tags", {}, set()),
        ("frozen", ["red"], frozenset({Color.RED})),
        ("headers", {"a": 1}, {"a": 1}),
        ("headers", [], {}),
        ("weights", {"red": 1}, {Color.RED: 1.0}),
        ("color", "blue", Color.BLUE),
        ("level", 2, Level.HIGH),
        ("level", 2.0, Level.HIGH),
        ("levels", [1, 2.0], [Level.LOW, Level.HIGH]),
        ("ranks", {"one": 1}, {Word.ONE: Level.LOW}),
        ("letter", "b", "b"),
        ("limits", [{"window": 1}, {"window": 2, "by": "key"}], [Limit(1), Limit(2, "key")]),
        ("limit", {"window": 3, "unknown": 1}, Limit(3)),
        ("maybe", 3, 3),
        ("maybe", None, 7),
        ("anything", [1, {"a": None}], [1, {"a": None}]),
        ("anything", "x", "x"),
        ("thing", {"a": [1]}, {"a": [1]}),
        ("thing", [], {}),
        ("hosts", ["www.a"], ["www.a"]),
    ],
)
def test_values_that_fit(field: str, value: Any, expected: Any) -> None:
    found = getattr(decode(**{field: value}), field)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("text", 5, "config.text: expected a string, got 5 (an integer)"),
        ("text", True, "config.text: expected a string, got true"),
        ("number", "1", 'config.number: expected a number, got "1" (a string)'),
        ("number", True, "config.number: expected a number, got true"),
        ("number", 10**400, "which is too large"),
        ("count", "5", 'config.count: expected an integer, got "5" (a string)'),
        ("count", True, "config.count: expected an integer, got true"),
        ("count", 5.5, "config.count: expected an integer, got 5.5 (a number)"),
        ("count", float("inf"), "config.count: expected an integer, got Infinity"),
        ("on", 1, "config.on: expected true or false, got 1 (an integer)"),
        ("names", "abc", 'config.names: expected a list, got "abc" (a string)'),
        ("names", {"a": 1}, 'config.names: expected a list, got {"a": 1} (an object)'),
        ("names", ["a", None], "config.names[1]: expected a string, got null"),
        ("fixed", [1, "x"], 'config.fixed[1]: expected an integer, got "x" (a string)'),
        ("tags", [["a"]], 'config.tags[0]: expected a string, got ["a"] (a list)'),
        ("frozen", ["green"], 'config.frozen[0]: expected one of "red", "blue", got "green"'),
        ("headers", ["a"], 'config.headers: expected an object, got ["a"] (a list)'),
        ("headers", {"a": "b"}, "config.headers['a']: expected an integer, got \"b\" (a string)"),
        ("weights", {"green": 1}, 'config.weights[\'green\']: expected one of "red", "blue", got'),
        ("color", ["red"], 'config.color: expected one of "red", "blue", got ["red"] (a list)'),
        ("level", True, "config.level: expected one of 1, 2, got true"),
        ("level", 3, "config.level: expected one of 1, 2, got 3 (an integer)"),
        ("levels", [3], "config.levels[0]: expected one of 1, 2, got 3 (an integer)"),
        ("ranks", {"one": 3}, "config.ranks['one']: expected one of 1, 2, got 3 (an integer)"),
        ("ranks", {"two": 1}, 'config.ranks[\'two\']: expected one of "one", got "two"'),
        ("limits", [{"window": "soon"}], "config.limits[0].window: expected an integer, got"),
        ("limits", [{}], "config.limits[0].window: is missing: expected an integer"),
        ("limits", [{"window": None}], "config.limits[0].window: is missing"),
        ("limits", [{"window": 61}], "config.limits[0].window: must be between 1 and 60, got 61"),
        ("limit", "x", 'config.limit: expected an object, got "x" (a string)'),
        ("limit", [1], "config.limit: expected an object, got [1] (a list)"),
        ("maybe", "x", "config.maybe: expected an integer"),
        ("thing", "x", 'config.thing: expected an object, got "x" (a string)'),
        ("hosts", ["a"], 'config.hosts[0]: must start with "www.", got "a" (a string)'),
        ("text", ["x" * 100], 'config.text: expected a string, got ["xxxx'),
    ],
)
def test_values_that_do_not_fit(field: str, value: Any, words: str) -> None:
    assert words in refused(Everything, {field: value})


def test_all_wrong_values_are_named_but_not_too_many() -> None:
    assert refused(Everything, {"text": 1, "count": "x"}) == (
        "config.text: expected a string, got 1 (an integer); "
        'config.count: expected an integer, got "x" (a string)'
    )
    many = refused(Everything, {"names": list(range(100))})
    assert many.count("config.names[") == 5
    assert many.endswith("; and 95 more")


def test_a_long_value_is_cut() -> None:
    text = refused(Everything, {"text": ["x" * 1000]})
    assert len(text) < 200
    assert "... (a list)" in text


def test_a_secret_is_not_shown() -> None:
    @attrs.define
    class Config:
        one: str = attrs.field(default="", metadata=attributes(encrypted=True))
        many: dict[str, int] = attrs.field(factory=dict, metadata=attributes(referenceable=True))

    text = refused(Config, {"one": 987654, "many": {"key": "topsecret"}})
    assert (
        text
        == "config.one: expected a string that fits; config.many: expected an object that fits"
    )


def test_what_must_be_there() -> None:
    @attrs.define
    class Config:
        text: str
        maybe: str | None
        anything: Any

    assert Decoder(Config).decode({"text": "x"}) == Config("x", None, None)
    assert refused(Config, {}) == "config.text: is missing: expected a string"
    assert refused(Config, {"text": None}) == "config.text: is missing: expected a string"


def test_kongs_own_keys_are_no_fields_but_can_be_reached() -> None:
    seen: list[KongKeys] = []

    @attrs.frozen
    class Config:
        text: str = "x"
        _kong: KongKeys = attrs.field(factory=KongKeys)

        def __attrs_post_init__(self) -> None:
            seen.append(self._kong)

    made = Decoder(Config).decode({"text": "y", "__plugin_id": "abc", "route_id": None})
    assert made == Config("y", KongKeys({"__plugin_id": "abc", "route_id": None}))
    assert isinstance(seen[0], KongKeys)


def test_private_fields_and_those_that_are_no_arguments_cannot_be_configured() -> None:
    @attrs.define
    class Config:
        _seen: int = 1
        computed: int = attrs.field(default=2, init=False)

    made = Decoder(Config).decode({"_seen": 5, "seen": 5, "computed": 5})
    assert made == Config()


def test_names_of_kong() -> None:
    @attrs.define
    class Config:
        max_age: int = attrs.field(default=1, metadata=attributes(name="max-age"))
        other: int = attrs.field(default=1, alias="another", kw_only=True)

    made = Decoder(Config).decode({"max-age": 2, "another": 3, "max_age": 4, "other": 5})
    assert (made.max_age, made.other) == (2, 3)
    assert refused(Config, {"max-age": "x"}).startswith("config.max-age: ")


def test_converters_and_validators_run() -> None:
    @attrs.define
    class Config:
        name: str = attrs.field(converter=str.upper, default="")
        size: int = attrs.field(default=1, validator=attrs.validators.lt(10))

    assert Decoder(Config).decode({"name": "abc"}).name == "ABC"
    assert refused(Config, {"size": 10}) == (
        "config: Config was refused: ValueError: 'size' must be < 10: 10"
    )


def test_an_attrs_validators_arguments_are_not_shown() -> None:
    @attrs.define
    class Config:
        size: int = attrs.field(default=1, validator=attrs.validators.in_([1, 2]))

    assert refused(Config, {"size": 10}) == (
        "config: Config was refused: ValueError: 'size' must be in [1, 2] (got 10)"
    )


@attrs.define
class Inner:
    kind: str = ""

    def __attrs_post_init__(self) -> None:
        if self.kind == "exit":
            raise SystemExit(3)
        if self.kind:
            raise RuntimeError("two\nlines")
        raise RuntimeError


def test_a_constructor_that_raises_is_an_error_with_its_place() -> None:
    @attrs.define
    class Config:
        inner: list[Inner] = attrs.field(factory=list)

    first = Inner.__attrs_post_init__.__code__.co_firstlineno
    for kind, line, what in (
        ("exit", 2, "SystemExit: 3"),
        ("lines", 4, "RuntimeError: two lines"),
    ):
        assert refused(Config, {"inner": [{"kind": kind}]}) == (
            f"config.inner[0]: Inner was refused: {what} ({__file__}:{first + line})"
        )
    assert refused(Config, {"inner": [{}]}) == (
        f"config.inner[0]: Inner was refused: RuntimeError ({__file__}:{first + 5})"
    )


def test_a_constructor_without_end_is_an_error() -> None:
    @attrs.define
    class Config:
        def __attrs_post_init__(self) -> None:
            Config()

    assert "RecursionError" in refused(Config, {})


def test_rules_are_checked_as_kong_checks_them() -> None:
    @attrs.define
    class Config:
        names: list[str] = attrs.field(factory=list, metadata=attributes(len_min=1, contains="a"))
        text: str = attrs.field(default="abc", metadata=attributes(len_max=3))
        rate: float = attrs.field(default=1, metadata=attributes(gt=0))
        word: str = attrs.field(default="a", metadata=attributes(one_of=("a", "b")))
        key: str | None = attrs.field(default=None, metadata=attributes(uuid=True))

    decoder = Decoder(Config)
    assert decoder.decode({"names": ["b", "a"], "text": "abc", "word": "b"})
    assert decoder.decode({"key": "9BADFA8D-7C5C-4ED1-BCF0-7D3AFDBEBAEE"})
    for values, words in [
        ({"names": {}}, "config.names: must have length 1 at least, got {} (an object)"),
        ({"names": ["b"]}, 'config.names: must contain "a", got ["b"] (a list)'),
        ({"text": "éé"}, "config.text: must have length 3 at most"),
        ({"rate": 0}, "config.rate: must be greater than 0, got 0"),
        ({"word": "c"}, 'config.word: must be one of ["a", "b"], got "c" (a string)'),
        ({"key": "x"}, "config.key: must be a UUID"),
    ]:
        assert words in refused(Config, values)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
names = st.sampled_from([field.name for field in attrs.fields(Everything)])


@given(st.dictionaries(names | st.text(), json_values))
def test_any_json_object_makes_an_object_or_a_config_error(values: dict[str, Any]) -> None:
    try:
        made = EVERYTHING.decode(read_object(json.dumps(values)))
    except ConfigError as error:
        assert str(error).startswith("Decoding config: config.")
    else:
        assert isinstance(made, Everything)


SCHEMA = {"type": "record", "fields": infer(Everything)}
check_field(SCHEMA, "config")


@given(st.dictionaries(names, json_values))
def test_what_kong_accepts_by_the_schema_is_accepted_here(values: dict[str, Any]) -> None:
    values = {
        name: value
        for name, value in values.items()
        if value is not None and name != "thing"  # only Kong can judge a JSON schema
    }
    if fault(SCHEMA, values, "config") is None:
        EVERYTHING.decode(values)
