"""What of the candidates came to nothing: what could not be loaded, and what is no plugin.

Rules kept here:

* there is one for what a plugin would be called from outside: the last thing that was found out about it;
* a file that looks as if it were meant to be a plugin is told of with a warning, and any other that is none
  only to whoever wants to know all;
* it is changed under the lock of the registry whose it is; to look takes none.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import attrs

from ..errors import PluginError, UnknownPluginError
from ..logs import get_logger
from .discovery import Candidate
from .nearly import NotAPluginError


@attrs.define(eq=False)
class Losses:
    """What came to nothing in one registry."""

    failed: dict[str, tuple[Path | None, PluginError]] = attrs.field(factory=dict)
    """What could not be loaded, with its file."""
    passed: dict[str, tuple[Path | None, NotAPluginError]] = attrs.field(factory=dict)
    """The files that are no plugin, and why."""

    def add(self, candidate: Candidate, error: PluginError) -> None:
        """Note, and log, that a candidate came to nothing."""
        log = get_logger(plugin=candidate.name)
        if self.note(candidate, error):
            log.error(str(error))
            if not isinstance(error, NotAPluginError):
                log.debug("the traceback of the plugin that failed to load", exc_info=error)
        else:
            tell = log.warning if _is_meant(error) else log.info
            tell(f"passed over: {error}")

    def note(self, candidate: Candidate, error: PluginError, was: bool = False) -> bool:
        """Note that a candidate came to nothing.

        :param was: whether it held a plugin before.
        :returns: whether that is a failure; it is none of a file that is no plugin, and nobody named.
        """
        self.forget(candidate)
        if isinstance(error, NotAPluginError) and not (candidate.wanted or was):
            self.passed[candidate.name] = candidate.file, error
            return False
        self.failed[candidate.name] = candidate.file, error
        return True

    def forget(self, candidate: Candidate) -> None:
        """Forget what was noted of a candidate: it is tried again."""
        for noted in (self.failed, self.passed):
            if noted.get(candidate.name, (None, None))[0] == candidate.file:
                noted.pop(candidate.name, None)

    def keep(self, directory: Path) -> None:
        """Forget what belongs to another directory than this one."""
        self.passed = {}
        self.failed = {
            name: (file, error)
            for name, (file, error) in self.failed.items()
            if file is None or file.parent == directory
        }

    def clear(self) -> None:
        """Forget everything."""
        self.failed, self.passed = {}, {}

    def unknown(self, name: str, where: Path | None, loaded: Iterable[str]) -> UnknownPluginError:
        """The error for a plugin that cannot be had: why, where that is known."""
        place = f" in {where}" if where is not None else ""
        for key, (_, error) in self.failed.items():
            if same_name(key, name):
                return UnknownPluginError(str(error))
        for key, (_, why) in self.passed.items():
            if same_name(key, name):
                return UnknownPluginError(f"there is not a plugin {name}{place}: {why}")
        names = ", ".join(loaded)
        known = f"the loaded ones are {names}" if names else "none is loaded"
        return UnknownPluginError(f"there is not a plugin {name}{place}: {known}")


def same_name(one: str, other: str) -> bool:
    """Whether the file ``key_auth.py`` may hold the plugin ``key-auth``."""
    return one.replace("-", "_") == other.replace("-", "_")


def _is_meant(error: PluginError) -> bool:
    return isinstance(error, NotAPluginError) and error.meant
