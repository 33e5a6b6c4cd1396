"""The development gateway: ``python -m pluginserver dev``.

It needs the extra ``kong-python-server[dev]``.  A request's way through the package::

    http -> pluginserver.testing.Gateway -> the plugin server, over its socket
                | calls
            history -> terminal, page
    watch -> deployment (which plugins requests meet) -> pluginserver.plugins, settings

:mod:`.gateway` puts the parts together, :mod:`.command` starts it from the command line.
"""

from .command import main

__all__ = ["main"]
