"""References to vaults: see pluginserver/testing/kong/secrets.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pluginserver.testing import Gateway
from pluginserver.testing.kong.secrets import parse, resolved, secret

MARKED = {"type": "string", "referenceable": True}
PLAIN = {"type": "string"}


def find(reference: str) -> str | None:
    return secret({"env/a": "A", "env/b": "B"}, reference)


A, B, NONE = "{vault://env/a}", "{vault://env/b}", "{vault://other/c}"


@pytest.mark.parametrize(
    ("field", "value", "got", "references"),
    [
        (MARKED, A, "A", A),
        (MARKED, "plain", "plain", None),
        (MARKED, NONE, "", NONE),
        (PLAIN, A, A, None),
        ({"type": "array", "elements": MARKED}, ["x", A], ["x", "A"], [None, A]),
        ({"type": "array", "elements": PLAIN}, [A], [A], None),
        ({"type": "set", "elements": MARKED}, [A, B], ["A", "B"], [A, B]),
        ({"type": "set", "elements": MARKED}, ["x"], ["x"], None),
        ({"type": "map", "keys": PLAIN, "values": MARKED}, {"k": B, "l": "x"},
         {"k": "B", "l": "x"}, {"k": B}),
        ({"type": "map", "keys": PLAIN, "values": PLAIN}, {"k": B}, {"k": B}, None),
        ({"type": "integer"}, 1, 1, None),
    ],
)  # fmt: skip
def test_only_what_is_marked_is_read_from_a_vault(
    field: dict[str, Any], value: Any, got: Any, references: Any
) -> None:
    config = {"f": value}
    expected = {"f": got} if references is None else {"f": got, "$refs": {"f": references}}
    assert resolved({"fields": [{"f": field}]}, config, find) == expected
    assert config == {"f": value}


@pytest.mark.parametrize("holder", ["record", "array", "map"])
def test_each_record_has_the_references_of_its_own_fields(holder: str) -> None:
    record = {"type": "record", "fields": [{"key": MARKED}, {"name": PLAIN}]}
    given: Any = {"key": A, "name": B}
    wanted: Any = {"key": "A", "name": B, "$refs": {"key": A}}
    field: Any = record
    if holder == "array":
        field, given, wanted = {"type": "array", "elements": record}, [given], [wanted]
    elif holder == "map":
        field = {"type": "map", "keys": PLAIN, "values": record}
        given, wanted = {"x": given}, {"x": wanted}
    assert resolved({"fields": [{"f": field}]}, {"f": given}, find) == {"f": wanted}


def test_a_plugin_gets_its_secrets_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vaults.py").write_text(
        """
import attrs
from pluginserver.schema import attributes
version, priority = "1.0.0", 1
@attrs.define
class Inner:
    key: str = attrs.field(metadata=attributes(referenceable=True))
@attrs.define
class Plugin:
    top: str
    inner: Inner
    many: list[Inner]
    def access(self, kong):
        kong.response.exit(200, [self.top, self.inner.key, *[one.key for one in self.many]])
"""
    )
    monkeypatch.setenv("MY_SECRET", "from the environment")
    with Gateway(root=tmp_path) as kong:
        kong.secrets["env/other"] = "set by the test"
        kong.plugin(
            "vaults.py",
            top="{vault://env/my-secret}",
            inner={"key": "{vault://env/my-secret}"},
            many=[{"key": "{vault://env/other}"}, {"key": "plain"}],
        )
        assert kong.get().json() == [
            "{vault://env/my-secret}",
            "from the environment",
            "set by the test",
            "plain",
        ]


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("{vault://env/my-secret}", "mine"),
        ("{vault://env/secret?prefix=my-}", "mine"),
        ("{vault://env/nothing-here}", None),
        ("{vault://other/my-secret}", None),
        ("{vault://env/db/password}", "p"),
        ("{vault://env/db/port}", None),
        ("{vault://env/my-secret/key}", None),
        ("{vault://env/both}", "set"),
        ("{vault://aws/a/b/c}", "deep"),
        ("{vault://aws/whole/key}", "w"),
        ("plain", None),
    ],
)
def test_where_a_secret_is_looked_for(
    reference: str, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "mine")
    monkeypatch.setenv("DB", '{"password": "p", "port": 1}')
    monkeypatch.setenv("BOTH", "environment")
    given = {"env/both": "set", "aws/a/b": '{"c": "deep"}', "aws/whole/key": "w"}
    assert secret(given, reference) == value


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        (
            "{vault://env/a%20b/key?prefix=X_#2}",
            {"name": "env", "resource": "a b", "key": "key", "config": {"prefix": "X_"},
             "version": 2},
        ),
        ("{vault://env/a/}", {"name": "env", "resource": "a"}),
        ("env/a", "not a reference [env/a]"),
        ("{vault:///a}", "reference url is missing host [{vault:///a}]"),
        ("{vault://env/}", "reference url has empty path [{vault://env/}]"),
        ("{vault://env//}", "reference url has invalid path [{vault://env//}]"),
        ("{vault://env/a#x}", "reference url has invalid version [{vault://env/a#x}]"),
    ],
)  # fmt: skip
def test_the_parts_of_a_reference(reference: str, parts: Any) -> None:
    assert parse(reference) == parts
