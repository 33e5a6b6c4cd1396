"""One phase handler of one instance: what all of its events have in common, and how one that failed ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..logs import Repeats
from ..runtime.book import Unbegun
from ..runtime.requests import Task
from ..spec.functions import FORBIDDEN
from ..spec.phases import ANSWERING
from .habits import Habits
from .outcome import ERROR, EXIT, UNEXPECTED, Outcome
from .placement import Placement


class Handler:
    """One phase handler of one instance: what all of its events have in common.

    :param plugin: the plugin's name, for messages.
    :param instance_id: the instance that the handler belongs to.
    :param phase: one of :data:`PHASES`.
    :param call: called in a runner.
    :param failed: told of the event and an exception that the handler raised, before Kong is, on the event's
        thread.
    :param fail_open: let the request go on after such an exception.
    :param request_timeout: seconds after which a request is refused; None for the server's own.
    :param placement: where its events run; shared by all instances of a plugin.
    :param argument: what it is called with.
    :param habits: what its events are used to read, shared alike; None to send every call (:mod:`.trips`).
    :param unbegun: counts the events that were refused before they began, shared alike.
    """

    __slots__ = (
        "argument",
        "call",
        "closed",
        "events",
        "fail_open",
        "failed",
        "forbidden",
        "habits",
        "instance_id",
        "label",
        "phase",
        "placement",
        "plugin",
        "refusals",
        "request_timeout",
        "unbegun",
        "used",
    )

    def __init__(
        self,
        plugin: str,
        instance_id: int,
        phase: str,
        call: Callable[[Any], object],
        failed: Callable[[Any, BaseException], None],
        fail_open: bool = False,
        placement: Placement | None = None,
        request_timeout: float | None = None,
        argument: object = None,
        habits: Habits | None = None,
        unbegun: Unbegun | None = None,
    ) -> None:
        self.plugin = plugin
        self.instance_id = instance_id
        self.phase = phase
        self.label: Final = (plugin, phase)
        """What its events are counted under."""
        self.call = call
        self.argument = argument
        self.failed = failed
        self.fail_open = fail_open
        self.forbidden = FORBIDDEN[phase]
        self.placement = placement or Placement()
        self.request_timeout = request_timeout
        self.habits = habits
        self.unbegun = unbegun or Unbegun()
        self.events: dict[Task, None] = {}
        """Its events that are not over; who begins one puts it in."""
        self.closed = False
        """Whether no event may begin any more; stored before ``events`` is looked at, and looked at after an
        event was put in: of two threads at least one sees what the other did."""
        self.used = False
        """Whether an event has begun since somebody looked."""
        self.refusals = Repeats()
        """Why events were refused, so that each reason is logged once a minute."""

    def refusal(self, text: str, how: str = "refused") -> Outcome:
        """How an event ends that came to no good end of its own; ``text`` says why.

        Kong makes the response itself where it can: in the format that the client accepts, and with the
        request's id.
        """
        if self.fail_open:
            return Outcome(how=how)
        if self.phase == "preread":
            return Outcome((EXIT, UNEXPECTED), how=how)
        if self.phase in ANSWERING:
            return Outcome((ERROR, (500,)), how=how)
        return Outcome(error=text, how=how)
