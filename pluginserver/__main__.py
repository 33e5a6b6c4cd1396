"""``python -m pluginserver``: see :mod:`.cli`."""

from .cli import main

main()
