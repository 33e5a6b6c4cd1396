"""The supervisor: how the whole begins, what it does at signals, and when and how it ends.

Rules kept here:

* clients are accepted when every member serves; a member that cannot start ends the whole, as it ends a
  server that is alone; later it is started again;
* SIGTERM, SIGINT and the end of the parent process end the whole in the order in which one server ends: it
  goes on as before for a while, then no new event begins, then members and socket go;
* a second signal ends it at once, and no process is left then either;
* what is asked of all members is answered when all have, or without those that hang.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final

import attrs

from .. import logs
from ..errors import PluginServerError
from ..runtime.options import Options
from ..runtime.parent import INTERVAL, still_lives
from ..runtime.processes import open_process
from ..runtime.systemd import Systemd
from .census import Census
from .door import Door, Reason
from .loop import Loop
from .member import Member
from .peers import Peers
from .succession import Succession
from .survey import Survey
from .team import Team

STOP_TIME: Final = 10.0
"""Seconds that the end may take beyond the times that running events and the plugins get."""

LAST_WORDS: Final = 1.0
"""Seconds in which a member whose takeover fails says why."""

LOOK: Final = 0.05
"""Seconds between two looks whether anybody is connected, at the end."""

WAITING: Final = 4096
"""Clients that may wait for one member at the most, as in the queue of a socket."""

SPARE: Final = 64
"""Files of the supervisor that are not clients which wait, and more."""

RELOAD_TIME: Final = 60.0
"""Seconds after which a reload is over for the service manager, whoever still loads."""

_log: Final = logs.get_logger()


@attrs.frozen(kw_only=True)
class Plan:
    """What is to be run.

    :param processes: how many members.
    :param command: what starts one.
    :param path: the socket's path.
    :param options: those of the server.
    :param frozen_timeout: seconds after which a member's watcher ends it when it is frozen; 0 for never.
    """

    processes: int
    command: Sequence[str]
    path: Path
    options: Options
    frozen_timeout: float


class Supervisor:
    """Runs members.

    :param plan: what is to be run.
    :param systemd: the service manager.
    :raises ListenError: when a socket that was inherited cannot be used.
    """

    def __init__(self, plan: Plan, systemd: Systemd) -> None:
        self._plan = plan
        self._options = options = plan.options
        self._systemd = systemd
        self._loop = Loop()
        self._door = Door(
            self._loop, plan.path, options.socket_mode, options.socket_group, systemd.descriptor
        )
        self._peers = Peers(self._loop, plan.processes)
        self._team = Team(
            self._loop,
            self,
            self._peers,
            self._start,
            plan.processes,
            plan.frozen_timeout,
            room(plan.processes),
        )
        self._succession = Succession(
            self._loop, self._door, self._peers, self._team, plan.options, self._moved_on
        )
        self._serving = False
        self._signalled_before = False
        self._stopping = False
        self._linger_until = 0.0
        self._reloads = 0
        self._reloading: set[Member] = set()
        self._survey: Survey | None = None
        self._census = Census(
            self._loop,
            lambda: self._team.serving,
            lambda: self._serving and not self._stopping,
        )
        self._code = 0
        self._failure = ""

    def run(self) -> int:
        """Serve until a signal or the end of the parent process; on the main thread.

        :returns: the exit code.
        :raises ListenError: when the socket cannot be had.
        :raises PluginServerError: when a member cannot start.
        """
        try:
            self._loop.act_on(
                {
                    signal.SIGTERM: partial(self._signalled, signal.SIGTERM),
                    signal.SIGINT: partial(self._signalled, signal.SIGINT),
                    signal.SIGHUP: self._reload,
                    signal.SIGUSR1: partial(self._team.tell, "stacks"),
                    signal.SIGUSR2: self._ask_status,
                    signal.SIGCHLD: self._team.reap,
                }
            )
            self._succession.listen()
            self._watch_parent()
            self._team.start()
            self._loop.run()
        finally:
            self._succession.close()
            self._team.kill()
            self._door.close()
            self._team.close()
            self._peers.close()
            self._loop.close()
        if self._failure:
            raise PluginServerError(self._failure)
        _log.info("stopped", socket=str(self._door.path))
        return self._code

    def _start(self, place: int) -> Member:
        with self._succession.predecessor(place) as predecessor:
            door = self._door
            return Member(place, self._plan.command, door.path, door.bound, predecessor)

    # -- what the team tells

    def member_ready(self, member: Member) -> None:
        """Accept, when it is the last one that is waited for."""
        if member.stale:
            member.tell("reload")
        self._serve_if_complete()

    def _serve_if_complete(self) -> None:
        complete = self._team.complete and self._succession.listens
        if self._serving or self._stopping or not complete:
            return
        self._serving = True
        self._door.open(self._team.admit, partial(self._team.tell, "bound"), self._fail)
        processes = [one.pid for one in self._team.serving]
        _log.info("listening", socket=str(self._door.path), processes=processes)
        self._systemd.ready()
        if self._systemd.interval:
            self._give_sign_of_life()

    def member_said(self, member: Member, word: str, *arguments: Any) -> None:
        """Take what a member has answered."""
        if word == "reloaded":
            self._has_reloaded(member)
        elif word == "status" and self._survey is not None:
            self._survey.answered(member.place, *arguments)
            self._end_survey()
        elif word == "survey":
            self._census.ask(member, *arguments)
        elif word == "figures":
            self._census.answered(member, *arguments)
        else:
            self._succession.said(member, word, *arguments)

    def member_ended(self, member: Member) -> None:
        """Ask it nothing any more, and come to the end when it was the last one."""
        self._has_reloaded(member)
        self._succession.abort("one of its processes has ended")
        self._census.gone(member)
        if self._survey is not None:
            self._survey.gone(member.place)
            self._end_survey()
        if self._stopping:
            if not self._team.members:
                self._loop.end()
        elif not self._serving and not self._succession.succeeded:
            self._fail("a process of the server could not start: see the lines above")

    def _fail(self, why: str) -> None:
        """End at once, because the whole cannot begin or go on."""
        self._failure = self._failure or why
        self._stopping = True
        self._team.kill()
        self._loop.later(STOP_TIME, self._loop.end)
        if not self._team.members:
            self._loop.end()

    def _moved_on(self) -> None:
        """Do what the succession asks for: begin to serve, end, or give up."""
        if self._succession.handed_over:
            self._stopping = True
            self._systemd.stopping()
            self._loop.later(2 * self._options.grace + STOP_TIME, self._give_up)
        elif self._succession.failure:
            self._failure = self._succession.failure
            self._stopping = True
            self._team.let_end()  # no client has been accepted yet
            self._loop.later(LAST_WORDS, partial(self._fail, self._failure))
        else:
            self._serve_if_complete()

    def crowded(self, crowded: bool) -> None:
        """Accept no more for now, or again."""
        if crowded:
            self._door.pause(Reason.CROWD)
        else:
            self._door.go_on(Reason.CROWD)

    # -- what signals ask for

    def _reload(self) -> None:
        self._systemd.reloading()
        self._reloads += 1
        self._reloading = set(self._team.members.values())
        for member in self._reloading:
            if member.ready:
                member.tell("reload")
            else:  # it may have loaded the old files already
                member.stale = True
        self._loop.later(RELOAD_TIME, partial(self._end_reload, self._reloads))
        if not self._reloading:
            self._end_reload(self._reloads)

    def _has_reloaded(self, member: Member) -> None:
        if member in self._reloading:
            self._reloading.discard(member)
            if not self._reloading:
                self._end_reload(self._reloads)

    def _end_reload(self, number: int) -> None:
        if number == self._reloads and self._serving:
            self._reloads += 1
            self._reloading.clear()
            self._systemd.ready()

    def _ask_status(self) -> None:
        if self._survey is None:
            members = {member.place: member.pid for member in self._team.serving}
            self._survey = survey = Survey(members)
            for member in self._team.serving:
                member.tell("status")
            self._loop.later(survey.patience, partial(self._end_survey, survey))
            self._end_survey()

    def _end_survey(self, overdue: Survey | None = None) -> None:
        """Write the status to the log, when all have answered or a survey is overdue."""
        survey = self._survey
        if survey is not None and (survey is overdue or survey.complete):
            self._survey = None
            survey.write(self._team.places, self._peers.counts(), self._team.counts)

    def _give_sign_of_life(self) -> None:
        self._systemd.alive()
        self._loop.later(self._systemd.interval, self._give_sign_of_life)

    # -- the end

    def _watch_parent(self) -> None:
        wanted = self._options.parent or os.getppid()
        descriptor = open_process(wanted)
        if descriptor is None:
            self._look_at_parent(wanted)
        else:
            self._loop.watch(descriptor, partial(self._orphaned, descriptor))
            if not still_lives(wanted, self._options.parent):
                self._orphaned(descriptor)

    def _look_at_parent(self, wanted: int) -> None:
        """Look at a process that the system cannot tell the end of."""
        if still_lives(wanted, self._options.parent):
            self._loop.later(INTERVAL, partial(self._look_at_parent, wanted))
        else:
            self._orphaned()

    def _orphaned(self, descriptor: int | None = None) -> None:
        if descriptor is not None:
            self._loop.unwatch(descriptor)
            os.close(descriptor)
        if not self._stopping:
            _log.warning("the process that started this server is gone")
            self._stop()

    def _signalled(self, number: signal.Signals) -> None:
        """End in order; at the second signal, at once."""
        if self._signalled_before:
            self._team.kill()
            self._door.close()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._signalled_before = True
        _log.info("asked to stop", signal=number.name)
        if not self._stopping:
            self._stop()

    def _stop(self) -> None:
        self._stopping = self._succession.hurried = True
        self._systemd.stopping()
        for member in self._team.serving:
            member.connections = None
        self._linger_until = monotonic() + self._options.linger
        self._linger()

    def _linger(self) -> None:
        """Go on as before for a while if anybody is connected, or a successor is coming."""
        now = monotonic()
        if self._succession.handed_over:
            return
        if self._succession.busy and now < self._linger_until + self._options.grace:
            self._loop.later(LOOK, self._linger)
            return
        nobody = all(member.connections == 0 for member in self._team.serving)
        if nobody or not self._serving or now > self._linger_until:
            self._drain()
            return
        for member in self._team.serving:
            member.beat()
        self._loop.later(LOOK, self._linger)

    def _drain(self) -> None:
        self._succession.abort("it stops")
        self._team.end()
        self._loop.later(2 * self._options.grace + STOP_TIME, self._give_up)
        if not self._team.members:
            self._loop.end()

    def _give_up(self) -> None:
        _log.error("not every process has ended in time: the rest is killed")
        self._code = 1
        self._team.kill()


def room(places: int) -> int:
    """How many clients may wait for each of so many places, for all of them to be open files here."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(WAITING, (files - SPARE) // (places + 1)))
