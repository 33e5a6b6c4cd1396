"""What stands around handlers, when a server is told to watch them: nothing by default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import PluginServerError
from ..runtime.options import Options
from ..version import needs

Call = Callable[[Any], object]
Wrap = Callable[[str, str, Call], Call]
"""Makes a handler of a plugin's name, a phase and a handler."""


def plain(_plugin: str, _phase: str, call: Call) -> Call:
    """The handler itself."""
    return call


def wrapping(options: Options) -> Wrap:
    """What a server's options put around each handler.

    :raises PluginServerError: when what they need is not installed.
    """
    wrap: Wrap = plain
    if options.report_cost:
        from .cost import reporting

        wrap = reporting
    if not options.otel:
        return wrap
    try:
        from .tracing import tracing
    except ModuleNotFoundError as error:
        raise PluginServerError(needs("-otel", error.name, "otel")) from None
    return lambda plugin, phase, call: tracing(plugin, phase, wrap(plugin, phase, call))
