"""The transports over a socket: a server that runs, one that a command starts, and ours in this process.

Rules kept here:

* a server is stopped by whoever started it, and by nobody else;
* a command that does not listen in time is an error, one that does not end in time is killed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from ...server import PluginServer
from ...spec.protocols import MSGPACK
from ..kong.quirks import Quirks
from .base import GatewayError, HandlerFailure, Source, nothing
from .plugins import Collection
from .protobuf import ProtoBufClient
from .wire import ClientConnection, NoAnswer, RPCClient

STARTING: Final = 20.0
"""Seconds that a command gets until its socket can be connected to."""

STOPPING: Final = 10.0
"""Seconds that it gets after SIGTERM."""

SOCKET: Final = "{socket}"
"""What stands for the socket's path in a command."""


class Socket:
    """A plugin server that listens on a socket, whoever runs it.

    :param path: the socket's path.
    :param quirks: which of Kong's habits the client has.
    :param timeout: how long an answer may take, in seconds.
    """

    def __init__(self, path: str | os.PathLike[str], quirks: Quirks, timeout: float) -> None:
        self.path = Path(path)
        self.timeout = timeout
        self.on_notification: Callable[[Any, Any], None] = lambda _label, _argument: None
        self._client = RPCClient(os.fspath(path), quirks, timeout, self._notified)
        self._protobuf = ProtoBufClient(os.fspath(path), timeout, quirks.hopping)

    def _notified(self, label: Any, argument: Any) -> None:
        self.on_notification(label, argument)

    def load(self, source: Source) -> str:
        """The name itself: what the server serves is its own affair.

        :raises GatewayError: for anything but a name.
        """
        if not isinstance(source, str) or os.sep in source:
            raise GatewayError(
                f"the plugin server at {self.path} loads its plugins itself: give the plugin's name "
                f"instead of {source!r}"
            )
        return source

    def protocol(self, _plugin: str) -> str:
        """MsgPack:1: what a server that is not ours is asked for is the test's to say."""
        return MSGPACK

    @property
    def protobuf(self) -> ProtoBufClient:
        """The way to the server in ProtoBuf:1."""
        return self._protobuf

    def call(self, method: Any, argument: Any) -> Any:
        """Call a method: see :meth:`.wire.RPCClient.call`."""
        return self._client.call(method, argument)

    def break_off(self, method: Any, argument: Any) -> None:
        """Send a request and go away: see :meth:`.wire.RPCClient.break_off`."""
        self._client.break_off(method, argument)

    def abandon(self, event_id: int) -> None:
        """Nothing: Kong does not tell the server."""

    def handler_failures(self) -> list[HandlerFailure]:
        """Nothing: what goes on inside the server is not seen from here."""
        return []

    def restart(self, _meanwhile: Callable[[], None] = nothing) -> None:
        """Refused: the server is not ours.

        :raises GatewayError: always.
        """
        raise GatewayError(f"the plugin server at {self.path} is not ours to restart")

    def reload(self, overlap: Callable[[], None] = nothing) -> None:
        """Begin another nginx worker; the server, which Kong did not start, stays."""
        self._drop_idle()
        overlap()

    def _drop_idle(self) -> None:
        self._client.close()
        self._protobuf.pool.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._protobuf.close()


class Command(Socket):
    """A plugin server that a command starts.

    :param command: the program and its arguments; ``{socket}`` in them stands for the socket's path.
    :param path: the socket's path; in a directory of our own when not given.
    :param environment: the command's environment; ours when not given.
    :raises GatewayError: when it does not listen in time.
    """

    def __init__(
        self,
        command: Sequence[str],
        quirks: Quirks,
        timeout: float,
        *,
        path: str | os.PathLike[str] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._directory = tempfile.mkdtemp(prefix="kong-") if path is None else None
        super().__init__(path or f"{self._directory}/plugins.sock", quirks, timeout)
        self._command = [part.replace(SOCKET, str(self.path)) for part in command]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start the process; it must not run.

        :raises GatewayError: when it does not listen in time.
        """
        shown = " ".join(self._command)
        try:
            self._process = subprocess.Popen(self._command, env=self._environment)
        except OSError as error:
            raise GatewayError(f"the command {shown} cannot be started: {error}") from None
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline:
            try:
                ClientConnection(str(self.path), self.timeout).close()
                return
            except NoAnswer:
                pass
            if self._process.poll() is not None:
                status = self._process.returncode
                raise GatewayError(f"the command {shown} ended with status {status}")
            time.sleep(0.01)
        raise GatewayError(
            f"the command {shown} does not listen on {self.path} after {STARTING:g} s"
        )

    def stop(self, kill: bool = False) -> int | None:
        """Stop the process, if it runs.

        :param kill: do not let it tidy up.
        :returns: its exit status; None when it did not run.
        """
        process, self._process = self._process, None
        if process is None:
            return None
        if kill:
            process.kill()
        else:
            process.terminate()
        try:
            return process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def restart(self, meanwhile: Callable[[], None] = nothing) -> None:
        """Stop the process and start it again."""
        self.stop()
        try:
            meanwhile()
        finally:
            self.start()

    def reload(self, overlap: Callable[[], None] = nothing) -> None:
        """Start another process, and stop the first one."""
        old, self._process = self._process, None
        try:
            self.start()
            self._drop_idle()
            overlap()
        finally:
            new, self._process = self._process, old
            self.stop()
            self._process = new

    def close(self) -> None:
        """Close the connections and stop the process."""
        super().close()
        self.stop()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


class Host:
    """Our plugin server in this process, for one transport after another.

    :param plugins: its plugins.
    :param options: further arguments of :class:`~pluginserver.PluginServer`; ``round_trips`` is ``"plain"``
        unless given.
    """

    def __init__(self, plugins: Collection, **options: Any) -> None:
        self.plugins = plugins
        self._directory = tempfile.mkdtemp(prefix="kong-")
        self.path = Path(self._directory, "plugins.sock")
        self._options = {"round_trips": "plain", **options}
        self._server: PluginServer | None = None

    def start(self) -> None:
        """Start the server, unless it runs."""
        if self._server is None:
            server = PluginServer(self.path, self.plugins.registry, **self._options)
            server.start()
            self._server = server

    def stop(self) -> None:
        """Stop the server, if it runs; handlers that still do are interrupted."""
        server, self._server = self._server, None
        if server is not None:
            server.stop(grace=0)

    def close(self) -> None:
        """Stop the server, and drop the plugins' modules."""
        self.stop()
        self.plugins.drop()
        shutil.rmtree(self._directory, ignore_errors=True)


class Embedded(Socket):
    """The way over a real socket to our plugin server in this process.

    :param host: the server; somebody else closes it.
    """

    def __init__(self, host: Host, quirks: Quirks, timeout: float) -> None:
        super().__init__(host.path, quirks, timeout)
        self._host = host
        self._stuck = False
        host.start()

    def load(self, source: Source) -> str:
        """Load a plugin into the running server: see :meth:`.transport.Transport.load`."""
        return self._host.plugins.add(source)

    def protocol(self, plugin: str) -> str:
        """The protocol that the plugin's module names."""
        return self._host.plugins.registry.get(plugin).protocol

    def call(self, method: Any, argument: Any) -> Any:
        """Call a method: see :meth:`.wire.RPCClient.call`."""
        try:
            return super().call(method, argument)
        except NoAnswer as error:
            self._stuck |= error.timed_out
            raise

    def restart(self, meanwhile: Callable[[], None] = nothing) -> None:
        """Stop the server and start it again."""
        self._host.stop()
        try:
            meanwhile()
        finally:
            self._host.start()

    def close(self) -> None:
        """Close the connections, and forget the plugins; a server with a stuck handler is stopped."""
        super().close()
        if self._stuck or self._protobuf.timed_out:
            self._host.stop()
        self._host.plugins.forget()


def elsewhere(transport: object) -> str | None:
    """Why what is changed in this process does not reach the plugins; None when it does."""
    if isinstance(transport, Socket) and not isinstance(transport, Embedded):
        return (
            "kong.clock cannot be moved: the plugin server is another process, which does not notice;"
            " let the test run in-process or embedded"
        )
    return None


class OwnEmbedded(Embedded):
    """An :class:`Embedded` that closes its server when it is closed."""

    def close(self) -> None:
        """Close everything."""
        super().close()
        self._host.close()
