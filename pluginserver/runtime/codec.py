"""What a connection asks of its codec, which knows what its bytes mean, and what a codec may do with it.

Rules kept here:

* a codec does no input or output of its own: bytes come in by :meth:`Codec.feed`, requests go out;
* one that finds that another is wanted has the connection use that one, and is asked nothing afterwards.
"""

from __future__ import annotations

from typing import Any, Protocol

from .requests import C, Peer, Request, Task


class ProtocolError(ValueError):
    """The client sent what its codec cannot understand: the connection is of no more use."""


class Line(Peer, Protocol[C]):
    """A connection, as its codec sees it."""

    half_since: float
    """Since when there is a part of a request, in seconds on the monotonic clock; 0.0 for none."""

    def use(self, codec: Codec[C]) -> None:
        """Have another codec from now on, which has got all that arrived; in :meth:`Codec.request` only."""


class Codec(Protocol[C]):
    """What the bytes of one connection mean."""

    @property
    def held(self) -> Any:
        """What is left when a request was given out; None for nothing."""

    @property
    def task(self) -> Task | None:
        """What has the connection to itself until it is over; None while nothing has."""

    def feed(self, data: bytes) -> None:
        """Take what arrived.

        :raises ProtocolError: when it can be no part of a request.
        """

    def pending(self) -> int:
        """How many bytes there are of requests that have not been given out."""

    def direct(self, peer: Line[C], data: bytes) -> Request[C] | None:
        """The request that ``data`` is: one about a task, alone and whole, with nothing before it.

        :param data: what arrived.
        :returns: None for anything else: then nothing was done, and ``data`` is to be fed.
        """

    def step(self, peer: Line[C], data: bytes, task: Task) -> Request[C] | None:
        """The request that ``data`` is: one that goes on with ``task``, alone and whole, as :meth:`direct`;
        by whoever has the connection, on any thread."""

    def prepare(self) -> bool:
        """Decode the next request, if it has arrived whole: :meth:`request` then gives it out at once.

        :raises ProtocolError: when nobody can tell where the next request begins.
        """

    def request(self, peer: Line[C]) -> Request[C] | None:
        """The next request that has arrived whole, None until more is fed.

        What cannot be a request but leaves the rest readable is answered here.

        :raises ProtocolError: when nobody can tell where the next request begins.
        """

    def unhandled(self) -> bytes:
        """What was fed and has become no request yet."""
