"""What a check of the conformance suite is, and how a module of checks gathers them.

Rules kept here:

* checks are run in the order in which they stand in their module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs

from ...spec.protocols import MSGPACK
from .probe import Probe

CheckFunction: TypeAlias = Callable[[Probe], None]
"""Raises :class:`~.probe.Wrong` when something does not hold, :class:`~.probe.Skipped` when it does
not apply."""


@attrs.frozen
class Check:
    """One check.

    :param group: what it belongs to.
    :param level: ``"must"``: Kong needs it; ``"should"``: a good server does it.
    :param text: what holds when it is ok.
    :param run: does it.
    :param protocol: the protocol that it is about; None for both.
    """

    group: str
    level: str
    text: str
    run: CheckFunction
    protocol: str | None = MSGPACK


@attrs.define
class Group:
    """The checks of one module, in the order in which they are run.

    :param name: what they belong to.
    :param protocol: the protocol that they are about; None for both.
    """

    name: str
    protocol: str | None = MSGPACK
    _checks: list[Check] = attrs.field(factory=list, init=False)

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks)

    def must(self, text: str) -> Callable[[CheckFunction], CheckFunction]:
        """Enter a check of what Kong needs."""
        return self._entering("must", text)

    def should(self, text: str) -> Callable[[CheckFunction], CheckFunction]:
        """Enter a check of what a good server does."""
        return self._entering("should", text)

    def _entering(self, level: str, text: str) -> Callable[[CheckFunction], CheckFunction]:
        def enter(run: CheckFunction) -> CheckFunction:
            self._checks.append(Check(self.name, level, text, run, self.protocol))
            return run

        return enter
