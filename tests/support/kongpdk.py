"""Plugins for kong-pdk, and what stands for a machine on which it is not installed."""

from __future__ import annotations

import os
from pathlib import Path

from .commands import environment
from .paths import TESTS

ABSENT = TESTS / "support" / "absent"

PLUGINS = TESTS / "compat" / "plugins"
"""The plugins of the tests, as their authors wrote them for kong-pdk."""


def without_kong_pdk(**more: str) -> dict[str, str]:
    """The environment of a child that finds no real kong-pdk.

    :param more: further variables.
    """
    inherited = environment()
    path = os.pathsep.join([str(ABSENT), inherited["PYTHONPATH"]])
    return {**inherited, "PYTHONPATH": path, **more}


def write(directory: Path, name: str, *lines: str, head: str = "") -> Path:
    """Write a plugin for kong-pdk whose ``access`` has these lines.

    :param head: what stands before the class.
    """
    path = directory / f"{name}.py"
    body = "".join(f"        {line}\n" for line in lines or ("pass",))
    path.write_text(
        f"import kong_pdk.pdk.kong as kong\n{head}\n"
        "class Plugin(object):\n"
        "    def __init__(self, config):\n"
        "        self.config = config\n"
        "    def access(self, kong: kong.kong):\n" + body
    )
    return path
