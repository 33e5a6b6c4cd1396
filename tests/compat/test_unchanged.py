"""Ten plugins for kong-pdk, started as the public ones are, behind the simulated Kong.

What each of their branches does is in ``support.kongpdk_cases``.

Where the real kong-pdk is installed it is started too, and does what the tables say.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.commands import MODULE, environment, running
from support.kongpdk import PLUGINS, without_kong_pdk
from support.kongpdk_cases import CASES, PARTS, Case
from support.plugins import eventually, listens

from pluginserver.testing import Gateway

OURS = {
    "directory": ("-c", "from pluginserver.cli.kong_pdk import main; main()"),
    "file": (*MODULE, "run"),
}
REAL = {
    "directory": (
        "-c",
        "import sys; sys.stdout = sys.stderr; from kong_pdk.cli import start_server; start_server()",
    ),
    "file": (
        "-c",
        "import os, runpy, sys; sys.stdout = sys.stderr; sys.argv = sys.argv[1:];"
        "path = sys.argv[0]; sys.path.insert(0, os.path.dirname(path));"
        "run = runpy.run_module if os.path.isdir(path) else runpy.run_path;"
        "run(os.path.basename(path) if os.path.isdir(path) else path, run_name='__main__')",
    ),
}
"""How a server of a directory and a plugin's file begin; what the real one logs goes to stderr here."""

STARTED: dict[str, tuple[str, str, tuple[str | Path, ...]]] = {
    "pairs": ("directory", "python_pluginserver.sock", ("-d", PLUGINS / "pairs")),
    "alone": (
        "directory",
        "a.socket",
        ("--no-lua-style", "--plugins-directory", PLUGINS / "alone", "--socket-name", "a.socket"),
    ),
    "my-plugin": ("file", "my-plugin.sock", (PLUGINS / "own" / "my-plugin.py",)),
    "Langfuse-Kong-Plugin": (
        "file",
        "Langfuse-Kong-Plugin.sock",
        (PLUGINS / "own" / "langfuse.py",),
    ),
    "geocode": ("file", "x.socket", (PLUGINS / "own" / "geocode", "--socket-name", "x.socket")),
}
"""The servers: how they begin, the socket's name in the prefix, and the arguments."""

Socket = Callable[[str], Path]


@contextmanager
def servers(begin: dict[str, Any], ready: str, environment: dict[str, str]) -> Iterator[Socket]:
    """Gives the socket of the server that has a plugin, which is started when it is first asked for."""
    prefix = Path(tempfile.mkdtemp(prefix="ps-"))
    started: dict[str, Path] = {}
    with ExitStack() as stack:

        def socket(plugin: str) -> Path:
            directories = (
                one for one in ("pairs", "alone") if (PLUGINS / one / f"{plugin}.py").exists()
            )
            name = next(directories, plugin)
            if name not in started:
                how, file, arguments = STARTED[name]
                command = (*begin[how], *arguments, "--kong-prefix", prefix)
                stack.enter_context(running(*command, env=environment, ready=ready))
                started[name] = prefix / file
                eventually(lambda: listens(prefix / file))
            return started[name]

        yield socket
    shutil.rmtree(prefix)


@pytest.fixture(scope="module")
def ours() -> Iterator[Socket]:
    with servers(OURS, "listening", without_kong_pdk(SERVICE_TOKEN="s3")) as socket:
        yield socket


@pytest.fixture(scope="module")
def theirs() -> Iterator[Socket]:
    pytest.importorskip("kong_pdk")
    path = os.pathsep.join([str(PLUGINS / "pairs"), environment()["PYTHONPATH"]])
    inherited = {**environment(), "PYTHONPATH": path, "SERVICE_TOKEN": "s3"}
    with servers(REAL, "server started at", inherited) as socket:
        yield socket


def called(case: Case) -> str:
    return f"{case.plugin} {case.about}"


@pytest.mark.parametrize("case", CASES, ids=called)
def test_each_branch_does_what_it_does_with_kong_pdk(case: Case, ours: Socket) -> None:
    does_what_the_table_says(case, ours(case.plugin))


@pytest.mark.parametrize("case", [one for one in CASES if not one.better], ids=called)
def test_the_tables_are_what_kong_pdk_does(case: Case, theirs: Socket, real: None) -> None:
    does_what_the_table_says(case, theirs(case.plugin))


def does_what_the_table_says(case: Case, path: Path) -> None:
    with Gateway(path, raise_bugs=False) as kong:
        kong.upstream = lambda _request: case.upstream
        kong.plugin(case.plugin, **case.config)
        case.prepared(kong)
        for _ in range(case.before + 1):
            asked = {"method": "GET", "url": "/", **case.request}
            response = kong.request(asked.pop("method"), asked.pop("url"), **asked)
        exchange = kong.exchange
    assert response.status == case.status, exchange.logs
    assert_body(response.body, case.body)
    assert_headers(response.headers.lists(), case.headers)
    sent = exchange.service_request
    assert (sent is None) is (case.service is None)
    if sent is not None:
        parts = {":method": [sent.method], ":target": [sent.target], ":body": [sent.body]}
        assert_headers({**sent.headers.lists(), **parts}, case.service)
    written = [(line.level, line.message) for line in exchange.logs if line.plugin is not None]
    assert [level for level, _ in written] == [level for level, _ in case.logs], written
    for (_, text), (_, expected) in zip(written, case.logs, strict=True):
        assert expected in text if expected in PARTS else text == expected
    assert [one.kind for one in exchange.problems] == case.problems


def assert_body(body: bytes, expected: Any) -> None:
    if expected is ...:
        return
    if isinstance(expected, bytes):
        assert body == expected
        return
    found = json.loads(body)
    assert found.keys() == expected.keys()
    assert {key: found[key] for key in found if expected[key] is not ...} == {
        key: value for key, value in expected.items() if value is not ...
    }


def assert_headers(found: dict[str, list[Any]], expected: dict[str, Any]) -> None:
    lower = {name.lower(): values for name, values in found.items()}
    for name, value in expected.items():
        wanted = value if isinstance(value, list) else [value]
        assert lower.get(name, [None]) == wanted, name


def test_there_are_ten_plugins_of_at_least_forty_lines_each_with_its_cases() -> None:
    large = [
        path
        for path in PLUGINS.rglob("*.py")
        if len(path.read_text().splitlines()) >= 40 and "class " in path.read_text()
    ]
    assert len(large) == 10
    assert len({case.plugin for case in CASES}) == 10


def test_no_plugin_of_them_knows_of_us() -> None:
    for path in PLUGINS.rglob("*.py"):
        names = {
            node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)
        }
        assert not names & {"pluginserver", "kong_pdk_style", "lua_style"}, path
