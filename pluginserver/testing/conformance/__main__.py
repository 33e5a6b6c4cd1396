"""``python -m pluginserver.testing.conformance``: see :mod:`.command`."""

import sys

from .command import main

sys.exit(main())
