"""The real kong-pdk beside this package: each command that loads its plugins says so once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.commands import MODULE, environment, run
from support.kongpdk import without_kong_pdk, write

TOLD = b"run pip uninstall kong-pdk, then pip install --force-reinstall kong-python-server"


@pytest.fixture
def both(prefix: Path) -> dict[str, str]:
    """The environment of a child that finds a package of kong-pdk's name."""
    package = prefix / "site" / "kong_pdk" / "pdk" / "kong"
    package.mkdir(parents=True)
    for directory in (package, package.parent, package.parent.parent):
        (directory / "__init__.py").write_text(
            "class kong: pass\nclass PDKException(Exception): pass\n"
        )
    inherited = environment()
    path = os.pathsep.join([str(prefix / "site"), inherited["PYTHONPATH"]])
    return {**inherited, "PYTHONPATH": path}


COMMANDS = [
    ("check",),
    ("kong-conf",),
    ("dump", "moved", "--output", "d"),
    ("schema", "moved"),
    ("-dump",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_it_is_said_once_with_the_remedy(
    command: tuple[str, ...], both: dict[str, str], prefix: Path
) -> None:
    plugins = prefix / "plugins"
    plugins.mkdir()
    write(plugins, "moved", head="version, priority = '1.0.0', 1\nSchema = ()")
    arguments = (*MODULE, *command, "-plugins-directory", plugins)
    done = run(*arguments, env=both, cwd=prefix)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(TOLD) == 1, done.stderr
    assert TOLD not in done.stdout
    assert TOLD not in run(*arguments, env=without_kong_pdk(), cwd=prefix).stderr


def test_it_is_nothing_to_those_who_have_no_plugin_of_kong_pdk(
    both: dict[str, str], prefix: Path
) -> None:
    plugins = prefix / "plugins"
    plugins.mkdir()
    (plugins / "own.py").write_text(
        "version, priority = '1.0.0', 1\nclass Plugin:\n    def access(self, kong): pass\n"
    )
    assert TOLD not in run(*MODULE, "check", "-plugins-directory", plugins, env=both).stderr
