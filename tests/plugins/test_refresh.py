"""The registry follows its files."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.devgateway import HELLO

from pluginserver.errors import PluginError
from pluginserver.plugins.refresh import follow_files
from pluginserver.plugins.registry import Change, Plugins

NAMED = 'name = "called"\n' + HELLO


def told(changes: list[Change]) -> list[tuple[str, str]]:
    return [(one.kind, one.name) for one in changes]


def load(*sources: Path) -> Plugins:
    plugins = Plugins(sources, entry_points=False)
    plugins.refresh()
    return plugins


def message(plugins: Plugins, name: str) -> str:
    found: str = plugins.get(name).configure("{}").object.message
    return found


def test_what_is_told_is_in_use(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text(f"import nothing_like_it\n{HELLO}")
    plugins = Plugins([tmp_path], entry_points=False)
    before: list[str] = []
    follow_files(plugins, use=lambda loaded: before.append(capfd.readouterr().err))
    assert before == [""]
    assert "nothing_like_it" in capfd.readouterr().err
    plugins.close()


def test_what_is_there_is_loaded_once(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(HELLO)
    (tmp_path / "b.py").write_text(HELLO)
    (tmp_path / "no.py").write_text("x = 1\n")
    plugins = Plugins([tmp_path], entry_points=False)
    assert told(plugins.refresh()) == [("loaded", "a"), ("loaded", "b")]
    assert plugins.refresh() == []
    plugins.close()


def test_a_change_is_seen_by_its_stamp_or_by_being_told(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(HELLO)
    plugins = load(tmp_path)
    file.write_text(HELLO.replace('"hello"', '"good day"'))
    assert told(plugins.refresh()) == [("reloaded", "a")]
    assert message(plugins, "a") == "good day"
    assert told(plugins.refresh([file])) == [("reloaded", "a")]
    plugins.close()


def test_a_broken_file_keeps_the_old_plugin_and_is_told_once(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(HELLO)
    plugins = load(tmp_path)
    file.write_text(HELLO + "1 / 0\n")
    (change,) = plugins.refresh()
    assert (change.kind, change.name) == ("broken", "a")
    assert "ZeroDivisionError" in str(change.error)
    assert message(plugins, "a") == "hello"
    assert list(plugins.failures) == ["a"]
    assert plugins.refresh() == []
    file.write_text(HELLO + "\n")
    assert told(plugins.refresh()) == [("reloaded", "a")]
    assert plugins.failures == {}
    plugins.close()


def test_a_plugin_that_stops_being_one_stays_and_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(HELLO)
    plugins = load(tmp_path)
    file.write_text("x = 1\n")
    assert told(plugins.refresh()) == [("broken", "a")]
    assert message(plugins, "a") == "hello"
    plugins.close()


@pytest.mark.parametrize("text", [HELLO, HELLO + "1 / 0\n"])
def test_a_deleted_file_is_gone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.py"
    file.write_text(text)
    plugins = load(tmp_path)
    file.unlink()
    assert told(plugins.refresh([file])) == [("gone", "a")]
    assert plugins.names() == []
    assert plugins.failures == {}
    assert plugins.refresh([file]) == []
    plugins.close()


def test_a_named_file_that_was_deleted_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(HELLO)
    plugins = load(file)
    file.unlink()
    assert told(plugins.refresh()) == [("gone", "a")]
    assert plugins.refresh() == []
    file.write_text(HELLO)
    assert told(plugins.refresh()) == [("loaded", "a")]
    plugins.close()


def test_a_file_takes_its_name_along_when_it_is_renamed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(NAMED)
    plugins = load(tmp_path)
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert told(plugins.refresh()) == [("gone", "called"), ("loaded", "called")]
    assert plugins.get("called").source == tmp_path / "b.py"
    plugins.close()


def test_a_plugin_that_changes_its_name(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(HELLO)
    plugins = load(tmp_path)
    file.write_text(NAMED)
    assert told(plugins.refresh()) == [("gone", "a"), ("loaded", "called")]
    assert plugins.names() == ["called"]
    plugins.close()


def test_two_plugins_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(NAMED)
    plugins = load(tmp_path)
    (tmp_path / "b.py").write_text(NAMED)
    (change,) = plugins.refresh()
    assert (change.kind, change.name) == ("broken", "b")
    assert "the name called is used twice" in str(change.error)
    plugins.close()


def test_what_plugins_share_reloads_them(tmp_path: Path) -> None:
    shared = tmp_path / "words.py"
    shared.write_text('WORD = "one"\n')
    for name in ("a", "b"):
        text = "import words\n" + HELLO.replace('"hello"', "words.WORD")
        (tmp_path / f"{name}.py").write_text(text)
    plugins = load(tmp_path)
    shared.write_text('WORD = "another"\n')
    assert told(plugins.refresh([shared])) == [("reloaded", "a"), ("reloaded", "b")]
    assert message(plugins, "a") == message(plugins, "b") == "another"
    shared.write_text("no Python\n")
    assert told(plugins.refresh([shared])) == [("broken", "a"), ("broken", "b")]
    assert message(plugins, "a") == "another"
    shared.write_text('WORD = "third"\n')
    assert told(plugins.refresh([shared])) == [("reloaded", "a"), ("reloaded", "b")]
    assert message(plugins, "b") == "third"
    plugins.close()


def test_a_new_plugin_reloads_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(HELLO)
    plugins = load(tmp_path)
    (tmp_path / "b.py").write_text(HELLO)
    assert told(plugins.refresh([tmp_path / "b.py"])) == [("loaded", "b")]
    plugins.close()


def test_a_package_is_reloaded_when_anything_in_it_changes(tmp_path: Path) -> None:
    package = tmp_path / "pack"
    package.mkdir()
    inner = package / "words.py"
    inner.write_text('WORD = "one"\n')
    text = "from .words import WORD\n" + HELLO.replace('"hello"', "WORD")
    (package / "__init__.py").write_text(text)
    (tmp_path / "other.py").write_text(HELLO)
    plugins = load(tmp_path)
    inner.write_text('WORD = "another"\n')
    assert told(plugins.refresh([inner])) == [("reloaded", "pack")]
    assert message(plugins, "pack") == "another"
    inner.unlink()
    (package / "__init__.py").unlink()
    package.rmdir()
    assert told(plugins.refresh([inner])) == [("gone", "pack")]
    plugins.close()


def test_other_files_reload_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(HELLO)
    plugins = load(tmp_path)
    assert plugins.refresh([tmp_path / "notes.txt", Path("/elsewhere/x.py")]) == []
    plugins.close()


# -- plugins of another registry


def test_a_plugin_of_another_registry_is_taken_in(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(HELLO)
    first, again = load(tmp_path), load(tmp_path)
    second = Plugins(entry_points=False)
    second.add(first.get("a"))
    assert second.get("a") is first.get("a")
    with pytest.raises(PluginError, match="the name a is used twice"):
        second.add(again.get("a"))
    second.close()
    again.close()
    assert message(first, "a") == "hello"
    first.close()


def test_a_registry_that_was_cleared_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(HELLO)
    (tmp_path / "b.py").write_text(HELLO + "1 / 0\n")
    plugins = Plugins(directory=tmp_path, entry_points=False)
    plugins.load()
    plugins.clear()
    assert (plugins.names(), plugins.failures, plugins.directory) == ([], {}, None)
    plugins.set_directory(tmp_path)
    assert plugins.get("a").name == "a"
    plugins.close()
