"""Users and groups of the system, by name or number.

Rules kept here:

* only what a dump can afford is imported: the options of a server are checked with this.
"""

from __future__ import annotations

import grp
import pwd
from typing import Final

LARGEST_ID: Final = 2**32 - 2
"""The largest number of a user or group; one more means "none" to the system."""


def user_number(user: str) -> int | None:
    """The number of a user that is given by name or number; None when there is none of that name."""
    if user.isdecimal():
        return int(user) if int(user) <= LARGEST_ID else None
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def group_number(group: str) -> int | None:
    """The number of a group that is given by name or number; None when there is none of that name."""
    if group.isdecimal():
        return int(group) if int(group) <= LARGEST_ID else None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None
