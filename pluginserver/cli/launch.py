"""What a launcher runs that ``pluginserver install`` has written.

Rules kept here:

* it takes every flag of the server, before or after which its own stand back;
* it imports no more than the flag form: its dump is as quick.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

from .main import main


def launch(
    name: str, directory: str, kong_prefix: str, arguments: Sequence[str] | None = None
) -> NoReturn:
    """Describe or serve one plugin; ends the process.

    :param name: the plugin's name.
    :param directory: where it is.
    :param kong_prefix: where the socket is, unless ``-kong-prefix`` says otherwise.
    :param arguments: the command line without the program's name; ``sys.argv``'s when None.
    """
    given = [re.sub(r"^--?(?=[a-z])", "-", one) for one in arguments or sys.argv[1:]]
    place = ["-plugins-directory", directory]
    if "-dump" in given:
        main([*place, *(one for one in given if one != "-dump"), "-dump", name])
    socket = os.path.join(_prefix(given, kong_prefix), f"{name.lower()}.socket")
    main([*place, "-only", name, "-socket", socket, *given])


def _prefix(given: Sequence[str], default: str) -> str:
    """The value of ``-kong-prefix``."""
    for flag, after in pairwise([*given, default]):
        if flag == "-kong-prefix":
            return after
        if flag.startswith("-kong-prefix="):
            return flag.partition("=")[2]
    return default
