"""The reference of the PDK: every namespace has its page, and the table of phases is current."""

from __future__ import annotations

import importlib.util
import itertools
import re
import sys
import textwrap
from types import ModuleType
from typing import Any

import pytest
from support.driving import drive
from support.paths import DOCS

from pluginserver.pdk import kong
from pluginserver.spec.functions import FUNCTIONS


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("phases", DOCS / "_ext" / "phases.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_phases_is_current(generator: ModuleType) -> None:
    assert generator.PAGE.read_text() == generator.page(), "run: python docs/_ext/phases.py"


def test_the_table_has_every_function(generator: ModuleType) -> None:
    marks = {}
    title = ""
    lines = generator.page().splitlines()
    for line, below in itertools.pairwise(lines):
        if below and set(below) == {"="}:
            title = line
        elif match := re.fullmatch(r" +\* - ``(\w+)``", line):
            name = f"{title}.{match[1]}"
            place = lines.index(line, lines.index(title))
            marks["kong.log" if name == "kong.log.log" else name] = [
                cell.strip() == "- x" for cell in lines[place + 1 : place + 7]
            ]
    assert marks == {
        name: [phase in function.phases for phase in generator.PHASES]
        for name, function in FUNCTIONS.items()
    }


def test_every_namespace_has_a_page() -> None:
    pages = "".join(path.read_text() for path in (DOCS / "pdk").glob("*.rst"))
    spaces = [kong, *(getattr(kong, name) for name in dir(type(kong)) if name[0] != "_")]
    for space in spaces:
        cls = type(space)
        if cls.__module__.startswith("pluginserver."):
            assert f"autoclass:: {cls.__module__}.{cls.__qualname__}" in pages


CONSUMER = {"id": "c", "username": "ann"}


@pytest.mark.parametrize(
    ("answers", "last_calls", "last_message"),
    [
        ([], ["kong.request.get_header"], (401, {"message": "No API key"})),
        (["k"], ["kong.client.load_consumer"], (403, {"message": "Unknown API key"})),
        (
            ["k", CONSUMER],
            ["kong.client.authenticate", "kong.service.request.set_header"],
            None,
        ),
    ],
)
def test_the_plugin_of_the_guide_works(
    answers: list[Any],
    last_calls: list[str],
    last_message: tuple[Any, ...] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guide = (DOCS / "guides" / "from-lua.rst").read_text()
    code = guide.partition(".. code-block:: python\n")[2].partition("\nThe schema")[0]
    module = ModuleType("from_lua")
    monkeypatch.setitem(sys.modules, "from_lua", module)
    exec(textwrap.dedent(code), module.__dict__)
    plugin = module.Plugin()
    calls, ending, failures = drive(lambda: plugin.access(kong), answers)
    assert failures == []
    assert [method for method, _ in calls][-len(last_calls) :] == last_calls
    assert ending.call == (last_message and ("kong.response.exit", last_message))
