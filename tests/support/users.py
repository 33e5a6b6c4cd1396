"""Acts as another user, for the tests of what other users may do; only root can."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

import pytest

STRANGER = 54_321
"""The number of a user, and of a group, that no system has."""

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def as_user(function: Callable[[], object], user: int = STRANGER, group: int = STRANGER) -> str:
    """Call a function in a child process of that user and group.

    :returns: its result as text, or the exception that it raised, as ``Name: text``.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no thread
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
            said = str(function())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(child, 0)
    return said
