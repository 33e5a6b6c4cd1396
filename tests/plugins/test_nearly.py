"""Files that are no plugin, and which of them are meant to be one: pluginserver/plugins/nearly.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pluginserver.plugins.nearly import lacking
from pluginserver.plugins.plugin import PARTS

HANDLER = "    def access(self, kong): pass\n"

MEANT = {
    "no version": (
        f"priority = 1\nclass Plugin:\n{HANDLER}",
        ["version"],
        'it defines no version: write version = "1.0.0"',
        2,
    ),
    "neither version nor priority": (
        f"class Plugin:\n{HANDLER}",
        ["version", "priority"],
        'it defines no version and no priority: write version = "1.0.0" and write priority = 100',
        1,
    ),
    "a class of another name": (
        f'version = "1.0.0"\npriority = 1\nclass Hello:\n{HANDLER}',
        [],
        "it defines no class Plugin: rename the class Hello to Plugin",
        3,
    ),
    "another name, and no priority": (
        f'version = "1.0.0"\nclass Hello:\n{HANDLER}',
        [],
        "it defines no class Plugin and no priority: rename the class Hello to Plugin and write priority",
        2,
    ),
    "names as in Lua": (
        f'VERSION = "1.0.0"\nPRIORITY = 1\nclass Plugin:\n{HANDLER}',
        ["version", "priority"],
        "it defines no version and no priority: rename VERSION to version and rename PRIORITY to priority",
        3,
    ),
    "a class that is made elsewhere": (
        'version = "1.0.0"\npriority = 1\nmake("Plugin")\n',
        ["Plugin"],
        "it defines no Plugin: call its class Plugin",
        1,
    ),
    "a constructor of kong-pdk's": (
        f"class Plugin:\n    def __init__(self, config): pass\n{HANDLER}",
        ["version"],
        'write version = "1.0.0", or serve it with kong-python-pluginserver',
        1,
    ),
}

HELPERS = {
    "nothing": "",
    "functions": "def f(): pass\nversion = 1\n",
    "a class with what is like a handler": f"class Base:\n{HANDLER}",
    "a class without a handler": "priority = 1\nclass Base:\n    def more(self, kong): pass\n",
    "what cannot be parsed": "class Plugin(\n",
}


@pytest.mark.parametrize("what", MEANT)
def test_what_is_meant_to_be_a_plugin_is_told_what_it_lacks(what: str, tmp_path: Path) -> None:
    source, missing, text, line = MEANT[what]
    path = tmp_path / "p.py"
    path.write_text(source)
    error = lacking(path, missing)
    assert error.meant
    assert error.place == (str(path), line)
    assert text in str(error)
    assert str(error).startswith(f"{path} is not a plugin: ")
    assert str(error).endswith(f" ({path}:{line})")


@pytest.mark.parametrize("what", HELPERS)
def test_a_helper_is_none(what: str, tmp_path: Path) -> None:
    path = tmp_path / "p.py"
    path.write_text(HELPERS[what])
    assert not lacking(path).meant
    assert str(lacking(path)) == f"{path} is not a plugin: it defines no class Plugin"
    assert not lacking(path, PARTS).meant
