"""A process in which kong-pdk is not installed, whatever this machine has."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from support.absent.sitecustomize import hidden

from pluginserver.compat.standins import FINDER


def _names() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "kong_pdk"]


@pytest.fixture(autouse=True)
def absent(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Hide a real kong-pdk, unless the test asks for it; nothing of either is left behind."""
    for name in _names():
        monkeypatch.delitem(sys.modules, name)
    finders = list(sys.meta_path) if "real" in request.fixturenames else hidden()
    monkeypatch.setattr(sys, "meta_path", [one for one in finders if one is not FINDER])
    yield
    for name in _names():
        del sys.modules[name]


@pytest.fixture
def real() -> None:
    """The real kong-pdk, where it is installed."""
    pytest.importorskip("kong_pdk")
