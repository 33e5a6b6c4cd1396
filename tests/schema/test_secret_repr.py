"""The repr of config classes, without their secrets."""

from __future__ import annotations

from typing import Any

import attrs

from pluginserver import attributes
from pluginserver.schema.infer import infer
from pluginserver.schema.secret_repr import hide_secrets

SECRET = attributes(encrypted=True)


def hide(cls: type, **record: Any) -> None:
    hide_secrets(cls, {"type": "record", "fields": infer(cls), **record})


def a_class(**options: Any) -> type:
    @attrs.define(**options)
    class Config:
        key: str | None = attrs.field(default="k3y", metadata=SECRET)
        text: str = attrs.field(default="t", repr=str.upper)
        unseen: str = attrs.field(default="u", repr=False)
        _own: Any = attrs.field(default=1, init=False)

    return Config


def test_it_says_what_attrs_says_but_for_the_secret() -> None:
    for options in ({}, {"slots": False}, {"frozen": True}):
        cls = a_class(**options)
        before = repr(cls(key="'xyz'"))
        hide(cls)
        assert repr(cls(key="'xyz'")) == before.replace(repr("'xyz'"), "(secret)")
        assert repr(cls(key=None)) == "Config(key=None, text=T, _own=1)"
        assert cls(key="a") == cls(key="a")
        assert attrs.asdict(cls())["key"] == "k3y"


def test_twice_is_the_same() -> None:
    cls = a_class()
    hide(cls)
    once = repr(cls())
    hide(cls)
    assert repr(cls()) == once


def test_a_repr_of_the_authors_own_stays() -> None:
    @attrs.define
    class Config:
        key: str = attrs.field(default="k3y", metadata=SECRET)

        def __repr__(self) -> str:
            return f"mine {self.key}"

    hide(Config)
    assert repr(Config()) == "mine k3y"
    bare = a_class(repr=False)
    before = bare.__repr__
    hide(bare)
    assert bare.__repr__ is before


def test_a_class_without_secrets_is_left_alone() -> None:
    @attrs.define
    class Config:
        key: str = "k"

    before = Config.__repr__
    hide(Config)
    assert Config.__repr__ is before


@attrs.define
class Inner:
    """A record with a secret."""

    password: str = attrs.field(default="pw", metadata=SECRET)


@attrs.define
class Outer:
    """Records in every shape."""

    one: Inner = attrs.field(factory=Inner)
    many: list[Inner] = attrs.field(factory=lambda: [Inner()])
    named: dict[str, Inner] = attrs.field(factory=lambda: {"a": Inner()})
    texts: list[str] = attrs.field(factory=lambda: ["pw"])


def test_nested_classes_and_a_schema_that_says_more_than_the_class() -> None:
    before = Outer.__repr__
    fields = infer(Outer)
    hide_secrets(Outer, {"type": "record", "fields": fields})
    assert Outer.__repr__ is before
    inner = "Inner(password=(secret))"
    assert (
        repr(Outer())
        == f"Outer(one={inner}, many=[{inner}], named={{'a': {inner}}}, texts=['pw'])"
    )
    given = [
        *fields[:3],
        {"texts": {"type": "array", "elements": {"type": "string", "encrypted": True}}},
    ]
    hide_secrets(Outer, {"type": "record", "fields": given})
    assert repr(Outer()).endswith("texts=(secret))")


def test_an_object_that_holds_itself() -> None:
    cls = a_class()
    hide(cls)
    one = cls()
    one._own = one
    assert repr(one) == "Config(key=(secret), text=T, _own=...)"
