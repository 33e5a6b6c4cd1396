"""One process that serves, as the supervisor sees it.

Rules kept here:

* it is started by exec, so that nothing of the supervisor is in it but what is meant for it;
* it is in a session of its own: a Ctrl-C in the terminal reaches the supervisor, which ends it in order;
* a hung process costs the supervisor no waiting: clients that it does not take are kept;
* a client that it was handed and has not taken when it ends is the next one's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from ..errors import LinkError
from ..rpc.link import Link
from ..runtime import handing
from ..runtime.processes import cpu_time
from .heritage import Heritage


class Member:
    """A process that was started.

    :param place: the number of its place.
    :param command: what starts it.
    :param path: where the supervisor listens.
    :param bound: device and inode of its socket file; None when there is none that is to be removed.
    :param predecessor: leads to the process that it takes over from; None for none.
    :raises OSError: when the system gives no process or descriptor.
    """

    def __init__(
        self,
        place: int,
        command: Sequence[str],
        path: Path,
        bound: tuple[int, int] | None,
        predecessor: int | None,
    ) -> None:
        self.place = place
        self.started = monotonic()
        self.ready = False
        """Whether its plugins are loaded, and it serves."""
        self.stale = False
        """Whether plugins were to be loaded again while it was loading them."""
        self.asked = False
        """Whether a beat is not answered yet."""
        self.silence = 0
        """How many looks long it is not."""
        self._spent = 0.0
        """Seconds of a processor's time that it had used when somebody looked."""
        self.connections: int | None = None
        """How many clients it has, as it said last; None when it is to say it again."""
        ours, link = socket.socketpair()
        self._handing, self._taking = handing.pair()
        try:
            with link:
                heritage = Heritage(
                    supervisor=os.getpid(),
                    place=place,
                    link=link.fileno(),
                    clients=self._taking.fileno(),
                    path=path,
                    bound=bound,
                    predecessor=predecessor,
                )
                self._process = self._run(command, heritage)
        except OSError:
            for end in ours, self._handing, self._taking:
                end.close()
            raise
        self.link = Link(ours)

    @staticmethod
    def _run(command: Sequence[str], heritage: Heritage) -> subprocess.Popen[bytes]:
        given = [heritage.link, heritage.clients]
        if heritage.predecessor is not None:
            given.append(heritage.predecessor)
        return subprocess.Popen(
            command,
            env={**os.environ, **heritage.variable()},
            pass_fds=given,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def hand(self, client: socket.socket) -> bool:
        """Hand a client over.

        :returns: False when it cannot be done now.
        """
        return handing.hand(self._handing, client)

    def untaken(self) -> Iterator[socket.socket]:
        """The clients that it was handed and has not taken; when it has ended."""
        return handing.untaken(self._taking)

    def tell(self, *frame: Any, descriptors: Sequence[int] = ()) -> None:
        """Send a frame; one that does not go out ends the link, which is noticed elsewhere."""
        with contextlib.suppress(LinkError):
            self.link.send(*frame, descriptors=descriptors)

    def beat(self) -> None:
        """Ask for a sign of life, unless it was asked already."""
        if not self.asked:
            self.asked, self.silence = True, 0
            self._spent = self._cpu_time()
            self.tell("beat")

    def computes(self, least: float) -> bool:
        """Whether it has used a processor since this, or a sign of life, was asked for last.

        :param least: seconds of its time.
        """
        before, self._spent = self._spent, self._cpu_time()
        return self._spent - before >= least

    def _cpu_time(self) -> float:
        """Seconds; as before for a process that has ended."""
        with contextlib.suppress(OSError):
            return cpu_time(self.pid)
        return self._spent

    def ended(self) -> int | None:
        """Its exit code when it has ended, negative for a signal; None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def close(self) -> None:
        """Close what leads to it; when it has ended."""
        self.link.release()
        self._handing.close()
        self._taking.close()


def told_end(code: int) -> str:
    """How a process has ended, as a part of a sentence."""
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
