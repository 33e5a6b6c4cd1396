"""Plugins that change the standard library for the whole process."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.client import Client
from support.commands import MODULE, running

from pluginserver.errors import PluginError
from pluginserver.plugins import loader
from pluginserver.plugins.registry import Plugins

PARTS = """
version, priority = '1.0.0', 1
class Plugin:
    def access(self, kong):
        kong.call('kong.test')
"""


@pytest.fixture
def plugins() -> Iterator[Plugins]:
    registry = Plugins(entry_points=False)
    yield registry
    registry.close()


@pytest.mark.parametrize(
    "source",
    [
        "from gevent import monkey\nmonkey.patch_all()\n",
        "import gevent.monkey\ngevent.monkey.patch_socket()\n",
        "import gevent.monkey as gm\ngm.patch_thread()\n",
        "from gevent.monkey import patch_all as p\ndef go():\n    p()\n",
        "import eventlet\neventlet.monkey_patch()\n",
        "from eventlet import monkey_patch\nmonkey_patch()\n",
        "import beside\n",
    ],
)
def test_a_source_that_patches_is_refused_before_it_runs(
    tmp_path: Path, source: str, plugins: Plugins
) -> None:
    (tmp_path / "bad.py").write_text(f"raise SystemExit('it ran')\n{source}{PARTS}")
    (tmp_path / "beside.py").write_text("from gevent import monkey\nmonkey.patch_all()\n")
    with pytest.raises(PluginError, match=r"changes threads, sockets and locks"):
        plugins.reload(tmp_path / "bad.py")


def test_a_source_that_only_talks_of_it_is_taken(tmp_path: Path, plugins: Plugins) -> None:
    (tmp_path / "good.py").write_text(
        f"'''Do not call monkey.patch_all().'''\nimport os\npatch_all = len\npatch_all('x')\n{PARTS}"
    )
    assert plugins.reload(tmp_path / "good.py").name == "good"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("queue.Queue = list", "queue.Queue"),
        ("threading.Lock = None", "threading.Lock"),
        ("del time.sleep", "time.sleep"),
        ("sys.setswitchinterval(0.5)", "the switch interval"),
    ],
)
def test_what_a_plugin_changes_is_put_back(
    tmp_path: Path, line: str, told: str, plugins: Plugins
) -> None:
    before = queue.Queue, threading.Lock, time.sleep, sys.getswitchinterval()
    (tmp_path / "bad.py").write_text(f"import queue, sys, threading, time\n{line}\n{PARTS}")
    with pytest.raises(PluginError, match=f"bad.py cannot be loaded: it has changed {told}"):
        plugins.reload(tmp_path / "bad.py")
    assert (queue.Queue, threading.Lock, time.sleep, sys.getswitchinterval()) == before
    assert plugins.names() == []


def test_what_a_plugin_that_fails_has_changed_is_put_back(
    tmp_path: Path, plugins: Plugins
) -> None:
    before = queue.Queue
    (tmp_path / "bad.py").write_text(f"import queue\nqueue.Queue = list\n1 / 0\n{PARTS}")
    with pytest.raises(PluginError, match="division by zero"):
        plugins.reload(tmp_path / "bad.py")
    assert queue.Queue is before


def test_what_has_a_function_of_its_own_may_be_changed(tmp_path: Path, plugins: Plugins) -> None:
    (tmp_path / "good.py").write_text(
        f"import threading, time\nthreading.excepthook = threading.excepthook\ntime.tzset()\n{PARTS}"
    )
    assert plugins.reload(tmp_path / "good.py").name == "good"


def test_a_plugin_that_hides_gevents_patches_costs_only_itself(
    tmp_path: Path, prefix: Path
) -> None:
    pytest.importorskip("gevent", reason="gevent has no wheel for this interpreter")
    (tmp_path / "hidden.py").write_text(
        "import importlib\n"
        "getattr(importlib.import_module('gevent.monkey'), 'patch_all')()\n" + PARTS
    )
    (tmp_path / "hello.py").write_text(PARTS)
    flags = ("-socket", prefix / "s", "-plugins-directory", tmp_path)
    with running(*MODULE, *flags) as server:
        told = [line for line in server.lines if "hidden.py cannot be loaded" in line]
        assert len(told) == 1
        with Client(prefix / "s") as client:
            instance = client.start("hello")
            for _ in range(100):
                assert client.play(instance) == [("kong.test", None)]
        server.process.terminate()
        assert server.end() == 0


def test_a_load_leaves_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugins: Plugins
) -> None:
    class Timer(threading.Timer):
        def run(self) -> None:
            super().run()
            time.sleep(0.1)

    monkeypatch.setattr(threading, "Timer", Timer)
    (tmp_path / "hello.py").write_text(PARTS)
    before = threading.enumerate()
    plugins.reload(tmp_path / "hello.py")
    assert threading.enumerate() == before


def test_an_import_that_does_not_end_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    plugins: Plugins,
) -> None:
    monkeypatch.setattr(loader, "SLOW_LOAD", 0.05)
    told = tmp_path / "told"
    (tmp_path / "slow.py").write_text(
        f"import pathlib, time\nwhile not pathlib.Path({str(told)!r}).exists(): time.sleep(0.01)\n{PARTS}"
    )
    loading = threading.Thread(target=plugins.reload, args=(tmp_path / "slow.py",))
    loading.start()
    line = ""
    deadline = time.monotonic() + 30
    while "has been loading for" not in line and time.monotonic() < deadline:
        line += capfd.readouterr().err
        time.sleep(0.01)
    told.touch()
    loading.join()
    assert f"{tmp_path / 'slow.py'} has been loading for" in line
