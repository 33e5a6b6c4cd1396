"""The README says only what was measured, and only what is there."""

from __future__ import annotations

import re

import pytest
from support.paths import DOCS, ROOT

README = (ROOT / "README.rst").read_text()
FIGURES = (DOCS / "performance" / "figures.inc").read_text()


def measured(workload: str) -> dict[str, str]:
    """The events a second of each server, at 16 requests in flight in Kong's first protocol."""
    part = FIGURES.partition(f"\n``{workload}``\n")[2].partition("\n``")[0]
    return dict(re.findall(r'"([^"]+)","MsgPack:1","16","([\d,]+)', part))


@pytest.mark.parametrize("workload", ["hello", "bench"])
def test_every_figure_was_measured(workload: str) -> None:
    row = re.search(rf"^``{workload}``.*", README, re.M)
    assert row
    shown = re.findall(r"[\d,]*\d\b(?= |$)", row[0].partition(": ")[2])
    found = measured(workload)
    servers = ("pluginserver", "kong-pdk threads", "kong-pdk gevent", "kong-pdk processes")
    assert shown == [found[name] for name in servers], "docs/performance was measured again"


def test_what_it_names_is_there() -> None:
    for path in re.findall(r"(?:docs|examples)/[\w./-]+\.\w+", README):
        assert (ROOT / path).is_file(), path
    targets = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", README):
        assert f"\n{target}:" in targets, target


def test_it_fits_in_lines() -> None:
    assert max(map(len, README.splitlines())) <= 120
