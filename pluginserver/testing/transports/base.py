"""How the simulated Kong reaches a plugin server: what the transports have in common.

A transport carries calls and nothing else: which calls are made, and what their answers mean, is one
code for all of them, in :mod:`pluginserver.testing.kong.client`.

Rules kept here:

* a transport raises :class:`~.wire.RemoteError`, :class:`~.wire.NoAnswer` or a
  :class:`~pluginserver.testing.kong.lua.LuaError` for what Kong would see, and :class:`GatewayError` for
  what the test did wrong.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import attrs

from ...spec.methods import GET_PLUGIN_INFO
from ...spec.protocols import MSGPACK
from .protobuf import Calls
from .wire import RemoteError

Source: TypeAlias = "str | os.PathLike[str] | ModuleType | type"
"""A plugin: the path of its file or package, a module, its class, or the name that a server knows."""


class GatewayError(Exception):
    """A test has set the gateway up wrongly; the text says what, and what to do."""


@attrs.frozen
class PluginInfo:
    """What a plugin server says of a plugin.

    :param name: its name.
    :param version: its version.
    :param priority: the higher, the earlier it runs.
    :param phases: the phases that it has a handler for.
    :param schema: its schema as Kong gets it.
    :param protocol: the protocol in which Kong speaks with it, ``"msgpack"`` or ``"protobuf"``.
    """

    name: str
    version: str = ""
    priority: int = 0
    phases: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)
    schema: dict[str, Any] = attrs.field(factory=dict, eq=False)
    protocol: str = MSGPACK


@attrs.frozen
class HandlerFailure:
    """Something that went wrong in a handler, seen from inside the plugin server's process.

    :param event_id: the event.
    :param kind: ``"raised"`` or ``"leaked greenlet"``.
    :param error: the exception; None for a leak.
    :param text: what is known of it.
    """

    event_id: int
    kind: str
    error: BaseException | None
    text: str = ""


def nothing() -> None:
    """Do nothing: for whoever has nothing to do while a server is down, or is replaced."""


class Transport(Protocol):
    """A way to a plugin server."""

    on_notification: Callable[[Any, Any], None]
    """Told of the label and argument of each notification that comes."""

    timeout: float
    """Seconds that an answer may take."""

    def load(self, source: Source) -> str:
        """Make a plugin known to the server.

        :returns: its name.
        :raises GatewayError: when the server cannot be told, or the plugin cannot be loaded.
        """

    def protocol(self, plugin: str) -> str:
        """The protocol that a plugin of the server asks for: ``"msgpack"`` or ``"protobuf"``."""

    @property
    def protobuf(self) -> Calls:
        """The way to the server in ProtoBuf:1; all else here is MsgPack:1."""

    def call(self, method: Any, argument: Any) -> Any:
        """Call a method of the server: see :meth:`pluginserver.testing.transports.wire.RPCClient.call`."""

    def break_off(self, method: Any, argument: Any) -> None:
        """Send a request and close the connection: see :meth:`.wire.RPCClient.break_off`."""

    def abandon(self, event_id: int) -> None:
        """Kong has forgotten an event: clean up what would wait for its time-out."""

    def handler_failures(self) -> list[HandlerFailure]:
        """What went wrong in handlers since the last call, where that can be seen."""

    def restart(self, meanwhile: Callable[[], None] = nothing) -> None:
        """Stop the server and start it again.

        :param meanwhile: called in between.
        :raises GatewayError: when it is not ours to restart.
        """

    def reload(self, overlap: Callable[[], None] = nothing) -> None:
        """Begin another nginx worker, with new connections; a server that Kong started is replaced.

        :param overlap: called while both servers run; events under way end on the old one.
        """

    def close(self) -> None:
        """Let go of the server, and stop it if we started it."""


def describe(transport: Transport, name: str, protocol: str | None = None) -> PluginInfo:
    """Ask the server for a plugin's description.

    :param protocol: the protocol in which it is to be served; None for the one that it asks for.
    :raises GatewayError: when the server does not know it.
    """
    try:
        found = transport.call(GET_PLUGIN_INFO, name)
    except RemoteError as error:
        raise GatewayError(f"the plugin server cannot describe {name!r}: {error}") from None
    return PluginInfo(
        found["Name"],
        found["Version"],
        found["Priority"],
        found["Phases"],
        found["Schema"],
        protocol or transport.protocol(name),
    )
