"""One instance: what the server knows of one plugin with one configuration.

Rules kept here:

* of a configuration only a digest is kept beside the plugin's own object, since it may hold secrets; and the
  text that a successor starts it from, when there may be one, which nothing shows;
* what an object's own methods raise, when it is shown or closed, comes no further.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

import attrs

from ..events.handler import Handler
from ..logs import get_logger
from ..plugins.plugin import Configured
from ..plugins.registry import Plugin
from .clients import Client


@attrs.frozen
class Asked:
    """What a ``StartInstance`` says of the configuration besides the plugin's own values.

    :param plugin_id: what Kong knows the configuration by; None when it was not sent.
    :param digest: the same for the same configuration, whatever its number in Kong's sequence of changes.
    :param text: the configuration as it was sent; None when it is not kept.
    """

    plugin_id: str | None
    digest: bytes
    text: str | bytes | None = attrs.field(default=None, repr=False)

    @classmethod
    def read(cls, config: str | bytes, keep: bool = False) -> Asked:
        """Look into the JSON text that Kong sends; one that is not an object is a configuration too.

        :param keep: whether to keep it.
        """
        kept = config if keep else None
        try:
            values = json.loads(config)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            text = config if isinstance(config, bytes) else config.encode("utf-8", "surrogatepass")
            return cls(None, hashlib.sha256(text).digest(), kept)
        rest = {key: value for key, value in values.items() if key != "__seq__"}
        plugin_id = values.get("__plugin_id")
        return cls(
            plugin_id if isinstance(plugin_id, str) else None,
            hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).digest(),
            kept,
        )


class Instance:
    """One plugin with one configuration.

    :param instance_id: the number that Kong names it by.
    :param code: the plugin.
    :param configured: the object that serves.
    :param handlers: its handlers by phase.
    :param client: the process that asked for it.
    :param asked: what was said of the configuration.
    :param number: larger than those of all that were started before.
    :param started: when it was started, in seconds since 1970; default: now.
    """

    __slots__ = (
        "asked",
        "client",
        "code",
        "configured",
        "handlers",
        "id",
        "number",
        "plugin",
        "retired_for",
        "started",
        "told",
    )

    def __init__(
        self,
        instance_id: int,
        code: Plugin,
        configured: Configured,
        handlers: dict[str, Handler],
        client: Client,
        asked: Asked,
        number: int,
        started: int | None = None,
    ) -> None:
        self.id = instance_id
        self.code = code
        self.plugin = code.name
        self.configured = configured
        self.handlers = handlers
        self.client = client
        self.asked = asked
        self.number = number
        self.started = int(time.time()) if started is None else started
        self.retired_for: Plugin | None = None
        """The plugin that its own was replaced by, when it was retired last."""
        self.told = False
        """Whether a client was told that it does not exist, since it is retired."""

    def status(self) -> dict[str, Any]:
        """What ``StartInstance``, ``InstanceStatus`` and ``CloseInstance`` answer.

        The configuration is told as empty when the object cannot show it.
        """
        try:
            config = self.configured.public_config()
        except Exception as error:
            get_logger(plugin=self.plugin, instance=self.id).debug(
                "a configuration cannot be shown", exc_info=error
            )
            config = {}
        return {
            "Name": self.plugin,
            "Id": self.id,
            "Config": config,
            "StartTime": self.started,
        }

    @property
    def busy(self) -> bool:
        """Whether an event of its runs, or waits for Kong."""
        return any(handler.events for handler in self.handlers.values())

    def used(self) -> bool:
        """Whether an event of it was begun since the last call, or runs."""
        begun = [handler for handler in self.handlers.values() if handler.used]
        for handler in begun:
            handler.used = False
        return bool(begun) or self.busy

    def shut(self) -> None:
        """Let no further event begin."""
        for handler in self.handlers.values():
            handler.closed = True

    def finish(self) -> None:
        """Call the object's ``close()``; what it raises is logged."""
        try:
            self.configured.close()
        except BaseException as error:
            get_logger(plugin=self.plugin, instance=self.id).error(
                "close() of a plugin failed", exc_info=error
            )
