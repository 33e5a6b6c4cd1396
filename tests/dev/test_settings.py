"""What the development gateway is set up with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pluginserver.dev.settings import Option, Settings, SettingsError, read

SCHEMA: dict[str, Any] = {
    "name": "one",
    "fields": [
        {
            "config": {
                "type": "record",
                "fields": [
                    {"text": {"type": "string"}},
                    {"count": {"type": "integer"}},
                    {"list": {"type": "array", "elements": {"type": "string"}}},
                    {"inner": {"type": "record", "fields": [{"text": {"type": "string"}}]}},
                    {
                        "map": {
                            "type": "map",
                            "keys": {"type": "string"},
                            "values": {"type": "string"},
                        }
                    },
                ],
            }
        }
    ],
}


def config(*options: str, **given: Any) -> dict[str, Any]:
    settings = Settings({"one": given}, options=[Option.parse(option) for option in options])
    return settings.config("one", SCHEMA)


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ("one.text=5", "text", "5"),
        ("one.text=", "text", ""),
        ("one.text=a=b", "text", "a=b"),
        ("one.count=5", "count", 5),
        ("one.count=five", "count", "five"),
        ('one.list=["a"]', "list", ["a"]),
        ("one.inner.text=true", "inner", {"text": "true"}),
        ("one.map.key=1", "map", {"key": "1"}),
        ("one.unknown=1", "unknown", 1),
        ("one.unknown.deep=x", "unknown", {"deep": "x"}),
    ],
)
def test_an_options_text_is_what_the_schema_asks_for(
    option: str, field: str, value: object
) -> None:
    assert config(option) == {field: value}


def test_options_win_over_the_file_and_leave_the_rest() -> None:
    found = config("one.inner.text=new", inner={"text": "old", "other": 1}, count=1)
    assert found == {"inner": {"text": "new", "other": 1}, "count": 1}


def test_an_option_replaces_what_is_no_object() -> None:
    assert config("one.inner.text=new", inner="old") == {"inner": {"text": "new"}}


def test_options_leave_the_settings_as_they_are() -> None:
    settings = Settings({"one": {"inner": {}}}, options=[Option("one.inner.text", "a")])
    settings.config("one", SCHEMA)
    assert settings.plugins == {"one": {"inner": {}}}


def test_a_plugins_name_may_hold_dots() -> None:
    settings = Settings(options=[Option.parse("a.b.text=1"), Option.parse("a.bc.text=2")])
    assert settings.config("a.b", {}) == {"text": 1}


def test_a_plugin_without_a_config_record() -> None:
    settings = Settings(options=[Option.parse("one.x=1")])
    assert settings.config("one", {"fields": []}) == {"x": 1}


@pytest.mark.parametrize("given", ["", "one", "one=1", ".=1", "one.text"])
def test_what_is_no_option(given: str) -> None:
    with pytest.raises(SettingsError, match=r"NAME\.FIELD=VALUE"):
        Option.parse(given)


TOML = """
off = ["two"]
[plugins.one]
text = "a"
when = 2024-01-02
[[consumers]]
username = "ann"
[vault]
"env/x" = "y"
"""


def test_a_toml_file(tmp_path: Path) -> None:
    file = tmp_path / "dev.toml"
    file.write_text(TOML)
    found = read(file, [Option("one.text", "b")])
    assert found.config("one", SCHEMA) == {"text": "b", "when": "2024-01-02"}
    assert found.off == ["two"]
    assert found.consumers == [{"username": "ann"}]
    assert found.vault == {"env/x": "y"}


def test_a_json_file(tmp_path: Path) -> None:
    file = tmp_path / "dev.json"
    file.write_text(json.dumps({"plugins": {"one": {"count": 1}}}))
    assert read(file).config("one", SCHEMA) == {"count": 1}


def test_no_file() -> None:
    assert read(None) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("a.toml", "[", "is not TOML"),
        ("a.json", "{", "is not JSON"),
        ("a.toml", b"\xff", "is not TOML"),
        ("a.json", "[]", "must hold an object, got []"),
        ("a.toml", "[plugin.one]", "there is no section 'plugin': did you mean 'plugins'?"),
        ("a.toml", "[one]", "plugin's configuration goes into plugins.NAME"),
        ("a.toml", "plugins = 1", "plugins: expected an object, got 1"),
        ("a.toml", "[plugins]\none = 1", "plugins['one']: expected an object, got 1"),
        ("a.toml", "off = 'one'", 'off: expected a list, got "one"'),
        ("a.toml", "off = [1]", "off[0]: expected a string, got 1"),
        ("a.toml", "[consumers.ann]", 'consumers: expected a list, got {"ann": {}}'),
        ("a.toml", "consumers = [1]", "consumers[0]: expected an object, got 1"),
        (
            "a.toml",
            "[[consumers]]\nid = 'a'",
            "consumers[0].username: is missing: expected a string",
        ),
        ("a.toml", "vault = 1", "vault: expected an object, got 1"),
        ("a.toml", "[vault]\na = 1", "vault['a']: expected a string, got 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, name: str, text: str | bytes, error: str
) -> None:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError) as caught:
        read(file)
    assert error in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_everything_wrong_in_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "dev.json"
    file.write_text(json.dumps({"off": "one", "vault": {"a": None}, "consumers": [{}]}))
    with pytest.raises(SettingsError) as caught:
        read(file)
    for place in ("off: ", "vault['a']: ", "consumers[0].username: "):
        assert place in str(caught.value)


def test_a_consumer_keeps_all_that_kong_has_of_one(tmp_path: Path) -> None:
    file = tmp_path / "dev.toml"
    file.write_text("[[consumers]]\nusername = 'ann'\nid = 'a'\ntags = ['x']\n")
    assert read(file).consumers == [{"username": "ann", "id": "a", "tags": ["x"]}]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read(tmp_path / "none.toml")
