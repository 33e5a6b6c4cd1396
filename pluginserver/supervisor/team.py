"""The members: who is started, led, replaced and handed clients.

Theory of operation.  A member that ends is replaced at once.  Its clients' processes keep their place for
:data:`HOLD` seconds, so that the load stays as even as it was: their new connections wait for the next one.
If that is not ready then, they get other places.

Rules kept here:

* a member that does not answer a beat for so long that a frozen one would have been ended by its own watcher
  is killed, and so replaced; what is counted is looks, not time: a machine that sleeps makes nobody silent;
* one that is silent and computes is frozen: its watcher ends it, and tells where it was; that counts time
  on a processor, so on a machine that has little for it, it has longer;
* a place whose members end again and again is filled ever more slowly, and that is told once;
* clients wait for each place by themselves: a member that hangs keeps no other one's clients out, and one
  that is being replaced does so for :data:`HOLD` seconds at the most, when a crowd waits for it;
* a client is closed here only when nobody is left who could serve it, or when as many wait for its place as
  a socket's queue would hold.
"""

from __future__ import annotations

import socket
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol

from .. import logs
from ..errors import LinkError
from .loop import Loop
from .member import Member, told_end
from .peers import Peers

HOLD: Final = 2.0
"""Seconds for which clients wait for the replacement of their member: what a start mostly takes."""

STEADY: Final = 10.0
"""Seconds after which a member that serves is not one of those that end again and again."""

AGAIN: Final = 3
"""Ends one after the other from which on it is told once, and not each time."""

FIRST_DELAY: Final = 0.5
"""Seconds before the second of such starts; each time twice as many."""

LAST_DELAY: Final = 30.0
"""Seconds between two starts at the most."""

LOOKS: Final = 5
"""Looks in which a beat is not answered until a member that does not compute is killed."""

MORE_LOOKS: Final = 40
"""The same for one that computes: with :data:`COMPUTES` of a processor its watcher has ended it before."""

COMPUTES: Final = 0.125
"""Of a processor: less is what threads use that only wait."""

SHARE: Final = 4
"""Looks in the time after which a frozen member is ended by its watcher, which comes first then."""

RETRY: Final = 0.01
"""Seconds until clients are handed over again that their member did not take."""

SLOW: Final = 60.0
"""Seconds after which it is told that a member is still loading its plugins; as long as Kong waits."""

EXIT_TIME: Final = 5.0
"""Seconds that a member gets to end that has closed its link."""

_log: Final = logs.get_logger()


class Leader(Protocol):
    """Who is told what happens to the members."""

    def member_ready(self, member: Member) -> None:
        """One serves."""

    def member_said(self, member: Member, word: str, *arguments: Any) -> None:
        """One has sent a frame that is not about itself."""

    def member_ended(self, member: Member) -> None:
        """One has ended, and is not among the members any more."""

    def crowded(self, crowded: bool) -> None:
        """As many clients as can wait for a member that is being replaced: no more should be accepted; or
        again."""


class Team:
    """The members of one supervisor.

    :param loop: where it all happens.
    :param leader: is told.
    :param peers: which place serves which client.
    :param start: starts a member in a place.
    :param places: how many there are.
    :param frozen_timeout: seconds after which the watcher of a member ends it if it is frozen; 0 for never.
    :param room: how many clients may wait for each place.
    """

    def __init__(
        self,
        loop: Loop,
        leader: Leader,
        peers: Peers,
        start: Callable[[int], Member],
        places: int,
        frozen_timeout: float,
        room: int,
    ) -> None:
        self._loop = loop
        self._leader = leader
        self._peers = peers
        self._start_member = start
        self._interval = frozen_timeout / SHARE
        self._room = room
        self.places = range(1, places + 1)
        self.members: dict[int, Member] = {}
        """Those that run, by their place."""
        self.counts: Counter[str] = Counter()
        """How many were ``replaced``, how many of these were ``hung``, and how many clients were
        ``turned_away``."""
        self._quick: Counter[int] = Counter()
        self._waiting: defaultdict[int, list[socket.socket]] = defaultdict(list)
        """Clients that no member has taken yet, by the place that they wait for."""
        self._turned_away = logs.Repeats()
        self._crowded = False
        self._retrying = False
        self._ending = False

    def start(self) -> None:
        """Start a member in each place."""
        for place in self.places:
            self._start(place)
        if self._interval:
            self._loop.later(self._interval, self._beat)

    @property
    def serving(self) -> list[Member]:
        """Those that serve."""
        return [member for member in self.members.values() if member.ready]

    @property
    def complete(self) -> bool:
        """Whether there is one that serves in each place."""
        return len(self.serving) == len(self.places)

    def tell(self, *frame: Any) -> None:
        """Send a frame to all, also to those that do not serve yet."""
        for member in self.members.values():
            member.tell(*frame)

    def end(self) -> None:
        """Have all end when their events have, and replace nobody any more."""
        self._ending = True
        for member in self.members.values():
            if member.ready:
                member.tell("stop")
            else:
                member.kill()

    def let_end(self) -> list[socket.socket]:
        """Replace nobody any more: all end by themselves.

        :returns: the clients that wait here.
        """
        self._ending = True
        return self._take_waiting()

    def kill(self) -> None:
        """End all at once, and replace nobody any more."""
        self._ending = True
        for member in self.members.values():
            member.kill()

    def reap(self) -> None:
        """Look who has ended; whenever a child of this process has."""
        for member in list(self.members.values()):
            code = member.ended()
            if code is not None:
                self._gone(member, code)

    def close(self) -> None:
        """Close the clients that wait here."""
        for client in self._take_waiting():
            client.close()

    # -- clients

    def admit(self, client: socket.socket) -> None:
        """Hand a client to its member, or keep it until that can have it."""
        place = self._peers.choose(client)
        waiting = self._waiting[place]
        if len(waiting) >= self._room and self._is_served(place):
            self._turn_away(client, place)
            return
        waiting.append(client)
        self._hand(place)
        self._look_at_crowd()

    def _hand(self, place: int) -> None:
        """Hand over who waits for a place, in order, as far as its member takes them."""
        if not self._is_served(place):
            return
        waiting, member = self._waiting[place], self.members[place]
        taken = 0
        while taken < len(waiting) and member.hand(waiting[taken]):
            taken += 1
        del waiting[:taken]
        if waiting and not self._retrying:
            self._retrying = True
            self._loop.later(RETRY, self._retry)

    def _is_served(self, place: int) -> bool:
        member = self.members.get(place)
        return member is not None and member.ready

    def _retry(self) -> None:
        self._retrying = False
        for place in list(self._waiting):
            self._hand(place)
        self._look_at_crowd()

    def _turn_away(self, client: socket.socket, place: int) -> None:
        client.close()
        self.counts["turned_away"] += 1
        repeats = self._turned_away.note(str(place))
        if repeats is not None:
            _log.error(
                f"a client was turned away: {self._room} wait already for process {place}",
                repeats=repeats,
            )

    def _hand_waiting(self) -> None:
        """Choose anew for those that wait."""
        waiting = self._take_waiting()
        if self._ending and not self.members:
            for client in waiting:
                client.close()
        else:
            for client in waiting:
                self.admit(client)
        self._look_at_crowd()

    def _take_waiting(self) -> list[socket.socket]:
        waiting = [client for clients in self._waiting.values() for client in clients]
        self._waiting.clear()
        return waiting

    def _look_at_crowd(self) -> None:
        """Have more clients wait in the queue of the socket while a crowd waits for the next member here."""
        crowded = any(
            len(waiting) >= self._room and not self._is_served(place)
            for place, waiting in self._waiting.items()
        )
        if crowded != self._crowded:
            self._crowded = crowded
            self._leader.crowded(crowded)

    # -- members

    def _start(self, place: int) -> None:
        if self._ending:
            return
        try:
            member = self._start_member(place)
        except OSError as error:
            self._again(place, f"could not be started: {error.strerror}")
            return
        self.members[place] = member
        self._loop.watch(member.link.fileno(), partial(self._hear, member))
        self._loop.later(SLOW, partial(self._tell_if_slow, member))

    def _tell_if_slow(self, member: Member) -> None:
        if self.members.get(member.place) is member and not member.ready:
            _log.warning(
                f"process {member.place} does not serve yet after {SLOW:g} s: a plugin takes long to load;"
                " SIGUSR1 has it write where it is",
                process=member.pid,
            )

    def _hear(self, member: Member) -> None:
        try:
            while (frame := member.link.receive(0)) is not None:
                self._said(member, *frame)
        except LinkError:
            self._loop.unwatch(member.link.fileno())
            self._loop.later(EXIT_TIME, partial(self._kill_if_running, member))

    def _said(self, member: Member, word: str, *arguments: Any) -> None:
        if word == "ready":
            member.ready = True
            member.started = monotonic()
            self._peers.open(member.place)
            self._leader.member_ready(member)
            self._hand_waiting()
        elif word == "beat":
            member.asked = False
            (member.connections,) = arguments
        else:
            self._leader.member_said(member, word, *arguments)

    def _kill_if_running(self, member: Member) -> None:
        if self.members.get(member.place) is member:
            member.kill()

    def _gone(self, member: Member, code: int) -> None:
        place = member.place
        del self.members[place]
        self._loop.unwatch(member.link.fileno())
        for client in member.untaken():
            self._waiting[place].append(client)
        member.close()
        if self._ending:
            self._peers.shut(place)
            self._hand_waiting()
        else:
            self.counts["replaced"] += 1
            if member.ready and monotonic() - member.started > STEADY:
                self._quick[place] = 0
            self._again(place, told_end(code))
        self._leader.member_ended(member)

    def _again(self, place: int, why: str) -> None:
        """Fill a place anew, at once or after a while."""
        self._quick[place] += 1
        ends = self._quick[place]
        delay = 0.0 if ends == 1 else min(LAST_DELAY, FIRST_DELAY * 2.0 ** min(ends - 2, 10))
        if ends < AGAIN:
            _log.warning(f"process {place} {why}: another one is started")
        elif ends == AGAIN:
            _log.error(
                f"process {place} does not stay, and {why}: see the lines above for the reason; the others"
                f" serve its clients, and it is started again and again, every {LAST_DELAY:g} s at last"
            )
        self._loop.later(delay, partial(self._start, place))
        self._loop.later(HOLD, partial(self._give_away, place))

    def _give_away(self, place: int) -> None:
        """Let other places have the clients of one that is still not filled."""
        if not self._is_served(place):
            self._peers.shut(place)
            self._hand_waiting()

    def _beat(self) -> None:
        """Ask everybody for a sign of life, and kill who gave none."""
        self._loop.later(self._interval, self._beat)
        for member in self.serving:
            if not member.asked:
                member.beat()
                continue
            member.silence += 1
            if member.silence == MORE_LOOKS or (
                LOOKS <= member.silence < MORE_LOOKS
                and not member.computes(self._interval * COMPUTES)
            ):
                self.counts["hung"] += 1
                _log.error(
                    f"process {member.place} gives no sign of life and is killed",
                    process=member.pid,
                )
                member.kill()
