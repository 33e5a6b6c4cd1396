"""Flags that belong to the process, not to the server in it: its plugins, its log, its watcher, and how many
there are.

Rules kept here:

* a value that cannot work is refused with what is wanted;
* ``-processes auto`` counts the cores that this process may use, not those that the machine has.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .. import logs
from ..version import DISTRIBUTION

if TYPE_CHECKING:
    from ..telemetry.address import Address

FROZEN_TIMEOUT: Final = 30.0
"""Half of the minute that Kong gives a request: nobody waits any more for what was running."""

MOST: Final = 200
"""Processes that may be asked for: of so many others a server can take over at once."""

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of CPU time that a container gets, and in how many."""


def add_plugins(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which plugins are served."""
    parser.add_argument(
        "--plugins-directory",
        metavar="DIR",
        default=".",
        help="where the plugins are; default: the current directory",
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        default=[],
        help="serve this plugin and no other; may be given more than once",
    )
    parser.add_argument(
        "--dump-file",
        metavar="FILE",
        action="append",
        default=[],
        help="a dump that Kong was given: say when it is not as the plugins are",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help=f"load plugins again when their files change; needs the extra {DISTRIBUTION}[dev]",
    )


def add_processes(parser: argparse.ArgumentParser) -> None:
    """Add ``-processes``."""
    parser.add_argument(
        "--processes",
        metavar="N",
        type=_processes,
        default=1,
        help="how many processes serve, or auto for one on each core; default: 1",
    )


def _processes(text: str) -> int:
    """How many processes a text asks for.

    :raises argparse.ArgumentTypeError: when it is neither a number nor ``auto``.
    """
    if text == "auto":
        return min(cores(), MOST)
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from 1 to {MOST}, or auto"
        )
    return int(text)


def cores(quota: Path = _QUOTA) -> int:
    """How many cores this process may use; of a quota of CPU time as many as it keeps busy.

    :param quota: the file of the control group that tells it.
    """
    allowed = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        share, period = quota.read_text().split()
        allowed = min(allowed, math.ceil(int(share) / int(period)))
    return max(1, allowed)


def add_log(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the log."""
    parser.add_argument(
        "--log-level",
        metavar="LEVEL",
        type=str.lower,
        choices=tuple(logs.LEVELS),
        help=f"{', '.join(logs.LEVELS)}; default: info, and warning for a dump",
    )
    parser.add_argument(
        "--log-format",
        metavar="FORMAT",
        choices=logs.FORMATS,
        default="console",
        help="console or json; default: console",
    )
    parser.add_argument(
        "--log-backlog",
        metavar="N",
        type=_backlog,
        default=logs.BACKLOG,
        help=f"how many lines may wait for whoever reads the log; default: {logs.BACKLOG}",
    )


def _backlog(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """Add ``-metrics``."""
    parser.add_argument(
        "--metrics",
        metavar="ADDRESS",
        type=_address,
        help="serve metrics for Prometheus, /health and /ready on PORT, HOST:PORT or unix:PATH; needs the"
        f" extra {DISTRIBUTION}[metrics]; default: nowhere",
    )


def _address(text: str) -> Address:
    from ..telemetry.address import Address  # a dump is to import no sockets

    try:
        return Address.read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_frozen(parser: argparse.ArgumentParser) -> None:
    """Add the flags for what watches the process."""
    parser.add_argument(
        "--frozen-timeout",
        metavar="SECONDS",
        type=_seconds,
        default=FROZEN_TIMEOUT,
        help="seconds after which the process is killed when C code lets nothing else run; "
        f"0 for never; default: {FROZEN_TIMEOUT:g}",
    )
    parser.add_argument(
        "--crash-directory",
        metavar="DIR",
        help="where the stacks are written then; default: the directory of the socket",
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 up")
    return value
