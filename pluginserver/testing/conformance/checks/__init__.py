"""The checks of the conformance suite: what Kong's protocol asks of a plugin server, by group.

Rules kept here:

* a check knows nothing of the one before it, and leaves the server as it found it;
* it says what it saw and what it wanted, in one sentence;
* every check ends: whatever the server does, an answer is waited for only so long.
"""

from __future__ import annotations

from typing import Final

from ..check import Check
from . import connection, errors, events, methods, process, protobuf

CHECKS: Final[tuple[Check, ...]] = (
    *connection.CHECKS,
    *methods.CHECKS,
    *errors.CHECKS,
    *events.CHECKS,
    *protobuf.CHECKS,
    *process.CHECKS,
)
"""All checks, in the order in which they are run."""
