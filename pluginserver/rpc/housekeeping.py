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
* this module knows no thread and no poll: it is told the time, and given a way to watch a descriptor.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs

from ..logs import get_logger
from ..runtime.processes import open_process
from .instances import Instance, Instances

REPLACED: Final = 60.0
"""Seconds for which an instance must be unused that its process has replaced.  Kong asks for an event right
after it has looked up the id, so that a second would do; a minute is Kong's own patience."""

BUSY: Final = 1.0
"""Seconds between two looks at instances that wait for their events to end."""

LOOKS: Final = 8
"""How often it is looked, in each time-out, whether an instance is used: by that part it may be late."""


@attrs.define(eq=False)
class _Client:
    """A process that asks for instances.

    :param known: whether we shall learn of its end.
    """

    known: bool
    alive: bool = True


@attrs.define(eq=False)
class _Seen:
    """What was seen of an instance.

    :param client: whose it is.
    :param used: when it was used last, as far as that was looked at, on the monotonic clock.
    """

    client: _Client
    used: float


class Housekeeping:
    """The housekeeping of one server's instances; one thread at a time calls :meth:`look`.

    :param instances: the instances.
    :param watch: has a function called once, from any thread, when a descriptor becomes readable, and closes
        the descriptor then or at the end.
    :param timeout: ``instance_timeout``.
    :param counts: where what was closed is counted, as ``forgotten_instances``.
    """

    def __init__(
        self,
        instances: Instances,
        watch: Callable[[int, Callable[[], None]], None],
        timeout: float,
        counts: Counter[str],
    ) -> None:
        self._instances = instances
        self._watch = watch
        self._timeout = timeout
        self._replaced = min(REPLACED, timeout)
        self._counts = counts
        self._clients: dict[int, _Client] = {}
        self._seen: dict[Instance, _Seen] = {}
        self._due: float | None = None
        """When there is something to look for, on the monotonic clock."""
        self._changes = -1
        """The instances' count of changes at the last look."""
        self._died = False

    def look(self, now: float) -> float | None:
        """Close what is forgotten.

        :param now: seconds on the monotonic clock.
        :returns: in how many seconds it wants to be called again; None for when something has happened.
        """
        if self._died or self._instances.changes != self._changes:
            self._due = now
        if self._due is not None and now >= self._due:
            self._died = False
            self._changes = self._instances.changes
            delay = self._sweep(now)
            self._due = None if delay is None else now + delay
        return None if self._due is None else self._due - now

    def _sweep(self, now: float) -> float | None:
        """Close what can be closed; returns in how many seconds to look again."""
        instances = sorted(self._instances.all(), key=lambda one: one.number)
        self._note(instances, now)
        newest = {
            (self._seen[one].client, one.plugin, one.asked.plugin_id): one for one in instances
        }
        delays = [BUSY] if self._instances.tidy() else []
        closed = 0
        for instance in instances:
            seen = self._seen[instance]
            replaced = (
                newest[seen.client, instance.plugin, instance.asked.plugin_id] is not instance
            )
            patience = self._patience(instance, seen.client, replaced)
            if patience is None:
                continue
            if now - seen.used < patience:
                delays.append(patience / LOOKS)
            elif self._instances.discard(instance):
                closed += 1
            else:
                delays.append(BUSY)
        if closed:
            self._counts["forgotten_instances"] += closed
            get_logger().info("closed instances that Kong has forgotten", instances=closed)
        return min(delays, default=None)

    def _patience(self, instance: Instance, client: _Client, replaced: bool) -> float | None:
        """Seconds for which an instance must be unused to be closed; None for never."""
        if not client.known:
            return self._timeout
        if not client.alive:
            return 0.0
        return self._replaced if replaced and instance.asked.plugin_id is not None else None

    def _note(self, instances: list[Instance], now: float) -> None:
        """Look which instances are new, and which were used."""
        for instance in instances:
            seen = self._seen.get(instance)
            if seen is None:
                self._seen[instance] = _Seen(self._client(instance.client), now)
            elif instance.used():
                seen.used = now
        for gone in set(self._seen).difference(instances):
            del self._seen[gone]

    def _client(self, pid: int) -> _Client:
        """The process of that id that lives now; it is watched from now on."""
        client = self._clients.get(pid)
        if client is not None:
            return client
        descriptor = open_process(pid)
        if descriptor is None:
            return _Client(known=False)
        client = self._clients[pid] = _Client(known=True)
        try:
            self._watch(descriptor, partial(self._ended, pid))
        except (OSError, ValueError):
            os.close(descriptor)
            self._clients.pop(pid).known = False
        return client

    def _ended(self, pid: int) -> None:
        """A process has ended; another one may get its id."""
        self._clients.pop(pid).alive = False
        self._died = True
