"""What a type checker says about plugins: mypy, strict, on the sources in ``typing``.

A line on which it must complain ends with ``# error:`` and the codes of the complaints.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
from support.paths import TESTS

SOURCES = TESTS / "typing"
COMPLAINT = re.compile(r"(?P<file>[^:]+):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]")

Complaints = dict[tuple[str, int], list[str]]


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> Complaints:
    api = pytest.importorskip("mypy.api")
    cache = tmp_path_factory.mktemp("mypy")
    out, err, _ = api.run(
        [
            "--strict",
            "--warn-unreachable",
            "--show-error-codes",
            "--no-error-summary",
            "--follow-imports=silent",
            "--config-file=",
            f"--cache-dir={cache}",
            *map(str, sorted(SOURCES.glob("*.py"))),
        ]
    )
    assert err == ""
    found: Complaints = defaultdict(list)
    for line in out.splitlines():
        match = COMPLAINT.match(line)
        if match is not None:
            found[Path(match["file"]).name, int(match["line"])].append(match["code"])
        else:
            assert ": note: " in line, line
    return found


@pytest.mark.parametrize("name", [path.name for path in sorted(SOURCES.glob("*.py"))])
def test_mypy_finds_what_is_wrong_and_nothing_else(name: str, complaints: Complaints) -> None:
    expected = {}
    for number, line in enumerate((SOURCES / name).read_text().splitlines(), 1):
        _, mark, codes = line.partition("  # error: ")
        if mark:
            expected[number] = sorted(codes.split(", "))
    found = {line: sorted(codes) for (file, line), codes in complaints.items() if file == name}
    assert found == expected
