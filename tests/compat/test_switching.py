"""Who switches: lines of ``kong.conf`` that were written for kong-pdk, run as Kong runs them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import TIMEOUT
from support.kongpdk import PLUGINS, without_kong_pdk
from support.plugins import eventually, listens

from pluginserver.testing import Gateway

SHIM = "#!{python}\nimport sys\nsys.argv[0] = {name!r}\nfrom {module} import main\nmain()\n"

# What stands in angle brackets are a machine's own paths; all else is as it was.
DIRECTORY = """
pluginserver_names = py
pluginserver_py_socket = <prefix>/python_pluginserver.sock
pluginserver_py_start_cmd = <bin>/kong-python-pluginserver -d <pairs> -p <prefix>
pluginserver_py_query_cmd = <bin>/kong-python-pluginserver -d <pairs> --dump-all-plugins
"""

LONG_FLAGS = """
pluginserver_names = py
pluginserver_py_socket = <prefix>/python_pluginserver.sock
pluginserver_py_start_cmd = <bin>/kong-python-pluginserver --no-lua-style --plugins-directory <alone> -v \
--kong-prefix <prefix>
pluginserver_py_query_cmd = <bin>/kong-python-pluginserver --no-lua-style --plugins-directory <alone> \
--dump-all-plugins
"""

OTHER_MODES = """
pluginserver_names = py
pluginserver_py_socket = <prefix>/python_pluginserver.sock
pluginserver_py_start_cmd = <bin>/kong-python-pluginserver -g --listen-queue-size 128 -d <pairs> -p <prefix>
pluginserver_py_query_cmd = <bin>/kong-python-pluginserver -g -d <pairs> --dump-all-plugins
"""

FILE = """
pluginserver_names = my-plugin
pluginserver_my-plugin_socket = <prefix>/my-plugin.socket
pluginserver_my-plugin_start_cmd = <run><own>/my-plugin.py \
--socket-name my-plugin.socket --kong-prefix <prefix>
pluginserver_my-plugin_query_cmd = <run><own>/my-plugin.py --dump
"""

NAMED = """
pluginserver_names = langfuse
pluginserver_langfuse_socket = <prefix>/Langfuse-Kong-Plugin.sock
pluginserver_langfuse_start_cmd = <run><own>/langfuse.py -p <prefix>
pluginserver_langfuse_query_cmd = <run><own>/langfuse.py -dump
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """The commands that the wheel installs."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name, module in (
        ("pluginserver", "pluginserver.cli.main"),
        ("kong-python-pluginserver", "pluginserver.cli.kong_pdk"),
    ):
        script = directory / name
        script.write_text(SHIM.format(python=sys.executable, name=name, module=module))
        script.chmod(0o755)
    return directory


def settings(lines: str, **paths: str | Path) -> dict[str, str]:
    """What ``kong.conf`` says of its one server: ``socket``, ``start_cmd`` and ``query_cmd``."""
    for name, path in paths.items():
        lines = lines.replace(f"<{name}>", str(path))
    given = dict(line.split(" = ", 1) for line in lines.strip().splitlines())
    beginning = f"pluginserver_{given.pop('pluginserver_names')}_"
    return {key.removeprefix(beginning): value for key, value in given.items()}


PAIRS = {"kong_logger", "py-image", "py_custom_plugin", "token_check", "traffic_capture"}


@pytest.mark.parametrize(
    ("lines", "plugins", "asked"),
    [
        (DIRECTORY, PAIRS, "py-image"),
        (LONG_FLAGS, {"authChecker", "xml-handling"}, "xml-handling"),
        (OTHER_MODES, PAIRS, "py-image"),
        (FILE, {"my-plugin"}, "my-plugin"),
        (NAMED, {"Langfuse-Kong-Plugin"}, "Langfuse-Kong-Plugin"),
    ],
    ids=["directory", "long flags", "gevent", "file", "file of another name"],
)
def test_the_lines_work_as_they_are(
    scripts: Path, prefix: Path, lines: str, plugins: set[str], asked: str
) -> None:
    found = settings(
        lines,
        prefix=prefix,
        bin=scripts,
        pairs=PLUGINS / "pairs",
        alone=PLUGINS / "alone",
        own=PLUGINS / "own",
        run=f"{scripts}/pluginserver run ",  # the one word that is new
    )
    environment = without_kong_pdk(SERVICE_TOKEN="x")
    query, start = (shlex.split(found[f"{what}_cmd"]) for what in ("query", "start"))
    dumped = subprocess.run(query, env=environment, capture_output=True, timeout=TIMEOUT)
    assert {one["Name"] for one in json.loads(dumped.stdout)} == plugins, dumped.stderr
    path = Path(found["socket"])
    server = subprocess.Popen(start, env=environment, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: listens(path))
        with Gateway(path) as kong:
            kong.plugin(asked, **({"host": "h"} if "Langfuse" in asked else {}))
            assert kong.get("/other").status == 200
            assert kong.exchange.runs[0].plugin == asked
    finally:
        server.terminate()
        assert server.wait(TIMEOUT) == 0
