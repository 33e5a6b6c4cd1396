"""A folder for a new plugin: the plugin, its test, a README and its ``pyproject.toml``.

Rules kept here:

* what is written works as it is: its tests pass with pytest and this package alone, ``pluginserver check
  --strict`` finds nothing, and type checkers and linters have nothing to say;
* a plugin asks for ProtoBuf:1, since all that it calls is there: Kong answers 500 while no server runs,
  where it would let requests pass in MsgPack:1;
* nothing that is there is written over, and no half of a folder stays;
* the file has a name that Python can import, whatever the plugin is called.
"""

from __future__ import annotations

import keyword
import re
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from ..errors import PluginServerError
from ..version import DISTRIBUTION, __version__

STYLES: Final = {
    "attrs": "a configuration, and a header for the client",
    "auth": "let callers in who show a token",
    "transform": "change what the service gets",
    "log": "write a line after each request",
}
"""What a new plugin can begin with, and what it does."""

_CONFIGURATION: Final = {"auth": " --config $name.token='open sesame'"}
"""What ``pluginserver dev`` is to be told of a style that cannot run without."""

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*", re.ASCII)

_TAKEN: Final = frozenset({"attr", "attrs", "pluginserver", "pytest", "conftest"})
"""Modules that a plugin and its tests import, besides those of Python itself."""


def create(name: str, style: str, into: Path) -> Path:
    """Write the folder of a new plugin.

    :param name: the plugin's name, and the folder's.
    :param style: one of :data:`STYLES`.
    :param into: the directory in which the folder is made.
    :returns: the folder.
    :raises PluginServerError: when a plugin cannot have that name, or something is in the folder's place.
    :raises OSError: when it cannot be written.
    """
    module = _module(name)
    folder = into / name
    words = {
        "name": name,
        "module": module,
        "distribution": DISTRIBUTION,
        "version": __version__,
    }
    words["dev"] = Template(_CONFIGURATION.get(style, "")).substitute(words)
    texts = {
        f"{module}.py": f"{style}/plugin.txt",
        f"test_{module}.py": f"{style}/test.txt",
        "README.md": "README.txt",
        "pyproject.toml": "pyproject.txt",
    }
    try:
        folder.mkdir()
    except FileExistsError:
        raise PluginServerError(
            f"there is something called {folder} already: give the plugin another name, or say -into DIR"
        ) from None
    try:
        for file, template in texts.items():
            (folder / file).write_text(_filled(template, words), encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _filled(template: str, words: dict[str, str]) -> str:
    text = files(__package__).joinpath("templates", *template.split("/")).read_text("utf-8")
    return Template(text).substitute(words)


def _module(name: str) -> str:
    """The module of a plugin of that name.

    :raises PluginServerError: when there can be none.
    """
    if not _NAME.fullmatch(name):
        raise PluginServerError(
            f"{name!r} cannot be a plugin's name: begin with a letter, and go on with letters and"
            " digits, with single dashes or underscores between them, such as my-plugin"
        )
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names | _TAKEN:
        raise PluginServerError(
            f"{name!r} cannot be a plugin's name: Python has its own meaning for {module}, and a file of"
            f" that name would hide it; my-{name} would do"
        )
    return module
