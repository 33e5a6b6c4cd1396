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


def extension(name: str) -> ModuleType:
    """One of the modules in ``docs/_ext``."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / "_ext" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = extension("pdk")


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    return extension("phases")


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
    spaces = dict(reference.namespaces(kong))
    spaces = {name: space for name, space in spaces.items() if [*reference.functions(space, name)]}
    assert len(spaces) > 15
    for name in spaces:
        assert f".. pdk:: {name}\n" in pages, name
    assert "autoclass:: pluginserver.pdk" not in pages.replace(
        "autoclass:: pluginserver.pdk.vault.Secret", ""
    ).replace("autoclass:: pluginserver.pdk.handler.KongHandler", "")


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
