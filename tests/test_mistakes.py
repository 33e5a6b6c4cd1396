"""No mistake stays silent: each of the table is told of by every way in which an author meets it.

The ways are ``-dump``, ``check``, serving, ``dev`` and pytest.  What shows when a plugin is loaded is told
by each; what only an instance's start or a request shows, by those that play it.  A message has the thing,
the remedy, and the place as ``FILE:LINE``, on one line.
"""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from support.commands import MODULE, run, running
from support.devgateway import dev
from support.mistakes import MISTAKES, Mistake
from support.paths import DOCS

from pluginserver.testing import Gateway, PluginBug

LOADS = [name for name, one in MISTAKES.items() if one.when in ("warning", "error", "passed")]
PLAYS = [name for name in MISTAKES if name not in LOADS]
SERVED = [name for name, one in MISTAKES.items() if one.when not in ("error", "passed")]

TROUBLESHOOTING = DOCS / "guides" / "troubleshooting.rst"

Lines = dict[str, list[str]]
"""What each plugin was told, by its name."""


def told(name: str, mistake: Mistake, lines: list[str]) -> None:
    """Look whether one line says everything."""
    place = f"{name}.py:{mistake.line}"
    for line in lines:
        if place in line and all(part in line for part in mistake.says):
            return
    near = [line for line in lines if f"{name}.py" in line or name in line]
    raise AssertionError(f"no line has {place} and {mistake.says}, but there are: {near}")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all of them."""
    path = tmp_path_factory.mktemp("mistakes")
    for name, mistake in MISTAKES.items():
        (path / f"{name}.py").write_text(mistake.source)
    return path


@pytest.fixture(scope="module")
def dumped(directory: Path) -> tuple[list[str], list[str]]:
    """What ``-dump`` says, and the plugins that it describes."""
    done = run(*MODULE, "-dump", "-plugins-directory", directory)
    assert done.returncode == 0
    return done.stderr.decode().splitlines(), [one["Name"] for one in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def checked(directory: Path) -> list[str]:
    """What ``check`` says."""
    done = run(*MODULE, "check", ".", cwd=directory)
    assert done.returncode == 1
    return done.stdout.decode().splitlines()


@pytest.fixture(scope="module")
def served(
    directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], dict[str, list[str]]]:
    """What a server logs, and what Kong's log has of each plugin that is played."""
    socket = tmp_path_factory.mktemp("s") / "s"
    kong = {}
    arguments = ("-plugins-directory", directory, "-socket", socket)
    with running(*MODULE, *arguments) as server:
        for name in PLAYS:
            with Gateway(f"socket:{socket}", raise_bugs=False) as gateway:
                gateway.plugin(name)
                gateway.get()
                kong[name] = [line.message for line in gateway.logs]
        server.process.terminate()
        server.end()
    return server.lines, kong


@pytest.fixture(scope="module")
def tested(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What pytest says of a test for each."""
    path = tmp_path_factory.mktemp("tests")
    tests = [
        f"def test_{name}(kong):\n    kong.plugin({str(directory / name)!r} + '.py')\n    kong.get()\n"
        for name in MISTAKES
    ]
    (path / "test_all.py").write_text("\n".join(tests))
    installed = entry_points(group="pytest11", name="pluginserver")
    own = () if installed else ("-p", "pluginserver.testing.pytest_plugin")
    done = run("-m", "pytest", *own, "-p", "no:cacheprovider", "--tb=short", path, cwd=path)
    assert done.returncode == 1
    return done.stdout.decode().splitlines()


def test_there_are_enough() -> None:
    assert len(MISTAKES) >= 25


@pytest.mark.parametrize("name", LOADS)
def test_a_dump_tells(name: str, dumped: tuple[list[str], list[str]]) -> None:
    told(name, MISTAKES[name], dumped[0])


def test_a_dump_describes_all_but_what_can_serve_nothing(
    dumped: tuple[list[str], list[str]],
) -> None:
    assert sorted(dumped[1]) == sorted(SERVED)


@pytest.mark.parametrize("name", LOADS)
def test_check_tells(name: str, checked: list[str]) -> None:
    mistake = MISTAKES[name]
    told(name, mistake, checked)
    level = "error" if mistake.when == "error" else "warning"
    assert any(line.startswith(f"{name}.py:{mistake.line}: {level}: ") for line in checked)


@pytest.mark.parametrize("name", LOADS)
def test_a_server_tells(name: str, served: tuple[list[str], Lines]) -> None:
    told(name, MISTAKES[name], served[0])


@pytest.mark.parametrize("name", PLAYS)
def test_a_server_tells_when_it_is_played(name: str, served: tuple[list[str], Lines]) -> None:
    log, kong = served
    if name != "a_thread_of_its_own":  # where nobody answers Kong
        told(name, MISTAKES[name], kong[name])
    line = MISTAKES[name].line
    places = (f"{name}.py:{line}", f'{name}.py", line {line}')
    assert any(place in text for text in log for place in places)


@pytest.mark.parametrize("name", MISTAKES)
def test_dev_tells(name: str, directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mistake = MISTAKES[name]
    with dev(directory / f"{name}.py") as running:
        if name in PLAYS:
            running.get()
            running.screen.wait_for("GET /")
        lines = [one.text for one in running.gateway.messages]
        status = [one.error for one in running.gateway.deployment.status() if one.error]
        lines += [*running.screen.getvalue().splitlines(), *status]
    told(name, mistake, lines + capfd.readouterr().err.splitlines())


@pytest.mark.parametrize("name", MISTAKES)
def test_pytest_tells(name: str, tested: list[str]) -> None:
    told(name, MISTAKES[name], tested)


def test_a_warning_in_pytest_is_one_of_ours(tested: list[str]) -> None:
    warned = [line for line in tested if "PluginWarning: " in line]
    assert len(warned) >= sum(one.when == "warning" for one in MISTAKES.values())


def test_a_bug_in_log_costs_the_client_nothing(directory: Path) -> None:
    with Gateway(root=directory) as gateway:
        gateway.plugin("a_bug_in_log.py")
        with pytest.raises(PluginBug, match="Kong logs it and goes on") as raised:
            gateway.get()
    assert "500" not in str(raised.value)


@pytest.mark.parametrize("name", MISTAKES)
def test_the_page_by_symptom_has_it(name: str) -> None:
    page = " ".join(TROUBLESHOOTING.read_text().split())
    assert MISTAKES[name].says[0] in page
