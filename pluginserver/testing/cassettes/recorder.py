"""Stands between a Kong and a plugin server, and stores their conversations.

Rules kept here:

* bytes are passed on as they come, before anybody looks at them: what cannot be understood or stored costs a
  line in the log, never a request;
* each connection of Kong's has one of its own to the server, and both end together;
* nothing is stored before its secrets are taken out; the server is asked for each plugin's schema once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgpack

from ... import logs
from ...spec.methods import GET_PLUGIN_INFO
from ..kong.configuration import config_record
from ..transports.wire import encode
from .cassette import Conversation, Folder
from .listen import Ear, Listener
from .mask import mask

READ_SIZE: Final = 1 << 16
ASKING: Final = 5.0
"""Seconds that the server gets to describe a plugin."""

_UNSAFE: Final = re.compile(r"[^\w.-]")

_log: Final = logs.get_logger()


class Recorder:
    """Records what is said through a socket.

    :param listen: the socket that Kong is given; what lies there is replaced.
    :param server: the plugin server's socket.
    :param into: the directory for the files, ``NUMBER-PLUGIN-PHASE.json``; it must exist.
    :param headers: names of headers whose values are not stored.
    """

    def __init__(self, listen: Path, server: Path, into: Path, headers: Sequence[str]) -> None:
        self._path = listen
        self._server = server
        self._folder = Folder(into)
        self._headers = headers
        self._over: asyncio.Queue[Conversation] = asyncio.Queue()
        self._listener = Listener(self._over.put_nowait)
        self._schemas: dict[str, Any] = {}
        self._stopping = asyncio.Event()
        self._lines: set[asyncio.Task[None]] = set()
        self.stored = 0
        """How many conversations were stored."""

    async def run(self, stop: asyncio.Event, ready: asyncio.Event | None = None) -> None:
        """Record until told to stop; what is over by then is stored.

        :param stop: ends it.
        :param ready: set as soon as Kong can connect.
        :raises OSError: when nobody can listen on the socket's path.
        """
        self._path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._accept, self._path)
        storing = asyncio.create_task(self._store_all())
        try:
            if ready is not None:
                ready.set()
            await stop.wait()
        finally:
            server.close()
            self._stopping.set()
            await asyncio.gather(*self._lines, return_exceptions=True)
            await self._over.join()
            storing.cancel()
            self._path.unlink(missing_ok=True)

    async def _accept(self, kong: asyncio.StreamReader, to_kong: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        try:
            await self._between(kong, to_kong)
        except OSError as error:
            _log.warning("the plugin server cannot be reached", reason=str(error))
        finally:
            to_kong.close()
            self._lines.discard(line)

    async def _between(self, kong: asyncio.StreamReader, to_kong: asyncio.StreamWriter) -> None:
        """Pass on what comes from both sides, until one of them ends or the recorder does."""
        server, to_server = await asyncio.open_unix_connection(self._server)
        ears = [Ear(self._listener)]
        tasks = [
            asyncio.create_task(self._pass(kong, to_server, ears, True)),
            asyncio.create_task(self._pass(server, to_kong, ears, False)),
            asyncio.create_task(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            to_server.close()

    async def _pass(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        ears: list[Ear],
        from_kong: bool,
    ) -> None:
        with suppress(OSError):
            while data := await source.read(READ_SIZE):
                target.write(data)
                for ear in list(ears):
                    try:
                        ear.heard(data, from_kong)
                    except Exception as error:
                        ears.clear()
                        _log.warning(
                            "a connection is not understood, and not recorded any more",
                            reason=repr(error),
                        )
                await target.drain()

    async def _store_all(self) -> None:
        while True:
            conversation = await self._over.get()
            try:
                await self._store(conversation)
            except OSError as error:
                _log.error("a conversation cannot be stored", reason=str(error))
            finally:
                self._over.task_done()

    async def _store(self, conversation: Conversation) -> None:
        name = conversation.plugin
        if name not in self._schemas:
            self._schemas[name] = await self._schema(name)
        said = mask(conversation, self._schemas[name], self._headers)
        self._folder.store(f"{_UNSAFE.sub('_', name)}-{conversation.phase}", [said])
        self.stored += 1

    async def _schema(self, plugin: str) -> Any:
        """The schema of a plugin's configuration; None when the server does not tell it."""
        try:
            return config_record(await asyncio.wait_for(self._described(plugin), ASKING))
        except (OSError, EOFError, ValueError, LookupError, TypeError, asyncio.TimeoutError):
            _log.warning(
                "the plugin's schema is not known: its whole configuration is masked",
                plugin=plugin,
            )
            return None

    async def _described(self, plugin: str) -> Any:
        reader, writer = await asyncio.open_unix_connection(self._server)
        try:
            writer.write(encode([0, 1, GET_PLUGIN_INFO, [plugin]]))
            unpacker = msgpack.Unpacker(raw=False)
            while data := await reader.read(READ_SIZE):
                unpacker.feed(data)
                for message in unpacker:
                    if message[0] == 1:
                        return message[3]["Schema"]
            raise EOFError
        finally:
            writer.close()
