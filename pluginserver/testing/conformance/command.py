"""A conformance suite: checks a plugin server, whoever wrote it, against Kong's protocol.

::

    python -m pluginserver.testing.conformance [options] SOCKET
    python -m pluginserver.testing.conformance [options] -- COMMAND [ARGUMENT ...]

The runner is our own, and not pytest's, because the command must run where pytest is not installed.

Each check is a function in :mod:`.checks` that talks to the server as Kong would,
or as Kong must never find it.  *must* checks are what Kong needs; *should* checks are what a good
server does better than the first one, go-pluginserver.  Exit status: 0 when every *must* holds (with
``--strict``: every check), 1 when one does not, 2 when nothing could be checked.

Rules kept here:

* a check that fails, in whatever way, keeps no other one from running;
* a server that the command started is stopped at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from ...spec.protocols import ON_THE_WIRE
from ..kong.lua import LuaError
from ..kong.quirks import Quirks
from ..transports.base import GatewayError
from ..transports.sockets import SOCKET, Command, Socket
from ..transports.wire import NoAnswer, RemoteError
from .check import Check
from .checks import CHECKS
from .probe import Probe, Skipped, Wrong

TIMEOUT: Final = 10.0
"""Seconds that an answer may take."""


@attrs.frozen
class Outcome:
    """What became of a check.

    :param check: the check.
    :param result: ``"ok"``, ``"FAIL"`` or ``"skip"``.
    :param detail: why it failed or was skipped; empty when it is ok.
    """

    check: Check
    result: str
    detail: str = ""


def run(probe: Probe, checks: Iterable[Check] = CHECKS) -> list[Outcome]:
    """Run checks, one after another; none keeps the next one from running.

    :param probe: the server, and a plugin of it.
    :param checks: which ones.
    """
    return [_outcome(probe, check) for check in checks]


def _outcome(probe: Probe, check: Check) -> Outcome:
    try:
        check.run(probe)
    except Skipped as why:
        return Outcome(check, "skip", str(why))
    except (Wrong, GatewayError) as why:
        return Outcome(check, "FAIL", str(why))
    except NoAnswer as why:
        return Outcome(check, "FAIL", f"no answer: {why}")
    except RemoteError as why:
        return Outcome(check, "FAIL", f"an unexpected error: {why}")
    except LuaError as why:
        return Outcome(check, "FAIL", f"Kong's client fails on it: {why}")
    except (KeyError, TypeError) as why:
        return Outcome(check, "FAIL", f"a result of another shape: {why!r}")
    finally:
        probe.tidy()
    return Outcome(check, "ok")


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as text, a line each, and a line that counts them."""
    width = max((len(outcome.check.text) for outcome in outcomes), default=0)
    lines = []
    group = ""
    for outcome in outcomes:
        if outcome.check.group != group:
            group = outcome.check.group
            lines.append(group)
        line = f"  {outcome.result:4}  {outcome.check.level:6}  {outcome.check.text:{width}}"
        lines.append(f"{line}  {outcome.detail}".rstrip())
    counts = {word: sum(one.result == word for one in outcomes) for word in ("ok", "FAIL", "skip")}
    lines.append(f"{counts['ok']} ok, {counts['FAIL']} failed, {counts['skip']} skipped")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pluginserver.testing.conformance",
        description="Check a plugin server against Kong's protocol.",
        usage="%(prog)s [options] (SOCKET | -- COMMAND [ARGUMENT ...])",
        epilog=f"{SOCKET} in the command stands for the socket's path.",
    )
    parser.add_argument(
        "socket", nargs="?", metavar="SOCKET", help="the socket of a server that runs"
    )
    parser.add_argument(
        "--listens",
        metavar="PATH",
        help=f"where the command listens, when {SOCKET} is not in it",
    )
    parser.add_argument(
        "--plugin",
        metavar="NAME",
        help="a plugin of the server (default: the first one in its status)",
    )
    parser.add_argument(
        "--config", default="{}", metavar="JSON", help="the plugin's configuration (default: {})"
    )
    parser.add_argument(
        "--phase",
        metavar="PHASE",
        help="a phase in which the plugin calls back (default: access, or its first)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT,
        metavar="SECONDS",
        help="for an answer (default: 10)",
    )
    parser.add_argument(
        "--protocol",
        choices=["both", *ON_THE_WIRE],
        default="both",
        help="what is checked; default: both, as far as the server speaks ProtoBuf:1. With protobuf alone, "
        "--plugin and --phase are needed where the server does not speak MsgPack:1 too",
    )
    parser.add_argument("--strict", action="store_true", help="fail when a 'should' does not hold")
    return parser


def _arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = _parser()
    head = list(argv)
    command: list[str] = []
    if "--" in head:
        cut = head.index("--")
        head, command = head[:cut], head[cut + 1 :]
    options = parser.parse_args(head)
    if (options.socket is None) == (not command):
        parser.error("give either a socket or, after --, a command")
    try:
        options.config = json.loads(options.config)
    except ValueError as error:
        parser.error(f"--config is not JSON: {error}")
    return options, command


def main(argv: Sequence[str] | None = None) -> int:
    """The command line.

    :returns: the exit status.
    """
    options, command = _arguments(sys.argv[1:] if argv is None else argv)
    chosen = [options.protocol] if options.protocol != "both" else ON_THE_WIRE
    protocols = frozenset(chosen)
    try:
        server: Socket
        if command:
            server = Command(command, Quirks(), options.timeout, path=options.listens)
        else:
            server = Socket(options.socket, Quirks(), options.timeout)
    except GatewayError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    try:
        probe = Probe.of(server, options.plugin, options.config, options.phase, protocols)
    except (GatewayError, RemoteError, NoAnswer, LuaError) as error:
        server.close()
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    try:
        outcomes = run(probe, [one for one in CHECKS if one.protocol in (None, *protocols)])
    finally:
        server.close()
    print(table(outcomes))
    bad = [one for one in outcomes if one.result == "FAIL"]
    return int(any(options.strict or one.check.level == "must" for one in bad))
