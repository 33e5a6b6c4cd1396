"""Checks of the server's process: how it ends and starts again; only of one that a command starts.

Rules kept here:

* the server runs again when a check is over.
"""

from __future__ import annotations

import os

from ...transports.sockets import Command
from ..check import Group
from ..probe import Probe, Skipped, want

CHECKS = Group("process", protocol=None)


def _command(probe: Probe) -> Command:
    if not isinstance(probe.server, Command):
        raise Skipped("the server was not started by a command")
    return probe.server


@CHECKS.should("SIGTERM ends it with status 0")
def _(probe: Probe) -> None:
    server = _command(probe)
    status = server.stop()
    server.start()
    want(status == 0, f"the exit status is {status}")


@CHECKS.should("the socket is gone after SIGTERM")
def _(probe: Probe) -> None:
    server = _command(probe)
    server.stop()
    left = os.path.exists(server.path)
    server.start()
    want(not left, f"{server.path} is still there")


@CHECKS.must("it starts where a killed one left its socket")
def _(probe: Probe) -> None:
    server = _command(probe)
    server.stop(kill=True)
    server.start()
    probe.alive()
