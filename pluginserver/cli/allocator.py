"""Has the C library give the memory of large frames back to the system.

glibc learns: the first large block that is freed has it take the next ones of that size from its heaps, of
which each thread may have one, and each may keep twice that much at its end for ever.  Eight clients that
send 16 MiB each left 150 MiB of free memory in the process.  With limits that are set, it learns nothing: a
large block is the system's, and is given back when it is freed.  Rules kept here:

* only in a process of our own: the setting is the whole process's;
* who has set any of it in the environment is left alone, and so is another C library.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Final

LARGE_BLOCK: Final = 256 * 1024
"""Bytes of a block that is the system's: larger than what a read, or nearly any request, takes, so that
these stay as quick as they are."""

KEPT: Final = 2 * LARGE_BLOCK
"""Bytes that a heap keeps at its end; what glibc's own rule makes of :data:`LARGE_BLOCK`."""

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3

_VARIABLES: Final = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")


def give_back_large_blocks(environment: Mapping[str, str]) -> bool:
    """Set it; before there are other threads.

    :param environment: the process's environment.
    :returns: whether that was done.
    """
    tunables = environment.get("GLIBC_TUNABLES", "")
    if "glibc.malloc." in tunables or any(name in environment for name in _VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, LARGE_BLOCK) and mallopt(_TRIM_THRESHOLD, KEPT))
