"""Dumps in files, and what is found out about them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import MODULE, run, running

from pluginserver.deploy.dumps import KEY, stale, write
from pluginserver.errors import PluginServerError
from pluginserver.plugins.registry import Plugins
from pluginserver.plugins.source_files import digest, source_files

PLUGIN = """
import helper
version, priority = "1.0.0", 1
class Plugin:
    def access(self, kong): pass
"""


@pytest.fixture
def plugins(prefix: Path) -> Path:
    directory = prefix / "plugins"
    (directory / "parts").mkdir(parents=True)
    (directory / "one.py").write_text(PLUGIN)
    (directory / "helper.py").write_text("from parts import part\nimport json\n")
    (directory / "parts" / "__init__.py").write_text("")
    (directory / "parts" / "part.py").write_text("")
    (directory / "other.py").write_text("VALUE = 1\n")
    return directory


def test_the_files_of_a_plugin_are_its_own_and_what_they_import_from_beside_it(
    plugins: Path,
) -> None:
    names = [str(one.relative_to(plugins)) for one in source_files(plugins / "one.py")]
    assert names == ["one.py", "helper.py", "parts/__init__.py", "parts/part.py"]


def test_a_package_s_files_are_all_that_it_holds(plugins: Path) -> None:
    package = plugins / "parts"
    (package / "more.py").write_text(
        "from . import part\nfrom .. import other\nfrom ... import x\n"
    )
    names = {str(one.relative_to(plugins)) for one in source_files(package)}
    assert names == {"parts/__init__.py", "parts/part.py", "parts/more.py", "other.py"}


def test_the_digest_changes_with_each_file_and_name_and_not_with_the_place(
    plugins: Path, tmp_path: Path
) -> None:
    first = digest(plugins / "one.py")
    plugins.rename(tmp_path / "moved")
    plugins = tmp_path / "moved"
    assert digest(plugins / "one.py") == first
    (plugins / "other.py").write_text("VALUE = 2\n")
    assert digest(plugins / "one.py") == first
    (plugins / "parts" / "part.py").write_text("1\n")
    second = digest(plugins / "one.py")
    assert second != first
    (plugins / "one.py").rename(plugins / "two.py")
    assert digest(plugins / "two.py") != second


def test_without_a_file_it_is_written_to_standard_output(plugins: Path, prefix: Path) -> None:
    command = (*MODULE, "dump", "one", "-plugins-directory", plugins)
    run(*command, "-output", prefix / "one.json")
    done = run(*command)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (prefix / "one.json").read_bytes()


def test_a_dump_is_what_kong_reads_with_a_key_that_it_ignores(plugins: Path) -> None:
    output = plugins / "one.json"
    done = run(*MODULE, "dump", "one", "-output", output, "-plugins-directory", plugins)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (entry,) = json.loads(output.read_bytes())
    assert entry.pop(KEY) == digest(plugins / "one.py")
    asked = run(*MODULE, "-dump", "one", "-plugins-directory", plugins)
    assert json.loads(asked.stdout) == [entry]
    assert output.stat().st_mode & 0o777 == 0o644
    again = run(
        *MODULE,
        *("dump", "one", "-output", output, "-plugins-directory", plugins),
        *("-protocol", "protobuf"),
    )
    assert again.returncode == 0
    told = json.loads(output.read_bytes())
    assert told["Protocol"] == "ProtoBuf:1"
    assert told["Plugins"][0]["Name"] == "one"


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path / "there", b"x")
    assert [one.name for one in tmp_path.iterdir()] == ["there"]


def test_a_dump_that_is_older_than_its_plugin_is_told(plugins: Path) -> None:
    registry = Plugins(directory=plugins)
    one = registry.get("one")
    path = plugins / "dump.json"
    entry = {**one.describe(), KEY: digest(plugins / "one.py")}
    path.write_text(json.dumps([entry]))
    assert stale(path, registry) == []
    path.write_text(json.dumps({"Protocol": "ProtoBuf:1", "Plugins": [one.describe()]}))
    assert stale(path, registry) == []
    path.write_text(json.dumps([{**one.describe(), "Version": "0.9.0"}]))
    assert "describes the plugin one otherwise than it is now" in stale(path, registry)[0]
    path.write_text(json.dumps([entry]))
    (plugins / "helper.py").write_text("")
    (told,) = stale(path, registry)
    assert "was made of other files than the plugin one has now: run pluginserver dump one" in told
    registry.close()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"Name": 1}]', "null"])
def test_what_is_no_dump_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_text(text)
    with pytest.raises(PluginServerError, match=r"d\.json"):
        stale(path, Plugins(directory=tmp_path))


def test_a_server_says_that_a_dump_is_stale_and_serves(plugins: Path, prefix: Path) -> None:
    dump = plugins / "one.json"
    dump.write_text(json.dumps([{"Name": "one", KEY: "0"}]))
    arguments = ("-plugins-directory", plugins, "-socket", prefix / "s", "-linger=0")
    with running(*MODULE, *arguments, "-dump-file", dump, "-dump-file", "/none") as server:
        server.process.terminate()
        assert server.end() == 0
    told = [line for line in server.lines if "dump" in line]
    assert "was made of other files" in told[0]
    assert "the dump /none cannot be read" in told[1]
    assert len(told) == 2
