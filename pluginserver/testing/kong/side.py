"""What Kong's plugin server client needs of a protocol; :mod:`.messagepack` and :mod:`.protobuf` have it.

Rules kept here:

* an error of the server is a ``RemoteError``, no answer a ``NoAnswer``; what becomes of them is for the
  client to say, which asks here whether the event is to run again.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..record.exchange import Run
from ..transports.wire import NoAnswer
from .router import Binding
from .state import State


class ClientGone(Exception):
    """The client went away while Kong waited: nothing more is sent for its request."""


class Told(NoAnswer):
    """An event failed by a mistake that the record tells of already."""


class Side(Protocol):
    """Kong's side of one protocol."""

    def start(self, binding: Binding) -> Any:
        """Start an instance.

        :returns: its id.
        :raises RemoteError: for the server's error.
        :raises NoAnswer: when none came in time, or the server is gone.
        :raises LuaError: for an answer of another shape.
        """

    def close(self, plugin: str, instance_id: Any) -> None:
        """Close an instance; raises as :meth:`start`."""

    def event(self, state: State, run: Run) -> None:
        """Run an event to its end, on the instance that the record names.

        :raises RemoteError: for the server's error.
        :raises NoAnswer: when an answer did not come in time, or the server is gone.
        :raises LuaError: when Kong's code failed.
        :raises Exit: when the plugin answered the request.
        :raises ClientGone: when the client went away.
        """

    def runs_again(self, text: str) -> bool:
        """Whether an event that ended with this error runs again, on a new instance."""

    def failed(self, state: State, text: str) -> None:
        """Do what becomes of a request whose event ended with this error.

        :raises LuaError: to answer it as Kong answers a failure of its own.
        :raises Exit: to answer it.
        """
