"""``kong.ctx.shared`` and ``kong.nginx.ctx`` as mappings."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
from support.driving import ask

from pluginserver import kong
from pluginserver.pdk.mapping import KongTable

TABLES = pytest.mark.parametrize(
    ("table", "get", "set_"),
    [
        (kong.ctx.shared, "kong.ctx.shared.get", "kong.ctx.shared.set"),
        (kong.nginx.ctx, "kong.nginx.get_ctx", "kong.nginx.set_ctx"),
    ],
    ids=["ctx.shared", "nginx.ctx"],
)


@TABLES
def test_reading(table: KongTable, get: str, set_: str) -> None:
    assert isinstance(table, MutableMapping)
    assert ask(lambda: table["k"], answers=[5]) == ([(get, ("k",))], 5)
    assert ask(lambda: "k" in table, answers=[0]) == ([(get, ("k",))], True)
    assert ask(lambda: "k" in table) == ([(get, ("k",))], False)
    assert ask(lambda: table.get("k", 7)) == ([(get, ("k",))], 7)
    with pytest.raises(KeyError, match="k"):
        ask(lambda: table["k"])


@TABLES
def test_writing(table: KongTable, get: str, set_: str) -> None:
    def write() -> None:
        table["a"] = [1]
        table["b"] = None
        del table["c"]
        table.update({"d": True})

    calls, _ = ask(write)
    assert calls == [(set_, ("a", [1])), (set_, ("b",)), (set_, ("c",)), (set_, ("d", True))]


@TABLES
def test_taking_out(table: KongTable, get: str, set_: str) -> None:
    assert ask(table.pop, "k", answers=[5]) == ([(get, ("k",)), (set_, ("k",))], 5)
    assert ask(table.pop, "k", 7) == ([(get, ("k",))], 7)
    assert ask(table.setdefault, "k", 7) == ([(get, ("k",)), (set_, ("k", 7))], 7)


@TABLES
@pytest.mark.parametrize("call", [list, len, dict, lambda table: table.clear()])
def test_the_entries_cannot_be_listed(
    table: KongTable, get: str, set_: str, call: Callable[[Any], Any]
) -> None:
    with pytest.raises(TypeError, match=f"the entries of {table.NAME} cannot be listed"):
        ask(call, table)


@TABLES
def test_what_needs_no_entries(table: KongTable, get: str, set_: str) -> None:
    assert bool(table)
    assert table == table
    assert table != {}
    assert {table: 1}[table] == 1
    assert repr(table) == f"<{table.NAME}>"
