"""``kong.vault``: secrets that Kong keeps elsewhere.

A field of a plugin's configuration that is ``referenceable`` may hold a reference to a secret, such
as ``{vault://env/api-key}``.  Kong puts the secret in its place before it starts an instance, and
says in ``$refs`` what the reference was.  When the secret is rotated the instance keeps the old one:
:class:`Secret` asks Kong for the new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import PDKError
from ..events.callbacks import callback
from ..spec.secrets import is_reference
from .namespace import Namespace
from .results import as_map
from .values import check_text, to_lua_map


class Vault(Namespace):
    """Functions about secrets."""

    __slots__ = ()

    NAME = "kong.vault"

    def get(self, reference: str) -> str | None:
        """The secret that a reference stands for.

        :param reference: such as ``"{vault://env/api-key}"``.
        :returns: None when the text is not a reference, or there is no such secret.

        Phases: all.
        """
        return callback("kong.vault.get", check_text(reference, "reference"))

    def is_reference(self, reference: str) -> bool:
        """Whether a text is a reference to a secret.

        Phases: all.
        """
        return callback("kong.vault.is_reference", check_text(reference, "reference"))

    def parse_reference(self, reference: str) -> dict[str, Any] | None:
        """The parts of a reference.

        :returns: ``name`` and ``resource``, also ``key``, ``config`` and ``version`` where the
            reference has them; None when the text is not a reference.

        Phases: all.
        """
        answer = callback("kong.vault.parse_reference", check_text(reference, "reference"))
        if answer is None:
            return None
        parts = as_map(answer)
        if "config" in parts:
            parts["config"] = as_map(parts["config"])
        return parts

    def update(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Put the current secrets into a configuration.

        :param config: a map whose ``$refs`` maps names of its fields to references.
        :returns: the map with the current secrets in these fields.

        Phases: all.
        """
        return as_map(callback("kong.vault.update", to_lua_map(config, "config")))


class Secret:
    """A secret that is read again from time to time, so that a rotated one is found.

    May be kept in an instance and used by several events at once.  Its value is not in its
    ``repr()``.

    :param value: the secret as the configuration has it, or a reference to it.
    :param reference: the reference, where the configuration has the secret; None when there is
        none, and then the secret never changes.
    :param ttl: after so many seconds Kong is asked again.
    :param clock: seconds on a monotonic clock.
    """

    __slots__ = ("_clock", "_read", "_value", "reference", "ttl")

    def __init__(
        self,
        value: str | None,
        reference: str | None = None,
        ttl: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if reference is None and is_reference(value):
            value, reference = None, value
        self.reference = reference
        self.ttl = ttl
        self._clock = clock
        self._value = value
        self._read = clock() if value is not None else float("-inf")

    @classmethod
    def of(
        cls, keys: Mapping[str, Any], name: str, value: str | None, ttl: float = 60.0
    ) -> Secret:
        """The secret of a referenceable field.

        :param keys: what Kong sent besides the configuration, a
            :class:`~pluginserver.schema.annotations.KongKeys`.
        :param name: the field's name.
        :param value: the field's value.
        """
        return cls(value, as_map(keys.get("$refs")).get(name), ttl)

    def get(self) -> str:
        """The secret; asks Kong when it is older than its ttl.

        While Kong cannot tell, the last known one goes on to serve.

        :raises PDKError: when there is none.
        """
        if self.reference is not None and self._clock() - self._read >= self.ttl:
            value = callback("kong.vault.get", self.reference)
            if value is not None:
                self._value = value
            self._read = self._clock()
        if self._value is None:
            self._read = float("-inf")
            raise PDKError(
                f"Kong does not have a secret for {self.reference}: check the vault that it names"
            )
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.reference or '***'!r})"
