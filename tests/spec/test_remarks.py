"""What is said of a schema that Kong would take."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from pluginserver.schema import attributes, infer
from pluginserver.spec.remarks import doubtful_regexes, needed_version, never_none


@attrs.define
class Inner:
    a: int = 1


@attrs.define
class Config:
    inner: Inner | None = None
    inners: list[Inner] = attrs.field(factory=list)
    loose: Any = None
    strict: Any = attrs.field(
        default=None, metadata=attributes(json_schema={"inline": {"type": "object"}})
    )
    filled: dict[str, Any] = attrs.field(factory=dict)


@pytest.mark.parametrize(
    ("field", "needed"),
    [
        ({"type": "string"}, None),
        ({"type": "string", "description": "0123456789"}, "Kong 3.4 or later: a has description"),
        (
            {"type": "array", "elements": {"type": "json", "json_schema": {}}},
            "3.5 or later: a[] has type json",
        ),
        (
            {"type": "string", "description": "0123456789", "examples": ["x"]},
            "3.6 or later: a has examples",
        ),
        (
            {
                "type": "record",
                "fields": [{"json": {"type": "string", "description": "0123456789"}}],
            },
            "a.json has desc",
        ),
    ],
)
def test_which_kong_a_schema_needs(field: dict[str, Any], needed: str | None) -> None:
    found = needed_version([{"a": field}])
    assert (needed is None and found is None) or (needed or "?") in str(found)


def test_a_default_that_python_does_not_take_for_a_regular_expression_is_doubtful() -> None:
    good = {"type": "string", "is_regex": True, "default": "^a+$"}
    odd = {"type": "string", "is_regex": True, "default": "a(?|b)"}
    (doubt,) = doubtful_regexes([{"good": good}, {"odd": odd}])
    assert doubt.startswith("odd: the default may not be a regular expression")


def test_what_never_arrives_as_none() -> None:
    assert never_none([{"config": {"type": "record", "fields": infer(Config)}}]) == [
        "config.inner: Kong fills a record in: it never arrives as None",
        "config.strict: its JSON schema takes only objects: it cannot be left unset",
    ]
