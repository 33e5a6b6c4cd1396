"""The development gateway: ``python -m pluginserver dev``.

It needs the extra ``pluginserver[dev]``.  A request's way through the package::

    front (HTTP) -> pluginserver.testing.Gateway -> the plugin server, over its socket
                        | tells
                    history -> terminal, page
    watch -> lineup (what is on the gateway) -> registry (what is loaded), settings
"""

from .command import main

__all__ = ["main"]
