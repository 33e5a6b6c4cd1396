"""Write a line for each request to a file, after the client has its answer.

Shows: the ``log`` phase, Kong's own record of the request, and what to do once per instance.
"""

import json
import threading
from pathlib import Path
from typing import Any

import attrs

from pluginserver import Kong, attributes

version = "1.0.0"
priority = 12


@attrs.define
class Plugin:
    """Appends JSON lines to a file."""

    path: str = attrs.field(
        metadata=attributes(description="The file that the lines are appended to.")
    )
    headers: list[str] = attrs.field(
        factory=list, metadata=attributes(description="Request headers to keep in the record.")
    )
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def log(self, kong: Kong) -> None:
        record = kong.log.serialize()
        request: dict[str, Any] = record.get("request") or {}
        response: dict[str, Any] = record.get("response") or {}
        sent = request.get("headers") or {}
        line = json.dumps(
            {
                "method": request.get("method"),
                "uri": request.get("uri"),
                "status": response.get("status"),
                "source": kong.response.get_source(),
                "client_ip": record.get("client_ip"),
                "latencies": record.get("latencies"),
                "headers": {name: sent[name] for name in self.headers if name in sent},
            }
        )
        with self._lock, Path(self.path).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
