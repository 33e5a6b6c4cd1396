"""Asks a server for its figures, over its plugin socket, as ``pluginserver status`` does."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Final

from msgpack import Unpacker, packb

from ..errors import PluginServerError
from ..spec.methods import SERVER_STATUS

PATIENCE: Final = 10.0
"""Seconds to wait for an answer: several processes may take two."""

_MESSAGE: Final = 1
_RESPONSE: Final = 1


def ask(path: Path) -> dict[str, Any]:
    """The figures of the server that listens on a socket, of all of its processes.

    :returns: what :func:`~pluginserver.rpc.report.figures` makes.
    :raises PluginServerError: when nobody listens there, or answers, or what listens has no such figures.
    """
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        try:
            sock.connect(str(path))
            sock.sendall(packb([0, _MESSAGE, SERVER_STATUS, [None]]))
            error, answer = _response(sock)
        except TimeoutError:
            raise PluginServerError(
                f"the server on {path} does not answer within {PATIENCE:g} s: see its log, and send it"
                " SIGUSR1 to have it write where its threads are"
            ) from None
        except (OSError, ValueError) as failure:
            raise PluginServerError(
                f"no server can be asked on {path}: {failure}: give the socket that it listens on"
            ) from None
    if error is not None or not isinstance(answer, dict):
        raise PluginServerError(
            f"the server on {path} tells no status ({error}): it is another one, or an older version"
        )
    return answer


def _response(sock: socket.socket) -> tuple[Any, Any]:
    """The error and the result that answer our request; what else the server says is passed over.

    :raises OSError: when the server closes the connection.
    """
    unpacker = Unpacker(strict_map_key=False)
    while data := sock.recv(65536):
        unpacker.feed(data)
        for frame in unpacker:
            if isinstance(frame, list) and frame[:2] == [_RESPONSE, _MESSAGE]:
                return frame[2], frame[3]
    raise ConnectionResetError("it closed the connection")
