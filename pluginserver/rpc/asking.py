"""How a new server asks the one that listens to let it take over.

Rules kept here:

* a server of another user is asked nothing, and one that does not answer is not waited for;
* whatever the answer is, it says in one sentence why nothing is taken over.
"""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path
from time import monotonic
from typing import Any, Final

from ..errors import LinkError, PluginServerError, SocketInUseError
from .link import TAKE_OVER, VERSION, Link, user_of

ANSWER: Final = 2.0
"""Seconds that the old server gets to answer: one that needs longer cannot be relied on for the rest."""


def connect(path: Path) -> Link:
    """A link to the server that listens.

    :raises SocketInUseError: when it cannot be asked.
    :raises LinkError: when it is gone.
    """
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(ANSWER)
    try:
        sock.connect(os.fspath(path))
        user = user_of(sock)
    except (ConnectionError, FileNotFoundError) as error:
        sock.close()
        raise LinkError(f"the other server is gone: {error}") from None
    except OSError as error:
        sock.close()
        raise in_use(path, f"it does not answer ({error})") from None
    if user != os.geteuid():
        sock.close()
        raise in_use(path, "it is another user's")
    return Link(sock)


def asked(link: Link, path: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Ask over a link; it is released when nothing is taken over.

    :param about: what the server is to know besides what all of them are told.
    :returns: the answer.
    :raises SocketInUseError: when it refuses, or does not answer in :data:`ANSWER`.
    :raises LinkError: when it is gone.
    """
    try:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - len(os.listdir("/proc/self/fd"))
        all_are_told = {"Version": VERSION, "Pid": os.getpid(), "Descriptors": files}
        link.send(0, 1, TAKE_OVER, [{**all_are_told, **about}])
        return _answer(link, path)
    except PluginServerError:
        link.release()
        raise


def _answer(link: Link, path: Path) -> dict[str, Any]:
    deadline = monotonic() + ANSWER
    while (left := deadline - monotonic()) > 0:
        frame = link.receive(left)
        if frame is not None and frame[0] == 1:
            _, _, error, answer = frame
            if error is not None:
                raise in_use(path, error)
            assert isinstance(answer, dict)
            return answer
    raise in_use(path, f"it does not answer within {ANSWER:g} s")


def in_use(path: Path, why: str) -> SocketInUseError:
    """The error that says why there is nothing to take over."""
    return SocketInUseError(
        f"another server is listening on {path}, and this one cannot take over: {why}"
    )
