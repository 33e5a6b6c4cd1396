"""Constructors and config classes that raise: their tracebacks, for the log.

Kong is told the error in one sentence; where the plugin's own code raised it, its author needs the way there
too.
Rules kept here:

* the same error of the same plugin is told once a minute: Kong tries again with each request;
* what a plugin's schema marks as a secret may stand in an exception's text: of such a plugin the lines are
  shown without it;
* no lock is held: a constructor that takes too long may be interrupted anywhere.
"""

from __future__ import annotations

import traceback

from ..errors import ConfigError
from ..logs import Seldom, get_logger, one_line, place_of
from ..plugins.plugin import Plugin
from ..spec.secrets import holds_secrets


class RefusedStarts:
    """Tells of the configurations that the plugins' own code did not take."""

    def __init__(self) -> None:
        self._seldom = Seldom()

    def tell(self, plugin: Plugin, error: ConfigError) -> None:
        """Log the traceback of what a plugin's code raised, if it is its code that did."""
        raised = _raised(error)
        if raised is None or not self._seldom.is_due((plugin.name, str(error))):
            return
        log = get_logger(plugin=plugin.name)
        text = f"a configuration was not taken: {error}"
        if holds_secrets(plugin.record):
            log.error(f"{text} | {_lines(raised)}")
        else:
            log.error(text, exc_info=raised)


def _raised(error: BaseException) -> BaseException | None:
    """The exception behind an error that went through the plugin's own files."""
    waiting = [error.__cause__]
    while waiting:
        one = waiting.pop(0)
        if one is None:
            continue
        if place_of(one) is not None:
            return one
        waiting += [*getattr(one, "exceptions", ()), one.__cause__]
    return None


def _lines(error: BaseException) -> str:
    """The way of an exception, without its text."""
    return one_line("".join(traceback.format_tb(error.__traceback__)))
