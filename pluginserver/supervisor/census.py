"""The figures of the whole, for a member that was asked for them: members count, the supervisor adds up.

Rules kept here:

* a member that hangs or ends meanwhile is left out, and holds up nobody for longer than :data:`PATIENCE`;
* who asks gets one answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import attrs

from ..rpc.whole import added
from .loop import Loop
from .member import Member

PATIENCE: Final = 2.0
"""Seconds to wait for the answers."""


@attrs.define(eq=False)
class _Count:
    """One question to all members.

    :param asking: who is answered.
    :param number: what that one knows the question by.
    :param missing: who has not answered.
    """

    asking: Member
    number: int
    missing: set[Member]
    found: list[dict[str, Any]] = attrs.field(factory=list)


class Census:
    """The questions that are open.

    :param loop: where it happens.
    :param serving: the members that serve now.
    :param ready: whether clients are accepted.
    """

    def __init__(
        self, loop: Loop, serving: Callable[[], Sequence[Member]], ready: Callable[[], bool]
    ) -> None:
        self._loop = loop
        self._ready = ready
        self._serving = serving
        self._numbers = itertools.count(1)
        self._open: dict[int, _Count] = {}

    def ask(self, asking: Member, number: int) -> None:
        """Ask all members for their figures.

        :param asking: who gets the sum, as ``["whole", number, figures]``.
        """
        key = next(self._numbers)
        self._open[key] = _Count(asking, number, set(self._serving()))
        for member in self._serving():
            member.tell("figures", key)
        self._loop.later(PATIENCE, partial(self._close, key))

    def answered(self, member: Member, key: int, figures: dict[str, Any]) -> None:
        """Take an answer."""
        count = self._open.get(key)
        if count is not None and member in count.missing:
            count.missing.discard(member)
            count.found.append(figures)
            self._close_complete()

    def gone(self, member: Member) -> None:
        """Do not wait for a member that has ended."""
        for count in self._open.values():
            count.missing.discard(member)
        self._close_complete()

    def _close_complete(self) -> None:
        for key in [key for key, count in self._open.items() if not count.missing]:
            self._close(key)

    def _close(self, key: int) -> None:
        count = self._open.pop(key, None)
        if count is not None:
            whole = {**added(count.found), "ready": self._ready()}
            count.asking.tell("whole", count.number, whole)
