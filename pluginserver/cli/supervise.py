"""A server of several processes, as a process of its own: it starts the others, and serves nobody itself.

Rules kept here:

* a member is started as this process was: by the same interpreter, with the same arguments and flags;
* no plugin is imported here, and nothing that only a server needs.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from ..runtime.options import Options
from ..runtime.systemd import Systemd
from ..supervisor.supervisor import Plan, Supervisor


def supervise(arguments: argparse.Namespace, socket: str, chosen: dict[str, Any]) -> int:
    """Run a supervisor, with members that are started as this process was.

    :param chosen: the options of the server.
    :returns: the exit code.
    :raises PluginServerError: when it cannot start.
    """

    plan = Plan(
        processes=arguments.processes,
        command=[sys.executable, *sys.orig_argv[1:]],
        path=Path(socket),
        options=Options(**chosen),
        frozen_timeout=arguments.frozen_timeout,
    )
    return Supervisor(plan, Systemd(os.environ)).run()
