"""One whole takes over from another one: the parts of the two supervisors.

Rules kept here:

* until the listening socket is sent the old whole goes on as if nothing was asked, and so it does when
  anything fails before that, in any member on either side;
* the two have the same number of members, so that each of the new ones has one to take over from;
* who is served by which place stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import monotonic
from typing import Any, Final

from .. import logs
from ..errors import LinkError, ListenError, SocketInUseError
from ..rpc.asking import asked, connect, in_use
from ..rpc.link import SETTLED, Link, user_of
from ..runtime.options import Options
from .door import Door
from .loop import Loop
from .member import Member
from .peers import Peers
from .team import Team

PREPARATION: Final = 90.0
"""Seconds that the new members get to start everything: half a minute more than each of them by itself."""

_log: Final = logs.get_logger()


class Succession:
    """Whom a whole has taken over from, and who takes over from it.

    :param loop: where it all happens.
    :param door: the listening socket.
    :param peers: which place serves which client.
    :param team: the members.
    :param options: those of the server.
    :param changed: called when something came of it.
    """

    def __init__(
        self,
        loop: Loop,
        door: Door,
        peers: Peers,
        team: Team,
        options: Options,
        changed: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._door = door
        self._peers = peers
        self._team = team
        self._replace = options.replace
        self._changed = changed
        self.listens = False
        """Whether the listening socket is here."""
        self.succeeded = False
        """Whether it came from another server."""
        self.handed_over = False
        """Whether it is another server's now."""
        self.failure = ""
        """Why this server cannot take over from the one that listens."""
        self.hurried = False
        """Whether this one is to end, so that the next one is welcome at any time."""
        self._since = 0.0
        self._before: Link | None = None
        self._old_members: dict[int, int] = {}
        """Descriptors that lead to the members of the old whole, by place."""
        self._after: Link | None = None
        self._prepared: set[Member] = set()
        self._tries = 0

    @property
    def busy(self) -> bool:
        """Whether somebody is taking over."""
        return self._after is not None

    def close(self) -> None:
        """Let everything go."""
        self._forget_old_members()
        for link in self._before, self._after:
            if link is not None:
                link.release()

    def _forget_old_members(self) -> None:
        for descriptor in self._old_members.values():
            os.close(descriptor)
        self._old_members.clear()

    # -- the server that listened before

    def listen(self) -> None:
        """Listen, or ask who listens to let this one take over.

        :raises ListenError: when neither can be.
        """
        try:
            self._door.listen()
        except SocketInUseError:
            if not self._replace or not self._ask():
                raise
        else:
            self.listens = True

    def _ask(self) -> bool:
        """Ask who listens; gives whether it lets this one take over, or is gone and its place taken.

        :raises SocketInUseError: when it does not.
        """
        path = self._door.path
        try:
            link = connect(path)
            asked(link, path, {"Processes": len(self._team.places)})
            for place in self._team.places:
                self._old_members[place] = link.descriptor()
        except LinkError:
            self._forget_old_members()
            self._door.listen()
            self.listens = True
            return True
        self._before = link
        self._loop.watch(link.fileno(), partial(self._hear_before, link))
        return True

    @contextlib.contextmanager
    def predecessor(self, place: int) -> Iterator[int | None]:
        """A descriptor that leads to the old member of a place, once; None when there is none."""
        descriptor = self._old_members.pop(place, None)
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _hear_before(self, link: Link) -> None:
        try:
            while (frame := link.receive(0)) is not None:
                self._old_said(link, *frame)
        except LinkError as error:
            self._loop.unwatch(link.fileno())
            if self.succeeded:
                _log.info("the old server has ended")
            else:
                self._listen_instead(error)

    def _listen_instead(self, why: LinkError) -> None:
        """Take the place of a server that has ended meanwhile; one that goes on is left alone."""
        try:
            self._door.listen()
        except SocketInUseError:
            self.failure = str(in_use(self._door.path, f"it goes on: {why}"))
        except ListenError as error:
            self.failure = str(error)
        else:
            self.listens = True
        self._changed()

    def _old_said(self, link: Link, word: str, *arguments: Any) -> None:
        if word == "listener":
            device, inode, known = arguments
            self._door.adopt(socket.socket(fileno=link.descriptor()), device, inode)
            self._peers.adopt((process, place) for process, place in known)
            self._team.tell("bound", device, inode)
            self.listens = self.succeeded = True
            self._since = monotonic()
            _log.info("took over from another server")
            self._changed()
        elif word == "client":
            self._team.admit(socket.socket(fileno=link.descriptor()))

    # -- the server that comes after

    def said(self, member: Member, word: str, *arguments: Any) -> None:
        """Take what a member has said."""
        if word == "take over":
            self._asked(socket.socket(fileno=member.link.descriptor()), *arguments)
        elif arguments[0] != self._tries:  # of a try that has failed
            return
        elif word == "prepared" and self.busy:
            self._prepared.add(member)
            if len(self._prepared) == len(self._team.places):
                self._hand_over()
        elif word == "handed over" and not arguments[1]:
            if (
                self.handed_over
            ):  # its successor is gone: it has nobody to serve but who is connected
                member.tell("stop")
            self.abort("one of its processes cannot be replaced")

    def abort(self, why: str) -> None:
        """Go on: nobody takes over; nothing when nobody is about to, or it is too late."""
        if self._after is None or self.handed_over:
            return
        _log.warning(f"the takeover failed, this server goes on: {why}")
        self._forget_successor()
        self._team.tell("commit", self._tries, False)

    def _asked(self, sock: socket.socket, message_id: int, argument: Any) -> None:
        """Another server asks to take over."""
        refusal = self._refusal(sock, argument)
        link = Link(sock)
        if refusal:
            _log.warning(f"another server may not take over: {refusal}")
            with contextlib.suppress(LinkError):
                link.send(1, message_id, refusal, None)
            link.release()
            return
        pairs = {member: socket.socketpair() for member in self._team.serving}
        try:
            theirs = [pairs[member][1].fileno() for member in self._in_order(pairs)]
            link.send(1, message_id, None, {"Processes": len(pairs)}, descriptors=theirs)
        except LinkError:
            link.release()
        else:
            self._after = link
            self._prepared.clear()
            self._tries += 1
            self._loop.watch(link.fileno(), partial(self._hear_after, link))
            self._loop.later(PREPARATION, partial(self._too_late, self._tries))
            for member, (ours, _) in pairs.items():
                member.tell("hand over", self._tries, descriptors=[ours.fileno()])
        finally:
            for pair in pairs.values():
                for end in pair:
                    end.close()

    @staticmethod
    def _in_order(members: Iterable[Member]) -> list[Member]:
        return sorted(members, key=lambda member: member.place)

    def _refusal(self, sock: socket.socket, argument: Any) -> str:
        """Why who asks may not take over; empty when it may."""
        places = len(self._team.places)
        processes = argument.get("Processes", 1) if type(argument) is dict else None
        if user_of(sock) != os.geteuid():
            return "it is another user's process"
        if processes != places:
            return (
                f"it has {processes} processes and this server {places}: use the same number, or stop"
                " this server first"
            )
        if self._door.bound is None:
            return "its socket is not its own, but was handed to it"
        if self.busy or self.handed_over:
            return "another process is taking over"
        if not self._team.complete:
            return "one of its processes is being replaced"
        if self.succeeded and monotonic() - self._since < SETTLED and not self.hurried:
            return f"it has itself taken over less than {SETTLED:g} s ago"
        return ""

    def _hear_after(self, link: Link) -> None:
        """Notice that a successor is gone; it says nothing else."""
        try:
            link.receive(0)
        except LinkError as error:
            self._loop.unwatch(link.fileno())
            self.abort(str(error))

    def _too_late(self, number: int) -> None:
        if number == self._tries:
            self.abort(f"the other server did not get ready in {PREPARATION:g} s")

    def _hand_over(self) -> None:
        """Give the listening socket away: the point of no return."""
        link = self._after
        assert link is not None
        listening, device, inode = self._door.give()
        try:
            known = self._peers.known()
            link.send("listener", device, inode, known, descriptors=[listening.fileno()])
        except LinkError as error:
            self._door.take_back()
            self.abort(str(error))
            return
        self.handed_over = True
        self._door.let_go()
        self._team.tell("commit", self._tries, True)
        for client in self._team.let_end():
            with contextlib.suppress(LinkError), client:
                link.send("client", descriptors=[client.fileno()])
        _log.info("another server serves from now on")
        self._changed()

    def _forget_successor(self) -> None:
        assert self._after is not None
        self._loop.unwatch(self._after.fileno())
        self._after.release()
        self._after = None
