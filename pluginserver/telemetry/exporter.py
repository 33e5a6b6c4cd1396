"""Serves metrics, and what probes ask for, over HTTP: ``/metrics``, ``/health``, ``/ready``.

Rules kept here:

* what fails here fails no plugin: a port that cannot be had costs a line of the log and is tried again;
* a client that says nothing is not waited for longer than :data:`PATIENCE`;
* who asks while the server does not answer is told so by a 503;
* who has connected is answered: by this server, or by its successor, which gets the listening socket.
"""

from __future__ import annotations

import os
import queue
import select
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from .. import logs
from ..rpc.listeners import Listeners
from ..runtime.forks import close_all, close_in_children
from .address import Address
from .prometheus import Figures

PATIENCE: Final = 5.0
"""Seconds for an answer of the server, and for a client to say what it wants."""

LAST: Final = 1.0
"""Seconds, at the end, for the answers to those who were accepted."""

AGAIN: Final = 1.0
"""Seconds until the address is tried again."""

TEXT: Final = "text/plain; charset=utf-8"

Whole = Callable[[Callable[[dict[str, Any]], None]], None]
"""Gives the figures of all processes to its argument, once, on any thread."""

_log: Final = logs.get_logger()


class Exporter:
    """Serves the metrics of one server.

    :param address: where.
    :param whole: what is told.
    :param healthy: whether the server can go on.
    :param listeners: what a predecessor has handed over, and what a successor gets.
    """

    def __init__(
        self,
        address: Address,
        whole: Whole,
        healthy: Callable[[], bool],
        listeners: Listeners,
    ) -> None:
        self._address = address
        self._whole = whole
        self.healthy: Final = healthy
        self._listeners = listeners
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(Figures(self.ask))
        self._stopping = threading.Event()
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC)
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="pluginserver-metrics", daemon=True)
        close_in_children(self)

    def __enter__(self) -> Exporter:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.set()
        os.eventfd_write(self._wakeup, 1)
        self._thread.join(PATIENCE)
        close_all(self._wakeup)
        self._wakeup = -1

    def ask(self) -> dict[str, Any]:
        """The figures of all processes.

        :raises TimeoutError: when they are not told in time.
        """
        answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._whole(answers.put)
        try:
            return answers.get(timeout=PATIENCE)
        except queue.Empty:
            raise TimeoutError(f"the server did not answer within {PATIENCE:g} s") from None

    def metrics(self, accept: str) -> tuple[str, bytes]:
        """The type and the text of what a scraper gets that accepts such types.

        :raises TimeoutError: as :meth:`ask`.
        """
        encoder, kind = choose_encoder(accept)
        return kind, encoder(self._registry)

    def forked(self) -> None:
        """Have nothing that listens; this is a child."""
        close_all(self._wakeup)
        if self._listener is not None:
            self._listener.close()

    def _run(self) -> None:
        told = False
        while not self._stopping.is_set():
            try:
                listener = self._listeners.take(str(self._address)) or self._address.listen()
            except OSError as error:
                if not told:
                    _log.error(
                        f"metrics cannot be served on {self._address}: {error.strerror or error}: it is"
                        " tried again and again; give another address, or end what listens there"
                    )
                told = True
                self._stopping.wait(AGAIN)
                continue
            self._serve(listener)
            return

    def _serve(self, listener: socket.socket) -> None:
        address = str(self._address)
        bound = self._address.bound()
        server = _Server(listener, self)
        self._listener = listener
        listener.setblocking(False)
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        self._listeners.opened(address, listener)
        _log.info("metrics are served", address=address)
        while not self._stopping.is_set():
            poll.poll()
            if self._stopping.is_set() or address in self._listeners.handed_on:
                break
            try:
                client, place = listener.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                if not self._stopping.wait(AGAIN):
                    _log.error(f"a client of the metrics was lost: {error.strerror}")
                continue
            server.process_request(client, place)
        self._address.remove(listener, bound if self._listeners.closing(address) else None)
        server.finish()


class _Server(ThreadingHTTPServer):
    """On a socket that listens already."""

    def __init__(self, listener: socket.socket, exporter: Exporter) -> None:
        super().__init__(("", 0), _Request, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.exporter = exporter
        self._running: set[threading.Thread] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a client, on a thread of its own."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self._running.add(thread)
        try:
            thread.start()
        except RuntimeError as error:
            self._running.discard(thread)
            self.shutdown_request(request)
            _log.error(f"a client of the metrics was lost: {error}")

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a client, on this thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._running.discard(threading.current_thread())

    def finish(self) -> None:
        """Wait for the answers to those who were accepted, for :data:`LAST` seconds at the most."""
        deadline = monotonic() + LAST
        for thread in list(self._running):
            thread.join(max(0.0, deadline - monotonic()))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went is no news."""
        _log.debug("a client of the metrics failed", exc_info=True)


class _Request(BaseHTTPRequestHandler):
    """One request."""

    server: _Server
    timeout = PATIENCE
    protocol_version = "HTTP/1.1"
    server_version = "pluginserver"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer."""
        exporter = self.server.exporter
        path = self.path.partition("?")[0]
        status, kind, text = 200, TEXT, b"ok\n"
        try:
            if path == "/metrics":
                kind, text = exporter.metrics(self.headers.get("Accept", ""))
            elif path == "/health":
                if not exporter.healthy():
                    status, text = 503, b"the server cannot go on\n"
            elif path == "/ready":
                if not exporter.ask().get("ready"):
                    status, text = 503, b"not ready\n"
            else:
                status, text = 404, b"there are /metrics, /health and /ready\n"
        except TimeoutError as error:
            status, text = 503, f"{error}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_HEAD = do_GET

    def address_string(self) -> str:
        """A Unix socket's client has no address."""
        return str(self.client_address)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: probes ask every few seconds."""
