"""What a process that was forked off this one must not keep: our sockets and descriptors.

A handler may fork (``os.fork``, :mod:`multiprocessing`, a ``preexec_fn``).  The child holds a copy of the
listening socket, so that the next server would find somebody who listens, and of each connection, so that
one request would be answered twice.  Rules kept here:

* whoever owns descriptors registers (:func:`close_in_children`), and closes them in each child;
* nothing is unregistered from an epoll set, nothing is shut down and no file is removed there: all of
  that would reach the parent;
* no lock is taken there: a thread that does not exist in the child may hold it;
* a child that comes back from a handler ends (:func:`end_child`): none of our threads is there to serve.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import Final, NoReturn, Protocol

CAME_BACK: Final = 1
"""The exit code of a child that came back from a handler."""


class Owner(Protocol):
    """Who has descriptors."""

    def forked(self) -> None:
        """Close them; this is a child."""


_owners: Final[weakref.WeakSet[Owner]] = weakref.WeakSet()


def close_in_children(owner: Owner) -> None:
    """Have ``owner.forked()`` called in each child that is forked, as long as the owner lives."""
    _owners.add(owner)


def close_all(*descriptors: int) -> None:
    """Close descriptors, some of which somebody else may have closed already."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def end_child(what: str) -> NoReturn:
    """End a child that came back from code that is not ours, with a line on stderr.

    :param what: what it came back from.
    """
    line = (
        f"pluginserver: the process {os.getpid()}, forked in {what}, came back from it and ends\n"
    )
    with contextlib.suppress(OSError):
        os.write(2, line.encode("utf-8", "backslashreplace"))
    os._exit(CAME_BACK)


def _in_child() -> None:
    for owner in list(_owners):
        with contextlib.suppress(Exception):
            owner.forked()


os.register_at_fork(after_in_child=_in_child)
