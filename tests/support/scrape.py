"""Asks for metrics on a Unix socket, as a scraper does on a port."""

from __future__ import annotations

import http.client
import socket


class Unix(http.client.HTTPConnection):
    """A client of a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        try:
            self.sock.connect(self.host)
        except OSError:
            self.sock.close()
            raise


def get(path: str, where: str, accept: str = "") -> tuple[int, str]:
    """The status and the text that one request gets."""
    client = Unix(path)
    client.request("GET", where, headers={"Accept": accept})
    answer = client.getresponse()
    text = answer.read().decode()
    client.close()
    return answer.status, text
