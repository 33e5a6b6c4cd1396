"""Who may connect to the socket, and who else may write where the server reads.

Rules kept here:

* a client's user is what the kernel says (``SO_PEERCRED``), never what the client says;
* the server's own user may always connect: it may do anything to this process anyway;
* a client that is refused costs a count and, once a minute for each user, a line: it cannot fill the log.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket as sockets
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .. import logs
from .accounts import user_number
from .processes import credentials

OTHERS_MAY_CONNECT: Final = stat.S_IWGRP | stat.S_IWOTH
"""The bits of a socket's mode with which users other than its owner may connect."""

_log: Final = logs.get_logger()


def peer_user(client: sockets.socket) -> int:
    """The number of the user that a client ran as when it connected.

    :raises OSError: when the system does not say.
    """
    _process, user, _group = credentials(client)
    return user


class AllowedUsers:
    """Lets clients of some users in, or of all that the socket's mode lets in.

    :param users: names or numbers; the server's own user is always one of them; nobody is refused when there
        are none.
    """

    def __init__(self, users: Sequence[str]) -> None:
        numbers = {number for user in users if (number := user_number(user)) is not None}
        self._users = {os.geteuid(), *numbers} if users else None
        self._repeats = logs.Repeats()

    def admits(self, client: sockets.socket, counts: Counter[str]) -> bool:
        """Whether a client may stay; it raises nothing.

        :param counts: where one that may not is counted, as ``refused_users``.
        """
        if self._users is None:
            return True
        try:
            user = peer_user(client)
        except OSError:
            return False
        if user in self._users:
            return True
        counts["refused_users"] += 1
        repeats = self._repeats.note(user)
        if repeats is not None:
            _log.warning(
                f"a connection of the user {_user_name(user)} was closed: "
                "only the server's own user and those of -allow-user may connect",
                repeats=repeats,
            )
        return False


def others_may_write(directory: Path) -> str | None:
    """Why users other than root and the server's own could change what is in a directory.

    A sticky directory above it does no harm: what is ours there cannot be renamed by others.

    :returns: a part of a sentence that begins with the directory at fault; None when they could not, or the
        directory cannot be looked at.
    """
    try:
        place = directory.resolve()
        for one in (place, *place.parents):
            status = one.stat()
            if status.st_uid not in (0, os.geteuid()):
                return f"{one} belongs to the user {_user_name(status.st_uid)}"
            if one != place and status.st_mode & stat.S_ISVTX:
                continue
            if status.st_mode & stat.S_IWOTH:
                return f"{one} may be written by every user"
            if status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, status.st_uid):
                return f"{one} may be written by the group {_group_name(status.st_gid)}"
    except OSError:
        pass
    return None


def _is_private(group: int, user: int) -> bool:
    """Whether a group is a user's own: many systems give each user one of the same name."""
    return group == 0 or _group_name(group) == _user_name(user)


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
