"""The version, in the one place where packaging, the command line and the docs read it."""

from __future__ import annotations

__version__ = "0.1.0"

DISTRIBUTION = "kong-python-server"
"""What it is called on the package index, where ``pluginserver`` is somebody else's."""


def needs(what: str, module: str | None, extra: str) -> str:
    """What somebody is told who asks for what is not installed.

    :param what: what was asked for, a flag or a command.
    :param module: the module that is missing.
    :param extra: the extra that brings it.
    """
    return (
        f"{what} needs {module}, which is not installed: run pip install '{DISTRIBUTION}[{extra}]'"
    )
