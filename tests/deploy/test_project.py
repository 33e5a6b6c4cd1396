"""A new plugin's folder works as it is written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import MODULE, environment, run

from pluginserver.cli import new
from pluginserver.deploy import project
from pluginserver.deploy.project import STYLES, create
from pluginserver.errors import PluginServerError
from pluginserver.plugins.registry import Plugins

NAMES = {"attrs": "greet", "auth": "door-keeper", "transform": "my_change", "log": "Access-Log-2"}


@pytest.fixture(params=STYLES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return create(NAMES[request.param], request.param, tmp_path)


def test_its_tests_pass_with_pytest_and_this_package_alone(folder: Path) -> None:
    ours = ("-p", "pluginserver.testing.pytest_plugin")
    done = run(
        *("-m", "pytest", *ours, "-p", "no:cacheprovider", "-W", "error"),
        cwd=folder,
        env={**environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert done.returncode == 0, done.stdout.decode()
    assert b"passed" in done.stdout


def test_check_has_nothing_to_say(folder: Path) -> None:
    done = run(*MODULE, "check", "--strict", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_kong_is_told_of_it_in_protobuf(folder: Path) -> None:
    with_files = Plugins(directory=folder, entry_points=False)
    with_files.load()
    (plugin,) = with_files.all()
    assert (plugin.name, plugin.protocol) == (folder.name, "protobuf")
    with_files.close()


def test_a_type_checker_has_nothing_to_say(folder: Path) -> None:
    pytest.importorskip("mypy.api")
    done = run("-m", "mypy", f"--cache-dir={folder.parent / 'mypy'}", ".", cwd=folder)
    assert done.returncode == 0, done.stdout.decode()


def test_a_linter_has_nothing_to_say(folder: Path) -> None:
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    if ruff is None:
        pytest.skip("ruff is not installed")
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [ruff, *command, "--no-cache", "."], cwd=folder, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout.decode()


def test_its_readme_names_its_files_and_no_placeholder(folder: Path) -> None:
    for file in folder.iterdir():
        assert "$" not in file.read_text(), file
    readme = (folder / "README.md").read_text()
    assert all(f"`{file.name}`" in readme for file in folder.iterdir() if file.suffix != ".md")


@pytest.mark.parametrize("name", ["a.b", "-x", "x-", "a b", "", "1st", "_x", "a--b", "ä", "../x"])
def test_a_name_that_kong_or_python_cannot_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginServerError, match="cannot be a plugin's name: begin with a letter"):
        create(name, "attrs", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["json", "attrs", "class", "pytest"])
def test_a_name_that_has_a_meaning_in_python_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginServerError, match=f"my-{name} would do"):
        create(name, "attrs", tmp_path)


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "greet").write_text("mine")
    with pytest.raises(PluginServerError, match=r"there is something called .*/greet already"):
        create("greet", "attrs", tmp_path)
    assert (tmp_path / "greet").read_text() == "mine"


def test_no_half_of_a_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_template: str, _words: object) -> str:
        assert (tmp_path / "greet").is_dir()
        raise KeyboardInterrupt

    monkeypatch.setattr(project, "_filled", interrupted)
    with pytest.raises(KeyboardInterrupt):
        create("greet", "attrs", tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_says_what_it_wrote_and_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert new.main(["greet"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["greet/README.md", "greet/greet.py"]
    assert said[-1].startswith("cd greet && pytest")
    assert new.main(["greet"]) == 1
    assert new.main(["other", "-style", "brew"]) == 2
