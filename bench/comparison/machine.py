"""Where and how a run was made, in words."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from .servers import BENCH, versions


def described(command: str) -> dict[str, str]:
    """What a reader has to know to judge the figures, by name.

    :param command: the command line of the run.
    """
    cores = len(os.sched_getaffinity(0))
    shown = {
        "command": f"``{command}``",
        "when": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        "cores": f"{cores}, {_processor()}",
        "load before it": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "system": f"Linux {platform.release()}",
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "packages": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }
    if shutil.which("node"):
        shown["Node.js"] = _said("node", "--version")
    revision = _said("git", "-C", str(BENCH), "describe", "--always", "--dirty")
    if revision:
        shown["revision"] = revision
    return shown


def busy() -> str:
    """A warning when others use the machine, else nothing."""
    load = os.getloadavg()[0]
    if load < 0.5:
        return ""
    return f"the machine is busy (load {load:.1f}): the spread will be large, and the ratios less true"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
