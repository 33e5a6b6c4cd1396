"""Time that a test moves: see pluginserver/testing/kong/clock.py."""

from __future__ import annotations

import datetime
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT
from support.scripted import Scripted

from pluginserver.testing import Clock, Gateway

NAMES = ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns")

TELLS = """
import datetime
import time
from datetime import date, datetime as moment
from time import monotonic

version, priority = "1.0.0", 1
BEGAN = monotonic(), time.monotonic()

class Plugin:
    def access(self, kong):
        told = [
            monotonic() - BEGAN[0],
            time.monotonic() - BEGAN[1],
            time.time(),
            time.time_ns() / 1e9,
            moment.now().timestamp(),
            datetime.datetime.now(datetime.timezone.utc).timestamp(),
            kong.request.get_start_time() / 1000,
        ]
        kong.response.exit(200, {"told": told, "today": date.today().isoformat()})
"""


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    yield clock
    clock.close()


@pytest.mark.parametrize("server", ["in-process", "embedded"])
def test_a_plugin_is_told_the_moved_time_however_it_asks(server: str, tmp_path: Path) -> None:
    (tmp_path / "tells.py").write_text(TELLS)
    true, began = time.time(), time.monotonic()
    with Gateway(server, root=tmp_path) as kong:
        kong.plugin("tells.py")
        kong.get("/")
        kong.clock.advance(86400)
        kong.clock.advance(60.5)
        told = kong.get("/").json()
        passed = time.monotonic() - began - 86460.5
    shift = [86460.5, 86460.5, *[true + 86460.5] * 5]
    for value, expected in zip(told["told"], shift, strict=True):
        assert -2 < value - expected < passed + 2
    assert told["today"] == datetime.date.fromtimestamp(told["told"][2]).isoformat()


def test_afterwards_everything_is_as_it_was(clock: Clock) -> None:
    before = [getattr(time, name) for name in NAMES], datetime.datetime, datetime.date
    other = Clock()
    clock.advance(5)
    other.advance(5)
    assert time.time is not before[0][0]
    clock.close()
    assert time.time is not before[0][0], "another clock has moved"
    other.close()
    other.close()
    assert ([getattr(time, name) for name in NAMES], datetime.datetime, datetime.date) == before


def test_a_name_that_a_module_took_while_time_was_moved_is_put_back(
    clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "late.py").write_text(TELLS)
    true = time.monotonic
    with Gateway(root=tmp_path) as kong:
        kong.clock.advance(60)
        kong.plugin("late.py")
        kong.get("/")
        (module,) = [one for name, one in sys.modules.items() if name.endswith("_late")]
        assert module.monotonic is not true
    assert module.monotonic is true


def test_what_waits_does_not_seem_to_be_late(clock: Clock) -> None:
    woken = threading.Event()
    waiting = threading.Thread(target=lambda: woken.wait(60) and left.append(True))
    left: list[bool] = []
    waiting.start()
    clock.advance(3600)
    woken.set()
    waiting.join()
    assert left == [True], "the wait was over before anybody was woken"


def test_objects_of_either_class_are_moments(clock: Clock) -> None:
    before, made = datetime.datetime(2020, 1, 2), datetime.datetime
    clock.advance(1)
    assert datetime.datetime is not made
    assert isinstance(before, datetime.datetime)
    assert type(datetime.datetime(2020, 1, 2)) is made
    assert datetime.datetime(2020, 1, 2) == before
    assert isinstance(datetime.date(2020, 1, 2), datetime.date)
    assert not isinstance(datetime.date(2020, 1, 2), datetime.datetime)
    assert issubclass(made, datetime.datetime)

    class Own(datetime.datetime):
        pass

    assert isinstance(Own(2020, 1, 2), Own)
    assert not isinstance(before, Own)
    assert issubclass(Own, datetime.datetime)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_time_does_not_go_back(clock: Clock, seconds: float) -> None:
    with pytest.raises(ValueError, match="say a number of seconds from 0 up"):
        clock.advance(seconds)


def test_a_rate_limit_is_over_when_its_window_is() -> None:
    with Gateway(root=ROOT) as kong:
        kong.plugin("examples/rate-limit.py", limit=1, window=60)
        assert [kong.get("/").status for _ in range(2)] == [200, 429]
        kong.clock.advance(60)
        assert [kong.get("/").status for _ in range(2)] == [200, 429]


def test_a_server_in_another_process_says_that_it_would_not_notice(prefix: Path) -> None:
    line = [sys.executable, "-m", "pluginserver", "-socket", "{socket}"]
    with (
        Gateway([*line, "-plugins-directory", str(prefix)]) as kong,
        pytest.raises(ValueError, match="let the test run in-process or embedded"),
    ):
        kong.clock.advance(60)


def test_a_transport_of_somebody_elses_is_taken_to_be_here() -> None:
    with Gateway(Scripted()) as kong:
        kong.clock.advance(1)


def test_pytest_and_this_package_are_told_the_true_time(clock: Clock) -> None:
    asks: dict[str, Any] = {"__name__": "_pytest.timing", "time": time}
    exec("def now(): return time.time()", asks)
    clock.advance(3600)
    assert time.time() - asks["now"]() > 3000
