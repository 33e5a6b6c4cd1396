"""Two runs of one request: what was different in the second.

Rules kept here:

* both are compared as the page shows them, line by line: what cannot be seen is no difference;
* what differs in every request (times, ids, ports) is left out, and the page says so;
* a part of the request in which nothing changed is named, not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final

import attrs

from ...testing import Headers
from ...testing.record.format import plain
from ..history import Entry
from . import view
from .bodies import pretty
from .traces import Trace

AROUND: Final = 2
"""Equal lines that are shown before and after a change."""

LINES: Final = 2000
"""Lines of a part that are compared at the most."""

VOLATILE: Final = re.compile(r"(?i)date|.*-latency|x-kong-request-id|x-request-id|traceparent")
"""Headers that differ between any two requests."""


@attrs.frozen
class DiffLine:
    """A line; ``sign`` is ``" "``, ``"-"``, ``"+"``, or ``"…"`` for lines that are left out."""

    sign: str
    text: str


@attrs.frozen
class Part:
    """A part of the request that has changed."""

    title: str
    lines: Sequence[DiffLine]


@attrs.frozen
class Changes:
    """What changed from one run to the next."""

    before: view.Row
    after: view.Row
    parts: Sequence[Part]
    same: Sequence[str]


def changes(before: Entry, after: Entry) -> Changes:
    """Compare two requests.

    :param before: the earlier one.
    :param after: the later one.
    """
    parts, same = [], []
    old, new = dict(_named(before)), dict(_named(after))
    for title, lines in new.items():
        found = _diff(old[title][:LINES], lines[:LINES])
        if found:
            parts.append(Part(title, found))
        else:
            same.append(title)
    return Changes(view.row(before), view.row(after), parts, same)


def _named(entry: Entry) -> Iterator[tuple[str, list[str]]]:
    """The parts of a request, in which its id is only named."""
    for title, lines in _parts(entry):
        yield title, [line.replace(entry.id, "(the request's id)") for line in lines]


def _parts(entry: Entry) -> Iterator[tuple[str, list[str]]]:
    """Each part of a request, as lines."""
    exchange = entry.exchange
    shown = view.request(entry)
    yield "Answer", [f"{shown.row.status} from {shown.row.who}", f"{shown.row.trips} round trips"]
    yield (
        "Bugs",
        [
            line
            for bug in shown.bugs
            for line in (
                f"{bug.where}: {bug.text}" if bug.where else bug.text,
                *_raised(bug.traces),
            )
        ],
    )
    lines = [(block, line) for block in shown.blocks for line in block.lines]
    yield (
        "Calls",
        [
            f"{block.name} {block.phase}: {_call(line)}"
            for block, line in lines
            if isinstance(line, view.CallLine)
        ],
    )
    yield (
        "Log",
        [
            f"[{line.level}] {line.who}: {line.text}"
            for _, line in lines
            if isinstance(line, view.LogEntry)
        ],
    )
    came, went, given = exchange.request, exchange.service_request, exchange.response
    yield "Request from the client", [*_headers(came.headers), *_body(came.body)]
    to_service = [] if went is None else [f"{went.method} {went.url}", *_headers(went.headers)]
    yield "Request to the service", [*to_service, *_body(went.body if went else b"")]
    to_client = [] if given is None else [str(given.status), *_headers(given.headers)]
    yield "Response to the client", [*to_client, *_body(given.body if given else b"")]


def _raised(traces: Sequence[Trace]) -> list[str]:
    return [line for one in traces for line in one.line.splitlines()]


def _call(line: view.CallLine) -> str:
    answer = line.answer if line.error is None else f"error {line.error}"
    return f"{line.space}{line.name}({line.arguments}) → {answer or 'the end'}"


def _headers(headers: Headers) -> list[str]:
    return sorted(
        plain(f"{name}: {value}", 1000)
        for name, value in headers.pairs()
        if not VOLATILE.fullmatch(name)
    )


def _body(data: bytes) -> list[str]:
    return pretty(data).splitlines() if data else []


def _diff(old: Sequence[str], new: Sequence[str]) -> list[DiffLine]:
    """The lines around each change; none when there is no change."""
    if old == new:
        return []
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    found: list[DiffLine] = []
    end = 0
    for group in matcher.get_grouped_opcodes(AROUND):
        if group[0][1] > end:
            found.append(_left_out(group[0][1] - end))
        for _, one, two, three, four in group:
            if old[one:two] == new[three:four]:
                found += [DiffLine(" ", line) for line in new[three:four]]
            else:
                found += [DiffLine("-", line) for line in old[one:two]]
                found += [DiffLine("+", line) for line in new[three:four]]
        end = group[-1][2]
    if len(old) > end:
        found.append(_left_out(len(old) - end))
    return found


def _left_out(count: int) -> DiffLine:
    return DiffLine("…", f"{count} equal line{'' if count == 1 else 's'}")
