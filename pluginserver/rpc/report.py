"""What a running server tells a person who asks: its state, and where everything stands.

Rules kept here:

* to look changes nothing and stops nobody: copies are taken of what others write;
* only the thread that owns an event looks at its frames: they move when it goes on.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from functools import partial
from types import FrameType
from typing import Any, Final

import attrs

from ..events.event import Event
from ..plugins.registry import Plugins
from ..runtime.book import BOUNDS, Figures
from ..runtime.pool import ThreadPool
from ..runtime.requests import Call
from ..runtime.thread import PoolThread
from ..version import __version__
from .instances import Instances

PATIENCE: Final = 1.0
"""Seconds in which a thread that owns suspended events looks at them; one that hangs does not."""


BLOCKED: Final = 1.0
"""Seconds in one slice after which a thread counts as blocked."""

STARTED: Final = time.time()
"""When this process was started, or nearly so, in seconds since 1970."""


def versions() -> dict[str, str]:
    """What runs: ``version`` and ``python``."""
    return {"version": __version__, "python": sys.version.split()[0]}


def status(plugins: Plugins, instances: Instances, pool: ThreadPool[Any]) -> dict[str, Any]:
    """What there is, as the fields of a record."""
    return {
        "plugins": plugins.names(),
        "instances": instances.counts(),
        "connections": len(pool.connections),
        "running": len(pool.in_flight),
        "suspended": len(pool.waiting),
        "threads": {name: len(group.threads) for name, group in pool.groups.items()},
        "placements": {
            f"{one.plugin}.{one.phase}": f"{one.placement}: {one.reason}"
            for one in instances.placements()
        },
        "counts": dict(pool.counts),
    }


def figures(
    plugins: Plugins, instances: Instances, pool: ThreadPool[Any], ready: bool
) -> dict[str, Any]:
    """What is there, and what has been counted since the start, in what JSON and MessagePack carry.

    All numbers but those in ``processes`` may be added up over several processes, the lists place by place.

    :returns: ``processes`` (``version``, ``python`` and ``started``, seconds since 1970, by the process id);
        ``ready``, whether events are served; ``plugins`` (``version``, ``priority`` and the number of
        ``instances`` by name); ``connections``; ``running`` and ``suspended`` events; ``threads`` and
        ``blocked`` ones, those that have been in one slice for :data:`BLOCKED` seconds; ``counts`` of what
        limits and failures there were; ``bounds``, the upper bounds of all buckets in seconds; ``events`` by
        plugin and phase (:class:`Figures`); and ``callbacks``, cells by the function's name.  Cells are
        those of :mod:`~..runtime.book`.
    """
    counted = instances.counts()
    now = time.monotonic()
    return {
        "processes": {str(os.getpid()): {**versions(), "started": STARTED}},
        "plugins": {
            one.name: {
                "version": one.version,
                "priority": one.priority,
                "instances": counted.get(one.name, 0),
            }
            for one in plugins.all()
        },
        "ready": ready,
        "connections": len(pool.connections),
        "running": len(pool.in_flight),
        "suspended": len(pool.waiting),
        "threads": {name: len(group.threads) for name, group in pool.groups.items()},
        "blocked": sum(one.busy_for(now) > BLOCKED for one in pool.threads()),
        "counts": dict(pool.counts),
        "bounds": list(BOUNDS),
        "events": _events(instances, pool),
        "callbacks": pool.books.callbacks(),
    }


def _events(instances: Instances, pool: ThreadPool[Any]) -> dict[str, dict[str, Any]]:
    """The events that are over, by plugin and phase."""
    found = pool.books.figures()
    for label, count in instances.unbegun().items():
        outcomes = found.setdefault(label, Figures()).outcomes
        if count:
            outcomes["refused"] = outcomes.get("refused", 0) + count
    events: dict[str, dict[str, Any]] = {}
    for (plugin, phase), one in found.items():
        events.setdefault(plugin, {})[phase] = attrs.asdict(one)
    return events


def stacks(pool: ThreadPool[Any] | None) -> Iterator[tuple[str, str]]:
    """The stacks of all threads, and of all events that wait for a step.

    :param pool: whose events; None for those of no server.
    :returns: what each stack is of, and its frames from the outside in, in one line.
    """
    events = _suspended(pool) if pool is not None else {}
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        yield f"the thread {names.get(ident, ident)}", _folded(frame)
    yield from events.items()


def _suspended(pool: ThreadPool[Any]) -> dict[str, str]:
    """The stacks of suspended events, as their threads find them."""
    by_owner: dict[PoolThread, list[Event]] = {}
    for task in list(pool.waiting.values()):
        if isinstance(task, Event) and isinstance(task.owner, PoolThread):
            by_owner.setdefault(task.owner, []).append(task)
    found: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
    result = {
        _name(event): f"its thread {owner.name} is busy"
        for owner, events in by_owner.items()
        for event in events
    }
    for owner, events in by_owner.items():
        owner.post(Call(partial(_look, events, found)))
    deadline = time.monotonic() + PATIENCE
    for _ in by_owner:
        try:
            result.update(found.get(timeout=max(0.0, deadline - time.monotonic())))
        except queue.Empty:
            break
    return result


def _name(event: Event) -> str:
    return f"event {event.id} of {event.handler.plugin} in {event.handler.phase}"


def _look(events: list[Event], found: queue.SimpleQueue[dict[str, str]]) -> None:
    """On the thread that owns them."""
    found.put(
        {
            _name(event): _folded(frame)
            for event in events
            if event.suspended and (frame := event.runner.gr_frame) is not None
        }
    )


def _folded(frame: FrameType) -> str:
    return " | ".join(
        f"{one.filename}:{one.lineno} in {one.name}: {one.line}"
        for one in traceback.extract_stack(frame)
    )
