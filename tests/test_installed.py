"""The path of somebody who switches from kong-pdk: the wheel, in a fresh environment.

The lines of ``kong.conf`` are those of the guide, with this machine's directories in them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support import kong_conf
from support.commands import TIMEOUT
from support.kong_node import asked, described, started
from support.kongpdk import PLUGINS
from support.paths import ROOT
from support.scrape import get
from support.wheels import WHEEL, installed_into

from pluginserver.testing import Gateway

GUIDE = ROOT / "docs" / "guides" / "from-kong-pdk.rst"
pytestmark = pytest.mark.skipif(WHEEL is None, reason="tox -e release builds the wheel")


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands of a fresh environment are, with the wheel in it."""
    return installed_into(tmp_path_factory.mktemp("venv"), "metrics")


@pytest.fixture
def plugins(prefix: Path) -> Path:
    directory = prefix / "plugins"
    shutil.copytree(PLUGINS / "pairs", directory)
    return directory


@attrs.frozen
class Machine:
    """Kong's machine: what is installed there, and where.

    :param commands: the directory of the commands.
    :param plugins: that of the plugins.
    :param prefix: Kong's prefix.
    """

    commands: Path
    plugins: Path
    prefix: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.commands}:/usr/bin:/bin", "SERVICE_TOKEN": "x"}

    def run(self, command: str, *arguments: str | Path) -> str:
        """Run one of our commands; gives its standard output."""
        done = subprocess.run(
            [self.commands / command, *map(str, arguments)],
            env=self.environment,
            cwd=self.plugins,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def understood(self, lines: str, kong: str) -> kong_conf.Read:
        """What Kong understands of lines that were written for the usual directories."""
        for usual, here in (
            ("/usr/local/bin", self.commands),
            ("/usr/local/kong", self.prefix),
            ("/opt/plugins", self.plugins),
        ):
            lines = lines.replace(usual, str(here))
        return kong_conf.understood(kong_conf.conf(lines), kong, str(self.prefix))


@pytest.fixture
def machine(commands: Path, plugins: Path, prefix: Path) -> Machine:
    return Machine(commands, plugins, prefix)


def lines_of_the_guide() -> str:
    """Those that the guide says go on to work, and the plugins that they were for."""
    found = re.search(
        r"These lines in ``kong\.conf`` go on to work:\n\n\.\. code-block:: \w+\n\n((?:    .*\n)+)",
        GUIDE.read_text(),
    )
    assert found is not None
    return f"plugins = {', '.join(NAMES)}\n" + re.sub("(?m)^ +", "", found[1])


NAMES = ("kong_logger", "py-image", "py_custom_plugin", "token_check", "traffic_capture")


def image(socket: str) -> Any:
    """Ask for the image that the plugin serves."""
    with Gateway(Path(socket)) as kong:
        kong.plugin("py-image")
        return kong.get("/logo", headers={"host": "a.example", "accept": "image/gif"})


def test_the_lines_of_the_guide_work_unchanged(machine: Machine) -> None:
    read = machine.understood(lines_of_the_guide(), "3.8")
    known = asked(read, "3.8", machine.environment)
    assert set(known) == set(NAMES)
    (server,) = read.servers
    assert server.start is not None
    server.start += ["-p", str(machine.prefix)]  # Kong's usual prefix is the default
    with started(read, machine.environment):
        response = image(known["py-image"]["socket"])
        assert (response.status, response.headers["content-type"]) == (200, "image/gif")


def test_its_plugins_are_checked_and_nothing_is_wrong(machine: Machine) -> None:
    found = json.loads(machine.run("pluginserver", "check", "--format", "json"))
    assert [one for one in found if one["level"] == "error"] == []


def test_the_new_lines_are_written_and_show_what_runs(machine: Machine) -> None:
    text = machine.run("pluginserver", "kong-conf", "--kong-prefix", machine.prefix)
    read = machine.understood(
        f"plugins = bundled\n{text}" if "plugins =" not in text else text, "3.9"
    )
    known = asked(read, "3.9", machine.environment)
    assert set(NAMES) <= set(known)
    metrics = machine.prefix / "metrics.sock"
    (first,) = [one for one in read.servers if one.start is not None]
    assert first.start is not None
    first.start += ["-metrics", f"unix:{metrics}"]
    with started(read, machine.environment):
        for name, plugin in known.items():
            assert described(plugin["socket"], name)[1]["Name"] == name
        assert image(known["py-image"]["socket"]).status == 200
        told = json.loads(machine.run("pluginserver", "status", first.socket, "--format", "json"))
        assert "py-image" in told["plugins"]
        assert events(get(str(metrics), "/metrics")[1], "py-image") == [1.0]


def events(text: str, plugin: str) -> Sequence[float]:
    """How many events of a plugin's access phase returned or exited, as the official parser reads it."""
    return [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "kong_pluginserver_events_total"
        and sample.labels["plugin"] == plugin
        and sample.value
    ]
