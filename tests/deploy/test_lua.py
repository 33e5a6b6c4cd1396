"""The schema in Lua is the schema of the dump: Lua itself says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.commands import MODULE, run
from support.paths import EXAMPLES

from pluginserver.deploy.lua import schema_lua

lupa = pytest.importorskip("lupa.luajit20", reason="there is no lupa with LuaJIT")

VALUES = st.recursive(
    st.booleans()
    | st.none()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)

RICH = """
import attrs, enum
from typing import Annotated, Literal
from pluginserver import attributes
version, priority = "1.0.0", 1
no_consumer = True
class Mode(enum.Enum):
    FAST = "fast"
@attrs.define
class Inner:
    end: int = attrs.field(default=3, metadata=attributes(name="max-age", between=(1, 2**40)))
@attrs.define
class Plugin:
    text: str = attrs.field(default="\\"quoted\\" \\\\ grüß\\n", metadata=attributes(name="and"))
    ratio: float = 0.25
    on: bool = True
    mode: Mode = Mode.FAST
    tags: set[str] = attrs.Factory(set)
    map: dict[str, int] = attrs.Factory(dict)
    inner: list[Inner] = attrs.Factory(list)
    def access(self, kong): pass
"""


NULL = object()
"""Stands for ``ngx.null``."""


def evaluated(chunk: str) -> Any:
    """What a chunk returns, without ``require``."""
    lua = lupa.LuaRuntime()
    lua.execute("require = nil")
    lua.globals().ngx = lua.table(null=NULL)
    return lua.execute(chunk)


def same(found: Any, wanted: Any) -> bool:
    """Whether a value of Lua is one of JSON."""
    if wanted is None:
        return found is NULL
    if isinstance(wanted, (list, tuple)):
        return len(found) == len(list(found.keys())) == len(wanted) and all(
            same(found[place], one) for place, one in enumerate(wanted, 1)
        )
    if isinstance(wanted, Mapping):
        return set(found.keys()) == set(wanted) and all(
            same(found[name], one) for name, one in wanted.items()
        )
    return type(found) is bool and found is wanted if isinstance(wanted, bool) else found == wanted


@given(VALUES)
def test_any_value_is_read_back(value: Any) -> None:
    chunk = schema_lua({"value": value})
    assert chunk.startswith("return {")
    assert same(evaluated(chunk), {"value": value})


@pytest.mark.parametrize("name", ["hello", "rate-limit", "key-auth", "audit-log", "rich"])
def test_the_schema_is_that_of_the_dump(name: str, tmp_path: Path) -> None:
    directory = EXAMPLES
    if name == "rich":
        directory = tmp_path
        (tmp_path / "rich.py").write_text(RICH, encoding="utf-8")
    place = ("-plugins-directory", directory)
    (dumped,) = json.loads(run(*MODULE, *place, "-dump", name).stdout)
    done = run(*MODULE, "schema", name, *place)
    assert done.returncode == 0, done.stderr
    assert b"plugin-schemas" in done.stderr
    text = done.stdout.decode()
    assert text.startswith("return ")
    assert same(evaluated(text), dumped["Schema"])
    done = run(*MODULE, "schema", name, *place, "-format", "json")
    assert json.loads(done.stdout) == dumped["Schema"]
    assert done.stderr == b""
