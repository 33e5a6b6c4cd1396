"""What a plugin raised, as the page shows it: once, with the frames of the plugin open.

Rules kept here:

* an exception is shown in one place, above the timeline: its line always, its frames in a box that scrolls;
* frames of the plugin server are folded: whose bug it is can be seen without them;
* what the server itself tells Kong of an exception is no act of the plugin: it is marked as the server's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from ...events.outcome import ERROR, EXIT, LOG_ERROR, UNEXPECTED
from ...logs import of_this_package
from ...testing import Problem, Run
from ...testing.record.format import plain
from ...testing.record.timeline import CallStep, Stage, Step
from ..history import Entry

LIMIT: Final = 20000
"""Characters of a traceback that are shown."""

_FRAME: Final = '  File "'


@attrs.frozen
class Frames:
    """Frames that follow one another.

    :param text: their lines.
    :param folded: how many of the plugin server's they are; 0 for others.
    """

    text: str
    folded: int = 0


@attrs.frozen
class Trace:
    """An exception: its line (or lines), and the frames above it."""

    line: str
    frames: Sequence[Frames]


@attrs.frozen
class Bug:
    """Something that went wrong.

    :param where: the plugin and phase; empty when the text says it.
    :param text: the sentence about it.
    :param traces: what was raised.
    :param anchor: the block in the timeline; empty when there is none.
    """

    where: str
    text: str
    traces: Sequence[Trace] = ()
    anchor: str = ""


def trace(text: str) -> Trace:
    """Take a traceback apart.

    :param text: as Python prints it.
    """
    lines = plain(text, LIMIT).splitlines() or [""]
    at = max((at for at, line in enumerate(lines) if line.startswith(_FRAME)), default=None)
    if at is None:
        rest = "\n".join(lines[1:])
        return Trace(lines[0], [Frames(rest)] if rest else [])
    at += 1
    while at < len(lines) and lines[at].startswith("    "):
        at += 1
    return Trace("\n".join(lines[at:]) or "(cut)", _grouped(list(_frames(lines[:at]))))


def _frames(lines: Sequence[str]) -> Iterator[tuple[bool, str]]:
    """Each frame, or line between frames, with whether it is the plugin server's."""
    frame: list[str] = []
    for line in lines:
        if line.startswith("    ") and frame:
            frame.append(line)
            continue
        if frame:
            yield _is_ours(frame[0]), "\n".join(frame)
        frame = [line]
    if frame:
        yield _is_ours(frame[0]), "\n".join(frame)


def _is_ours(line: str) -> bool:
    return of_this_package(line.removeprefix(_FRAME))


def _grouped(frames: Sequence[tuple[bool, str]]) -> list[Frames]:
    found: list[Frames] = []
    for ours, text in frames:
        if found and bool(found[-1].folded) == ours:
            found[-1] = Frames(f"{found[-1].text}\n{text}", found[-1].folded + ours)
        else:
            found.append(Frames(text, int(ours)))
    return found


def bugs(entry: Entry, stages: Sequence[Stage], problems: Sequence[Problem]) -> list[Bug]:
    """What went wrong in a request, each thing once.

    :param entry: the request.
    :param stages: its timeline's; the n-th has the anchor ``bN`` on the page.
    :param problems: the bugs that showed.
    """
    left: list[tuple[Run, str, list[Trace]]] = []
    for number, stage in enumerate(stages):
        if isinstance(stage.subject, Run):
            texts = entry.tracebacks.get(stage.subject.event_id or -1, [])
            left.append((stage.subject, f"b{number}", [trace(text) for text in texts]))
    found = []
    for problem in problems:
        at = next((one for one in left if (one[0].plugin, one[0].phase) == _whose(problem)), None)
        if at is not None:
            left.remove(at)
        found.append(_bug(problem, at))
    for run, anchor, traces in left:
        if traces:
            found.append(Bug(f"{run.plugin}, {run.phase}", "", traces, anchor))
    return found


def _whose(problem: Problem) -> tuple[str, str]:
    return problem.plugin, problem.phase


def _bug(problem: Problem, at: tuple[Run, str, list[Trace]] | None) -> Bug:
    """A problem with what was raised, of which its sentence need not speak again."""
    text = plain(problem.message)
    if at is None:
        return Bug("", text)
    _, anchor, traces = at
    end = f" in {problem.phase}. "
    if traces and text.startswith(f"{problem.plugin} raised ") and end in text:
        return Bug(f"{problem.plugin}, {problem.phase}", text.rpartition(end)[2], traces, anchor)
    return Bug("", text, traces, anchor)


def told_by_server(stage: Stage) -> set[int]:
    """Which steps of a stage are the server's own, by their place: its ``kong.log.err`` of an exception,
    the line that this wrote, and the answer 500 after it.
    """
    run = stage.subject
    if not isinstance(run, Run):
        return set()
    begin = f"plugin {run.plugin} failed in {run.phase}: "
    texts: set[str] = set()
    found = set()
    for place, step in enumerate(stage.steps):
        if isinstance(step, CallStep):
            call = step.call
            if call.method == LOG_ERROR and str((*call.args, "")[0]).startswith(begin):
                texts.add(str(call.args[0]))
                found.add(place)
            elif texts and (call.method, call.args) in ((ERROR, (500,)), (EXIT, UNEXPECTED)):
                found.add(place)
    found.update(place for place, step in enumerate(stage.steps) if _wrote(step, begin))
    return found


def _wrote(step: Step, begin: str) -> bool:
    return not isinstance(step, CallStep) and step.line.message.startswith(begin)
