"""What in a plugin's source ties its events to a thread."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
import threading
import types
from pathlib import Path
from typing import Any

import pytest
from support.paths import EXAMPLES

from pluginserver.plugins.registry import Plugins
from pluginserver.plugins.syntax import deep_tie, look, look_at

HEAD = """
version = "1.0.0"
priority = 1


class Plugin:
    def access(self, kong):
"""


def write(path: Path, source: str, body: str | None = None) -> Path:
    """Write a module; with ``body`` it is a plugin, whose handler that is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = textwrap.dedent(source)
    if body is not None:
        text += HEAD + textwrap.indent(textwrap.dedent(body), "        ")
    path.write_text(text)
    os.utime(path, (1, 1))
    return path


def reason(path: Path | type, name: str = "p") -> str | None:
    """What is found in a plugin, loaded as a server loads it."""
    plugins = Plugins([path], entry_points=False)
    try:
        return plugins.get(name).thread_ties().reason()
    finally:
        plugins.close()


HARMLESS = {
    "no lock at all": ("", "kong.request.get_header('host')"),
    "a lock around what is not kong": (
        "import threading\nlock = threading.Lock()\ncount = 0\n",
        "host = kong.request.get_header('host')\nwith lock:\n    known = host\nkong.log.info(known)",
    ),
    "a file that is closed before": (
        "",
        "with open('/dev/null') as f:\n    f.read()\nkong.log.info('x')",
    ),
    "a context manager that holds nothing": (
        "import contextlib\n",
        "with contextlib.suppress(KeyError):\n    kong.log.info('x')",
    ),
    "an attribute called local": ("", "kong.local = self.local = 1"),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_ties_nothing(tmp_path: Path, case: str) -> None:
    assert reason(write(tmp_path / "p.py", *HARMLESS[case])) is None


TIES = {
    "a lock held across a callback": (
        "import threading\nlock = threading.Lock()\n",
        "with lock:\n    kong.log.info('x')",
        "kong in a with block (PATH:10)",
    ),
    "a part of kong under another name": (
        "lock = object()\n",
        "request = kong.request\nget = request.get_header\nwith lock:\n    get('host')",
        "kong in a with block (PATH:11)",
    ),
    "kong handed on": (
        "",
        "with self.lock:\n    self.check(kong)",
        "kong in a with block (PATH:8)",
    ),
    "kong in the second context expression": (
        "",
        "with self.lock, self.open(kong.request.get_path()):\n    pass",
        "kong in a with block (PATH:8)",
    ),
    "a helper that calls its argument k": (
        "from pluginserver import Kong\ndef f(lock, k: 'Kong'):\n    with lock:\n        k.log.info('x')\n",
        "pass",
        "kong in a with block (PATH:3)",
    ),
    "acquire": ("", "self.lock.acquire()", ".acquire (PATH:8)"),
    "a stack of contexts": ("", "self.stack.enter_context(self.lock)", ".enter_context (PATH:8)"),
    "an aliased import": (
        "import threading as t\nvalues = t.local()\n",
        "pass",
        "threading.local (PATH:2)",
    ),
    "an aliased name": (
        "from threading import local as Values\n",
        "pass",
        "threading.local (PATH:1)",
    ),
    "a module under a second name": (
        "import threading\nt = threading\nu = t\nvalues = u.local()\n",
        "pass",
        "threading.local (PATH:4)",
    ),
    "getattr": (
        "import threading\nv = getattr(threading, 'local')()\n",
        "pass",
        "threading.local (PATH:2)",
    ),
    "everything of threading": ("from threading import *\n", "pass", "threading.* (PATH:1)"),
    "import_module": (
        "from importlib import import_module\nv = import_module('threading').local()\n",
        "pass",
        "threading.local (PATH:2)",
    ),
    "get_ident": ("import threading\n", "threading.get_ident()", ".get_ident (PATH:9)"),
    "current_thread": (
        "from threading import current_thread as me\n",
        "me()",
        "current_thread (PATH:1)",
    ),
    "a loop": ("import asyncio as a\n", "pass", "asyncio (PATH:1)"),
    "a loop in a handler": ("", "from asyncio import run", "asyncio (PATH:8)"),
    "gevent": ("", "import gevent.lock", "gevent.lock (PATH:8)"),
    "greenlet": ("from greenlet import getcurrent\n", "pass", "greenlet (PATH:1)"),
    "a loop by its name": ("", "__import__('asyncio').run(1)", "asyncio (PATH:8)"),
    "scoped_session": (
        "import types\norm = types.SimpleNamespace(scoped_session=1)\ns = orm.scoped_session\n",
        "pass",
        ".scoped_session (PATH:3)",
    ),
}


@pytest.mark.parametrize("case", TIES)
def test_what_ties_in_its_own_file(tmp_path: Path, case: str) -> None:
    source, body, expected = TIES[case]
    path = write(tmp_path / "p.py", source, body)
    assert reason(path) == expected.replace("PATH", str(path))


def test_a_handler_may_call_its_argument_as_it_likes(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.py",
        """
        version, priority = "1.0.0", 1
        class Plugin:
            def access(self, gateway):
                with self.lock:
                    gateway.log.info("x")
        """,
    )
    assert reason(path) == f"kong in a with block ({path}:5)"


def test_a_module_that_plugins_share(tmp_path: Path) -> None:
    write(tmp_path / "deeper.py", "import threading\nvalues = threading.local()\n")
    write(tmp_path / "shared.py", "def f():\n    import deeper\n")
    path = write(tmp_path / "p.py", "from shared import f\n", "pass")
    assert reason(path) == f"threading.local ({tmp_path / 'deeper.py'}:2)"


def test_a_module_beside_it_that_it_does_not_import(tmp_path: Path) -> None:
    write(tmp_path / "other.py", "import threading\nvalues = threading.local()\n")
    assert reason(write(tmp_path / "p.py", "import json\n", "pass")) is None


def test_a_package_that_plugins_share(tmp_path: Path) -> None:
    write(tmp_path / "helpers" / "__init__.py", "")
    write(tmp_path / "helpers" / "sub" / "__init__.py", "from .. import store\n")
    write(tmp_path / "helpers" / "store.py", "def take(lock):\n    lock.acquire()\n")
    path = write(tmp_path / "p.py", "import helpers.sub\n", "pass")
    assert reason(path) == f".acquire ({tmp_path / 'helpers' / 'store.py'}:2)"


def test_every_module_of_a_plugin_that_is_a_package(tmp_path: Path) -> None:
    write(tmp_path / "p" / "__init__.py", "", "pass")
    path = write(tmp_path / "p" / "late.py", "import asyncio\n")
    assert reason(tmp_path / "p") == f"asyncio ({path}:1)"


class InThisFile:
    """A plugin in a file of tests, which imports :mod:`threading` and does no harm with it."""

    name, version, priority = "p", "1.0.0", 1

    def access(self, kong: Any) -> None:
        kong.log.info(threading.active_count())


def test_a_class_in_a_file_of_tests() -> None:
    assert reason(InThisFile) is None


def test_a_class_in_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    path = write(tmp_path / "ties_class.py", "import threading\nv = threading.local()\n", "pass")
    module = importlib.import_module("ties_class")
    try:
        assert reason(module.Plugin, "ties_class") == f"threading.local ({path}:2)"
    finally:
        del sys.modules["ties_class"]


def test_a_base_class_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    base = write(tmp_path / "ties_base.py", "import asyncio\nclass Base:\n    pass\n")
    module = importlib.import_module("ties_base")
    try:
        cls = type("P", (module.Base, InThisFile), {"__module__": __name__})
        assert reason(cls) == f"asyncio ({base}:1)"
    finally:
        del sys.modules["ties_base"]


def test_code_without_a_source() -> None:
    space: dict[str, Any] = {"__name__": __name__}
    exec("def access(self, kong): kong.log.info('x')", space)
    cls = type("P", (), {"name": "p", "access": space["access"], "__module__": __name__})
    assert reason(cls) == "no source of its handler access (<string>:1)"


def test_a_decorator_without_a_source() -> None:
    space: dict[str, Any] = {"handler": InThisFile.access}
    exec(
        "import functools\n@functools.wraps(handler)\ndef access(self, kong): handler(self, kong)\n",
        space,
    )
    cls = type("P", (), {"name": "p", "access": space["access"]})
    assert reason(cls) == "no source of its handler access (<string>:1)"


def test_a_handler_in_c() -> None:
    cls = type("P", (), {"name": "p", "access": staticmethod(print)})
    assert reason(cls) == "no source of its handler access (?:1)"


def test_a_source_that_has_changed_since(tmp_path: Path) -> None:
    path = write(tmp_path / "p.py", "", "pass")
    plugins = Plugins([path], entry_points=False)
    ties = plugins.get("p").thread_ties()
    write(path, "# a comment", "pass")
    os.utime(path, (4e9, 4e9))
    assert ties.reason() == f"the source has changed since it was loaded ({path}:1)"
    plugins.close()


def test_it_is_judged_once(tmp_path: Path) -> None:
    path = write(tmp_path / "p.py", "", "pass")
    plugins = Plugins([path], entry_points=False)
    ties = plugins.get("p").thread_ties()
    assert ties.reason() is None
    path.unlink()
    assert ties.reason() is None
    plugins.close()


# -- installed packages


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of installed packages, on the path."""
    directory = tmp_path / "site-packages"
    directory.mkdir()
    monkeypatch.syspath_prepend(directory)
    before = set(sys.modules)
    yield directory
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import threading\nvalues = threading.local()\n", "threading.local"),
        ("from threading import get_ident\n", "get_ident"),
        ("from ._compat import get_ident  # threads\n", "get_ident"),
        ("import threading\nlock = threading.Lock()\nlock.acquire()\n", None),
        ("import asyncio\n# threading, and a local variable\n", None),
    ],
)
def test_a_package_that_it_imports(
    tmp_path: Path, installed: Path, source: str, found: str | None
) -> None:
    write(installed / "ties_package" / "__init__.py", "from . import inner\n")
    write(
        installed / "ties_package" / "_compat.py",
        "from threading import get_ident as x\nget_ident = x\n",
    )
    inner = write(installed / "ties_package" / "inner.py", source)
    if "_compat" not in source:
        (installed / "ties_package" / "_compat.py").unlink()
    path = write(tmp_path / "plugins" / "p.py", "import ties_package\n", "pass")
    judged = reason(path)
    if found is None:
        assert judged is None
    else:
        assert judged is not None
        assert judged.startswith(f"{found} in the package ties_package (")
        if "_compat" not in source:
            line = 2 if found == "threading.local" else 1
            assert judged.endswith(f"({inner}:{line})")


def test_a_package_that_is_not_loaded_yet(tmp_path: Path, installed: Path) -> None:
    inner = write(installed / "ties_late" / "inner.py", "import threading as t\nt.local()\n")
    write(installed / "ties_late" / "__init__.py", "")
    path = write(tmp_path / "plugins" / "p.py", "", "import ties_late.inner")
    assert reason(path) == f"threading.local in the package ties_late ({inner}:2)"


def test_a_module_of_a_package_that_nobody_has_loaded_does_not_count(
    tmp_path: Path, installed: Path
) -> None:
    write(installed / "ties_part" / "__init__.py", "")
    write(installed / "ties_part" / "unused.py", "import threading\nthreading.local()\n")
    path = write(tmp_path / "plugins" / "p.py", "import ties_part\n", "pass")
    assert reason(path) is None


def test_a_plugin_in_an_installed_package_is_judged_with_what_it_imports_of_it(
    installed: Path,
) -> None:
    write(installed / "ties_dist" / "__init__.py", "")
    write(installed / "ties_dist" / "unused.py", "import asyncio\n")
    util = write(installed / "ties_dist" / "util.py", "def f(lock):\n    lock.acquire()\n")
    write(installed / "ties_dist" / "plugins" / "__init__.py", "")
    write(installed / "ties_dist" / "plugins" / "p.py", "from ties_dist import util\n", "pass")
    module = importlib.import_module("ties_dist.plugins.p")
    assert reason(module.Plugin, "p") == f".acquire ({util}:2)"


@pytest.mark.parametrize("name", ["attrs", "structlog", "msgpack", "decimal", "pluginserver"])
def test_reviewed_packages_do_not_count(tmp_path: Path, name: str) -> None:
    assert reason(write(tmp_path / "p.py", f"import {name}\n", "pass")) is None


# -- files


def test_a_file_is_looked_at_again_when_it_has_changed(tmp_path: Path) -> None:
    path = write(tmp_path / "m.py", "import json\n")
    first = look(path)
    assert first is not None and not first.ties
    assert look(path) is first
    assert deep_tie(path) is None
    path.write_text("import threading\nthreading.local()\n")
    second = look(path)
    assert second is not None and second.ties
    assert deep_tie(path) == second.ties[0]


@pytest.mark.parametrize("source", [b"def", b"\0", b"(" * 10_000, "x = 'ü'".encode("latin-1")])
def test_what_is_not_python_has_no_source(tmp_path: Path, source: bytes) -> None:
    path = tmp_path / "m.py"
    path.write_bytes(source)
    assert look(path) is None
    assert look(tmp_path / "absent.py") is None


def test_which_lines_run_inside_of_a_with_block() -> None:
    source = """
    with (
        first,
        second(
            1),
    ):
        a
        b
    with one: c
    async def f():
        async with it:
            d
    """
    assert look_at(textwrap.dedent(source)).held == ((4, 5), (7, 8), (9, 9), (12, 12))


def test_what_a_frame_holds(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.py",
        """
        import sys
        def outer(lock, call):
            with lock:
                call()
            call()
        def inner():
            frames.append(sys._getframe())
            found.append(ties.held(sys._getframe()))
        """,
    )
    plugins = Plugins([InThisFile], entry_points=False)
    ties = plugins.get("p").thread_ties()
    module = types.ModuleType("m")
    found: list[str | None] = []
    vars(module).update(ties=ties, found=found, frames=[])
    exec(compile(path.read_text(), str(path), "exec"), vars(module))

    def held(text: str | None) -> bool:
        return text == f"a call of kong while a with block is open ({path}:5)"

    thread = threading.Thread(target=module.outer, args=(threading.Lock(), module.inner))
    thread.start()
    thread.join()
    assert [held(one) for one in found] == [True, False]
    exec("def generated(call): call()", vars(module))
    module.generated(module.inner)
    assert found[-1] == "a call of kong in code without a source (<string>:1)"
    plugins.close()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_the_examples_hold_nothing_while_they_call_kong(path: Path) -> None:
    assert reason(path, path.stem) is None


def test_a_file_is_looked_at_once_however_many_callbacks_come(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = "import sys\ndef frame():\n    return sys._getframe()\n"
    path = write(tmp_path / "p.py", source, "frame()")
    looked: list[str] = []

    def counted(name: str) -> Any:
        looked.append(name)
        return look(name)

    monkeypatch.setattr("pluginserver.plugins.thread_ties.look", counted)
    plugins = Plugins([path], entry_points=False)
    ties = plugins.get("p").thread_ties()
    module: dict[str, Any] = {}
    exec(compile(source, str(path), "exec"), module)
    for _ in range(3):
        ties.held(module["frame"]())
    assert looked.count(str(path)) == 1
    plugins.close()
