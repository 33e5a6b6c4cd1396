"""The wheel that was built, installed as users install it: into an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_DIRECTORY = os.environ.get("PLUGINSERVER_DIST")
WHEEL = next(Path(_DIRECTORY).glob("*.whl"), None) if _DIRECTORY else None
"""The wheel that ``tox -e release`` has built; None where none was."""


def installed_into(directory: Path, *extras: str) -> Path:
    """Make an environment, and install the wheel there.

    :param directory: where.
    :param extras: those of the distribution that are wanted.
    :returns: the directory of its commands.
    """
    assert WHEEL is not None
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    subprocess.run([sys.executable, "-m", "venv", directory], check=True, env=environment)
    commands = directory / "bin"
    wanted = f"kong-python-server[{','.join(extras)}] @ {WHEEL.as_uri()}"
    subprocess.run(
        [commands / "python", "-m", "pip", "install", "--quiet", wanted],
        check=True,
        env=environment,
    )
    return commands
