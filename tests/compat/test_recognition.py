"""Which plugins are for kong-pdk, and what is made of their modules."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.kongpdk import write

from pluginserver import PluginError, logs
from pluginserver.compat.recognition import Manner
from pluginserver.plugins.registry import Plugin, Plugins

CLASS = "class Plugin:\n    def access(self, kong):\n        pass\n"
OURS = "version, priority = '1.0.0', 1\n" + CLASS

Load = Callable[..., Plugin]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Loads the plugin ``p`` of a source, or raises what is wrong with it."""
    opened = []

    def load(source: str | Path, manner: Manner | None = None) -> Plugin:
        path = tmp_path / "p.py"
        if isinstance(source, Path):
            path = source
        else:
            path.write_text(source)
        plugins = Plugins([path], entry_points=False, manner=manner or Manner())
        opened.append(plugins)
        plugins.load()
        for error in plugins.failures.values():
            raise error
        (found,) = plugins.all()
        return found

    yield load
    for plugins in opened:
        plugins.close()


@pytest.mark.parametrize(
    "head",
    [
        "import kong_pdk.pdk.kong as kong",
        "import kong_pdk",
        "from kong_pdk.exception import PDKException",
        "import importlib\nK = importlib.import_module('kong_pdk.pdk.kong')",
        "def later():\n    from kong_pdk.cli import start_dedicated_server",
        "kong_pdk_style = True",
    ],
)
def test_what_names_kong_pdk_needs_no_version_and_no_priority(load: Load, head: str) -> None:
    plugin = load(f"{head}\n{CLASS}")
    assert plugin.lua_style is True
    assert (plugin.version, plugin.priority) == (None, 0)
    assert plugin.describe() == {
        "Name": "p",
        "Phases": ["access"],
        "Version": None,
        "Priority": 0,
        "Schema": {"name": "p", "fields": [{"config": {"type": "record", "fields": []}}]},
    }
    assert plugin.round_trips == "plain" and plugin.protocol == "msgpack"


@pytest.mark.parametrize(
    "head",
    [
        "# import kong_pdk",
        '"""Was once written for kong_pdk."""',
        "kong_pdk_tools = 'kong_pdk tools'",
        "import kong_pdk\nkong_pdk_style = False",
    ],
)
def test_what_only_mentions_it_or_denies_it_is_ours(load: Load, head: str) -> None:
    plugin = load(f"{head}\n{OURS}")
    assert plugin.lua_style is None
    assert plugin.round_trips == "fewer"


def test_a_package_is_one_when_any_file_of_it_names_kong_pdk(load: Load, tmp_path: Path) -> None:
    package = tmp_path / "My-Package"
    package.mkdir()
    (package / "__init__.py").write_text("from .plugin import Plugin\n")
    (package / "plugin.py").write_text(f"import kong_pdk.pdk.kong as kong\n{CLASS}")
    plugin = load(package)
    assert (plugin.name, plugin.lua_style) == ("My-Package", True)


def test_all_that_such_a_server_serves_are_unless_they_deny_it(load: Load) -> None:
    assert load(CLASS, Manner(always=True)).lua_style is True
    assert load(CLASS, Manner(always=True, lua_style=False)).lua_style is False
    denied = load(f"kong_pdk_style = False\n{OURS}", Manner(always=True))
    assert denied.lua_style is None


def test_a_module_says_itself_which_style_it_takes(load: Load) -> None:
    assert load(f"import kong_pdk\nlua_style = False\n{CLASS}").lua_style is False
    with pytest.raises(Exception, match="lua_style must be True or False, got 'no'"):
        load(f"import kong_pdk\nlua_style = 'no'\n{CLASS}")


@pytest.mark.parametrize("name", ["Langfuse-Kong-Plugin", "xml-handling", "AuthChecker", "a_b"])
def test_the_name_is_the_files_whatever_the_module_calls_itself(
    load: Load, tmp_path: Path, name: str
) -> None:
    path = write(tmp_path, name, head="name = 'another'")
    assert load(path).name == name


def test_siblings_are_imported(load: Load, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("from kong_pdk.exception import PDKException as E\n")
    plugin = load(write(tmp_path, "p", head="from helper import E"))
    assert plugin.lua_style is True


def test_the_class_gets_all_of_the_configuration_as_a_dict(load: Load) -> None:
    plugin = load(
        "import kong_pdk\nimport attrs\n@attrs.define\nclass Plugin:\n    config: dict\n"
        "    def access(self, kong):\n        pass\n"
    )
    made = plugin.configure('{"a": null, "__plugin_id": "x", "__seq__": 1}').object
    assert made.config == {"a": None, "__plugin_id": "x", "__seq__": 1}


def test_a_dataclass_gets_it_too(load: Load) -> None:
    plugin = load(
        "import kong_pdk\nfrom dataclasses import dataclass\n@dataclass\nclass Plugin:\n"
        "    config: dict\n    def access(self, kong):\n        pass\n"
    )
    assert plugin.configure('{"a": 1}').object.config == {"a": 1}


def test_a_schema_may_be_a_tuple(load: Load) -> None:
    plugin = load(f"import kong_pdk\nSchema = ({{'m': {{'type': 'string'}}}},)\n{CLASS}")
    assert plugin.record == {"type": "record", "fields": [{"m": {"type": "string"}}]}


def test_a_method_close_is_nothing_that_is_called(load: Load) -> None:
    source = f"import kong_pdk\n{CLASS}    def close(self, connection):\n        pass\n"
    assert not load(source).configure("{}").closes


def test_names_that_are_settings_of_ours_may_mean_anything(
    load: Load, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("warning", "console")
    plugin = load(f"import kong_pdk\nthreads = 4\nprotocol = 'https'\nprotocols = 7\n{CLASS}")
    assert (plugin.threads, plugin.protocol) == (None, "msgpack")
    said = capfd.readouterr().err
    assert "threads must be" in said and "protocol must be" in said and "passed over" in said


def test_settings_that_fit_are_taken(load: Load) -> None:
    plugin = load(f"import kong_pdk\nround_trips = 'fewer'\non_error = 'continue'\n{CLASS}")
    assert (plugin.round_trips, plugin.on_error) == ("fewer", "continue")


def test_what_is_left_of_lua_is_said_when_a_plugin_of_our_own_is_loaded(
    load: Load, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("warning", "console")
    load(
        "version, priority = '1.0.0', 1\n"
        "class Plugin:\n"
        "    def access(self, kong):\n"
        "        host, err = kong.request.get_host()\n"
        "        kong.ctx.shared.user = host\n"
        "        kong.ctx.shared.setdefault('a', 1)\n"
        "        a, b = kong, 1\n"
    )
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2, lines
    assert "host, err = kong.request.get_host(...) takes a pair" in lines[0]
    assert "p.py:4" in lines[0]
    assert "write kong.ctx.shared['user']" in lines[1] and "p.py:5" in lines[1]


def test_pairs_are_right_in_a_plugin_for_kong_pdk(
    load: Load, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("warning", "console")
    load(
        "import kong_pdk\nclass Plugin:\n    def access(self, kong):\n"
        "        host, err = kong.request.get_host()\n"
        "        a, err = kong.ctx.shared.get('a')\n"
        "        kong.ctx.shared.user = host\n"
    )
    (line,) = capfd.readouterr().err.splitlines()
    assert (
        'kong.ctx.shared.user is no entry of Kong\'s table: write kong.ctx.shared.get("user")'
        in line
    )


def test_kong_pdk_itself_ties_no_event_to_a_thread(load: Load, tmp_path: Path) -> None:
    path = write(tmp_path, "p", "kong.request.get_host()")
    os.utime(path, (1, 1))
    assert load(path).thread_ties().reason() is None


@pytest.mark.filterwarnings("ignore:.*getdefaultlocale:DeprecationWarning")
def test_nor_does_the_real_one(load: Load, tmp_path: Path, real: None) -> None:
    head = "from kong_pdk.cli import start_dedicated_server"
    path = write(tmp_path, "p", "kong.request.get_host()", head=head)
    os.utime(path, (1, 1))
    assert load(path).thread_ties().reason() is None


STARTED = "from kong_pdk.cli import start_dedicated_server as start\nimport kong_pdk.cli as cli\n"


@pytest.mark.parametrize(
    "call",
    [
        "start_dedicated_server('Other-Name', Mine, VERSION, 7, SCHEMA)",
        "cli.start_dedicated_server('Other-Name', Mine, _schema=SCHEMA, _version='1.0.0', _priority=7)",
    ],
)
def test_a_class_of_another_name_is_found_where_the_file_starts_it(load: Load, call: str) -> None:
    source = (
        STARTED
        + "VERSION, SCHEMA = '1.0.0', [{'m': {'type': 'string'}}]\n"
        + CLASS.replace("Plugin", "Mine")
        + f"if __name__ == '__main__':\n    {call}\n"
    )
    plugin = load(source)
    assert (plugin.name, plugin.version, plugin.priority) == ("Other-Name", "1.0.0", 7)
    assert plugin.record["fields"] == [{"m": {"type": "string"}}]


@pytest.mark.parametrize(
    "call",
    ["start_dedicated_server(name(), Mine)", "start_dedicated_server('x', Unknown)", "start()"],
)
def test_a_call_that_cannot_be_read_starts_nothing_here(load: Load, call: str) -> None:
    source = STARTED + CLASS.replace("Plugin", "Mine") + f"def main():\n    {call}\n"
    with pytest.raises(PluginError, match="is not a plugin: it defines no Plugin"):
        load(source)


def test_a_class_plugin_beside_it_keeps_the_files_name(load: Load) -> None:
    source = f"{STARTED}{CLASS}def main():\n    start_dedicated_server('x', Plugin, '9.0.0')\n"
    assert (load(source).name, load(source).version) == ("p", None)
