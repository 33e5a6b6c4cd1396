"""A conformance suite: checks a plugin server, whoever wrote it, against Kong's protocol.

The command is ``python -m pluginserver.testing.conformance``: see :mod:`.command`.
"""

from .command import Outcome, main, run, table

__all__ = ["Outcome", "main", "run", "table"]
