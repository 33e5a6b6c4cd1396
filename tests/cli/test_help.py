"""The help is as wide as what shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import MODULE, environment


@pytest.mark.parametrize("columns", ["60", "120"])
def test_the_help_is_as_wide_as_it_is_told(columns: str) -> None:
    shown = subprocess.run(
        [sys.executable, *MODULE, "-help"],
        env={**environment(), "COLUMNS": columns},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    widest = max(len(line) for line in shown.splitlines())
    assert int(columns) - 20 < widest <= int(columns) - 2


def test_a_dump_loads_nothing_that_only_the_help_or_the_server_needs(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        "version, priority = '1.0.0', 1\nclass Plugin:\n    def access(self, kong): pass\n"
    )
    shown = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            *MODULE,
            "-plugins-directory",
            str(tmp_path),
            "-dump",
        ],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    loaded = {line.rpartition("|")[2].strip() for line in shown.splitlines()}
    assert "pluginserver.plugins.registry" in loaded
    assert not loaded & {
        "shutil",
        "bz2",
        "lzma",
        "socket",
        "difflib",
        "cattrs",
        "pluginserver.server",
    }
