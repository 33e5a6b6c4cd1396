"""``python -m pluginserver``: see :mod:`.cli`."""

from .cli.main import main

main()
