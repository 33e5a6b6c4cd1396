"""From a few words to a transport: how tests and command lines name the way to a plugin server.

Rules kept here:

* what is named is started here, and closed by the transport's ``close``.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from ..kong.quirks import Quirks
from .base import GatewayError, Transport
from .inprocess import InProcess
from .plugins import Collection, Library
from .sockets import Command, Host, OwnEmbedded, Socket

Server: TypeAlias = "str | os.PathLike[str] | Sequence[str]"
"""A plugin server to test with.

``"in-process"``, without a socket; ``"embedded"``, ours in this process over a socket; ``"socket:PATH"``
or a path object, one that runs; ``"command:LINE"`` or a list of arguments, one to start, in which
``{socket}`` stands for the path that it is to listen on.
"""


def connect(
    server: Server = "in-process",
    *,
    root: str | os.PathLike[str] = ".",
    quirks: Quirks | None = None,
    timeout: float = 60.0,
    library: Library | None = None,
    round_trips: str = "plain",
    besides: Path | None = None,
) -> Transport:
    """The transport to a plugin server, which it starts where that is needed.

    :param server: which one.
    :param root: where relative paths of plugins begin.
    :param quirks: which of Kong's habits the client has.
    :param timeout: how long an answer may take, in seconds.
    :param library: where loaded plugins are kept for the next gateway.
    :param round_trips: as the server's option of that name, for ours in this process.
    :param besides: where a relative path of a plugin begins that is not there.
    :raises GatewayError: when ``server`` says nothing known, or does not start.
    """
    habits = quirks or Quirks()
    if isinstance(server, os.PathLike):
        return Socket(server, habits, timeout)
    if not isinstance(server, str):
        return Command(list(server), habits, timeout)
    kind, _, rest = server.partition(":")
    if server == "in-process":
        return InProcess(Collection(Path(root), library, besides), timeout, round_trips)
    if server == "embedded":
        host = Host(Collection(Path(root), library, besides), round_trips=round_trips)
        return OwnEmbedded(host, habits, timeout)
    if kind == "socket" and rest:
        return Socket(rest, habits, timeout)
    if kind == "command" and rest:
        return Command(shlex.split(rest), habits, timeout)
    raise GatewayError(
        f"{server!r} is not a plugin server: say in-process, embedded, socket:PATH or command:LINE"
    )
