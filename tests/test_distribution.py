"""What is installed is all of it, and is found under its name."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from support.paths import ROOT

import pluginserver
from pluginserver.version import DISTRIBUTION, __version__

SOURCE = ROOT / "pluginserver"


@pytest.fixture
def installed() -> metadata.Distribution:
    """The distribution, where it is installed as users do it, and not as a link to the source."""
    if Path(pluginserver.__file__).is_relative_to(ROOT / "pluginserver"):
        pytest.skip("the package is not installed")
    return metadata.distribution(DISTRIBUTION)


def test_its_version_is_the_packages(installed: metadata.Distribution) -> None:
    assert installed.version == __version__


def test_it_holds_every_file_of_the_package(installed: metadata.Distribution) -> None:
    held = {str(path) for path in installed.files or ()}
    wanted = {
        str(path.relative_to(ROOT))
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "pluginserver/py.typed" in wanted
    assert not wanted - held


def test_its_commands_and_its_pytest_plugin_are_found(installed: metadata.Distribution) -> None:
    names = {(entry.group, entry.name) for entry in installed.entry_points}
    assert {("console_scripts", "pluginserver"), ("pytest11", "pluginserver")} <= names


def test_what_its_extras_want_is_its_own(installed: metadata.Distribution) -> None:
    own = [one for one in installed.requires or () if one.startswith("pluginserver")]
    assert not own, "on the package index pluginserver is somebody else's"
