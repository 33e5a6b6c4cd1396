"""Closes the instances that Kong has forgotten.

Kong closes an instance when its configuration changes, and only then: after a reset, at its own reload and
at the end of an nginx worker it starts new ones and says nothing of the old.

Theory of operation.  Each instance belongs to the process that asked for it, an nginx worker.  A descriptor
tells when that ends; what it had started is closed then.  While it lives, the newest instance of each of its
configurations (Kong's ``__plugin_id`` tells them apart) may be used at any time; older ones of the same
configuration were replaced, and are closed when nobody has used them for :data:`REPLACED`.  Of a process
that the system does not show nothing is known: its instances are closed when nobody has used them for
``instance_timeout``.

Rules kept here:

* an instance with an event that runs is never closed, nor the newest of a configuration of a process that
  lives;
* whoever waits for nothing costs nothing: :meth:`Housekeeping.look` says when it wants to be called again;
* this module knows no thread and no poll: it is told the time.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from ..logs import get_logger
from .clients import Clients
from .instance import Instance
from .instances import Instances

REPLACED: Final = 60.0
"""Seconds for which an instance must be unused that its process has replaced.  Kong asks for an event right
after it has looked up the id, so that a second would do; a minute is Kong's own patience."""

BUSY: Final = 1.0
"""Seconds between two looks at instances that wait for their events to end."""

LOOKS: Final = 8
"""How often it is looked, in each time-out, whether an instance is used: by that part it may be late."""


class Housekeeping:
    """The housekeeping of one server's instances; one thread at a time calls :meth:`look`.

    :param instances: the instances.
    :param clients: who asked for them.
    :param timeout: ``instance_timeout``.
    :param counts: where what was closed is counted, as ``forgotten_instances``.
    """

    def __init__(
        self,
        instances: Instances,
        clients: Clients,
        timeout: float,
        counts: Counter[str],
    ) -> None:
        self._instances = instances
        self._clients = clients
        self._timeout = timeout
        self._replaced = min(REPLACED, timeout)
        self._counts = counts
        self._used: dict[Instance, float] = {}
        """When each was used last, as far as that was looked at, on the monotonic clock."""
        self._due: float | None = None
        """When there is something to look for, on the monotonic clock."""
        self._known: tuple[int, int] | None = None
        """How many changes of the instances, and ends of clients, there had been at the last look."""

    def look(self, now: float) -> float | None:
        """Close what is forgotten.

        :param now: seconds on the monotonic clock.
        :returns: in how many seconds it wants to be called again; None for when something has happened.
        """
        known = self._instances.changes, self._clients.ended
        if known != self._known:
            self._due = now
        if self._due is not None and now >= self._due:
            self._known = known
            delay = self._sweep(now)
            self._due = None if delay is None else now + delay
        return None if self._due is None else self._due - now

    def _sweep(self, now: float) -> float | None:
        """Close what can be closed; returns in how many seconds to look again."""
        instances = sorted(self._instances.all(), key=lambda one: one.number)
        self._note(instances, now)
        newest = {(one.client, one.plugin, one.asked.plugin_id): one for one in instances}
        delays = [BUSY] if self._instances.tidy() else []
        closed = 0
        for instance in instances:
            key = instance.client, instance.plugin, instance.asked.plugin_id
            patience = self._patience(instance, newest[key] is not instance)
            if patience is None:
                continue
            if now - self._used[instance] < patience:
                delays.append(patience / LOOKS)
            elif self._instances.discard(instance):
                closed += 1
            else:
                delays.append(BUSY)
        if closed:
            self._counts["forgotten_instances"] += closed
            get_logger().info("closed instances that Kong has forgotten", instances=closed)
        return min(delays, default=None)

    def _patience(self, instance: Instance, replaced: bool) -> float | None:
        """Seconds for which an instance must be unused to be closed; None for never."""
        if not instance.client.known:
            return self._timeout
        if not instance.client.alive:
            return 0.0
        return self._replaced if replaced and instance.asked.plugin_id is not None else None

    def _note(self, instances: list[Instance], now: float) -> None:
        """Look which instances are new, and which were used."""
        for instance in instances:
            if instance not in self._used or instance.used():
                self._used[instance] = now
        for gone in set(self._used).difference(instances):
            del self._used[gone]
