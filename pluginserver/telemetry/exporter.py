"""Serves metrics, and what probes ask for, over HTTP: ``/metrics``, ``/health``, ``/ready``.

Rules kept here:

* what fails here fails no plugin: a port that cannot be had costs a line of the log and is tried again;
* a client that says nothing is not waited for longer than :data:`PATIENCE`;
* who asks while the server does not answer is told so by a 503.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from .. import logs
from ..runtime.forks import close_in_children
from .address import Address
from .prometheus import Figures

PATIENCE: Final = 5.0
"""Seconds for an answer of the server, and for a client to say what it wants."""

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
    :param beside: whether a server that was here before may still listen there.
    :param replaced: whether a successor serves, whose socket file the path may lead to at any moment.
    """

    def __init__(
        self,
        address: Address,
        whole: Whole,
        healthy: Callable[[], bool],
        beside: bool,
        replaced: Callable[[], bool] = lambda: False,
    ) -> None:
        self._address = address
        self._whole = whole
        self.healthy: Final = healthy
        self._beside = beside
        self._replaced = replaced
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(Figures(self.ask))
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="pluginserver-metrics", daemon=True)
        close_in_children(self)

    def __enter__(self) -> Exporter:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # ends the accept
        self._thread.join(PATIENCE)

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
        if self._listener is not None:
            self._listener.close()

    def _run(self) -> None:
        told = False
        while not self._stopping.is_set():
            try:
                listener = self._address.listen(self._beside)
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
        bound = self._address.bound()
        server = _Server(listener, self)
        self._listener = listener
        _log.info("metrics are served", address=str(self._address))
        while not self._stopping.is_set():
            try:
                client, place = listener.accept()
            except OSError as error:
                if not self._stopping.wait(AGAIN):
                    _log.error(f"a client of the metrics was lost: {error.strerror}")
                continue
            server.process_request(client, place)
        self._address.remove(listener, None if self._replaced() else bound)


class _Server(ThreadingHTTPServer):
    """On a socket that listens already."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, exporter: Exporter) -> None:
        super().__init__(("", 0), _Request, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.exporter = exporter

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
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_HEAD = do_GET

    def address_string(self) -> str:
        """A Unix socket's client has no address."""
        return str(self.client_address)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: probes ask every few seconds."""
