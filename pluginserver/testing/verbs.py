"""A method for each HTTP method: what a test writes instead of ``request("GET", ...)``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from .kong.messages import Response


class Verbs(ABC):
    """Sends requests, by :meth:`request`."""

    @abstractmethod
    def request(self, method: str, url: str = "/", **more: Any) -> Response:
        """Send a request and wait until everything about it is over."""

    def get(self, url: str = "/", **more: Any) -> Response:
        """Send a GET request: see :meth:`request`."""
        return self.request("GET", url, **more)

    def post(self, url: str = "/", **more: Any) -> Response:
        """Send a POST request: see :meth:`request`."""
        return self.request("POST", url, **more)

    def put(self, url: str = "/", **more: Any) -> Response:
        """Send a PUT request: see :meth:`request`."""
        return self.request("PUT", url, **more)

    def patch(self, url: str = "/", **more: Any) -> Response:
        """Send a PATCH request: see :meth:`request`."""
        return self.request("PATCH", url, **more)

    def delete(self, url: str = "/", **more: Any) -> Response:
        """Send a DELETE request: see :meth:`request`."""
        return self.request("DELETE", url, **more)
