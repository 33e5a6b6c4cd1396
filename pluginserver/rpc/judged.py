"""What is known of the phases of plugins, over all instances: where their events run, and what they read.

Rules kept here:

* a plugin that was loaded again is judged anew, for its code is another;
* it is used under the lock of :class:`~.instances.Instances` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..events.habits import Habits
from ..events.placement import Placement
from ..logs import get_logger
from ..plugins.registry import Plugin
from ..runtime.book import Unbegun


class Placed(NamedTuple):
    """Where the events of one phase of one plugin run.

    :param placement: ``"own"``, ``"shared"`` or ``"trial"``.
    :param reason: why, with file and line where there are any.
    """

    plugin: str
    phase: str
    placement: str
    reason: str


class Judged:
    """The judgements of one server.

    :param plain: whether every callback is to travel, whatever the plugins say.
    """

    def __init__(self, plain: bool) -> None:
        self._plain = plain
        self._phases: dict[tuple[Plugin, str], tuple[Placement, Habits | None]] = {}
        self.unbegun: dict[tuple[str, str], Unbegun] = {}
        """The events of each phase that were refused before they began, over all versions of its plugin."""

    def of(self, code: Plugin, phase: str) -> tuple[Placement, Habits | None]:
        """Where a phase runs, and what it reads; None for one whose callbacks all travel."""
        found = self._phases.get((code, phase))
        if found is None:
            log = get_logger(plugin=code.name, phase=phase)
            placement = Placement(code.threads, code.thread_ties(), log)
            plain = self._plain or code.round_trips == "plain"
            found = self._phases[code, phase] = placement, None if plain else Habits()
        return found

    def placements(self) -> list[Placed]:
        """Where they run; of several versions of a plugin the last one."""
        found = {
            (code.name, phase): Placed(code.name, phase, placement.name, placement.reason)
            for (code, phase), (placement, _) in self._phases.items()
        }
        return list(found.values())

    def forget(self, gone: Callable[[Plugin], bool]) -> None:
        """Forget the plugins that nobody uses any more."""
        self._phases = {key: one for key, one in self._phases.items() if not gone(key[0])}
