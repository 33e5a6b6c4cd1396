"""Finding, loading, describing and reloading plugins."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import io
import json
import os
import pickle
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from pluginserver import logs
from pluginserver.errors import ConfigError, PluginError, SchemaError, UnknownPluginError
from pluginserver.logs import logger
from pluginserver.plugins.discovery import installed
from pluginserver.plugins.registry import Plugin, Plugins

HELLO = """
import attrs

version = "1.0.0"
priority = 100


@attrs.define
class Plugin:
    message: str = "hello"

    def access(self, kong):
        return self.message
"""

CLASSIC = """
version = "1.0.0"
priority = 1
Schema = ({"message": {"type": "string"}},)


class Plugin:
    def __init__(self, config):
        self.config = config

    def access(self, kong):
        return self.config
"""


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """No test leaves a module, a path or another stdout behind."""
    modules, path, stdout = set(sys.modules), list(sys.path), sys.stdout
    yield
    left = {name for name in set(sys.modules) - modules if name.startswith("_pluginserver_")}
    assert not left
    assert sys.path == path
    assert sys.stdout is stdout


@pytest.fixture
def plugins(tmp_path: Path) -> Iterator[Callable[..., Plugins]]:
    """Makes registries, by default of the test's directory; they are closed at the end."""
    made: list[Plugins] = []

    def make(*sources: Any, **options: Any) -> Plugins:
        if not sources:
            options.setdefault("directory", tmp_path)
        options.setdefault("entry_points", False)
        made.append(Plugins(sources, **options))
        return made[-1]

    yield make
    for registry in made:
        registry.close()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of the test's directory; each writing is seen as a change."""
    times = iter(range(1_000_000_000, 2_000_000_000, 10))

    def write(name: str, text: str = HELLO) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        at = next(times)
        os.utime(path, (at, at))
        return path

    return write


@pytest.fixture
def log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], list[dict[str, Any]]]:
    """Reads the records that were written since the last time."""
    monkeypatch.setattr(logger, "_configured", None)
    logs.configure("debug", "json")

    def read() -> list[dict[str, Any]]:
        lines = capsys.readouterr().err.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    return read


def broken(plugins: Callable[..., Plugins], write: Callable[..., Path], text: str) -> str:
    """Why a file cannot be loaded."""
    path = write("broken.py", text)
    registry = plugins()
    registry.load()
    assert registry.all() == []
    error = registry.failures["broken"]
    with pytest.raises(UnknownPluginError) as caught:
        registry.get("broken")
    assert str(caught.value) == str(error)
    assert str(path) in str(error)
    assert "\n" not in str(error)
    return str(error)


def with_class(body: str, decorator: str = "@attrs.define") -> str:
    return (
        f"import attrs\nversion = '1.0.0'\npriority = 1\n{decorator}\nclass Plugin:\n    {body}\n"
    )


# What is found


def test_files_and_packages_of_a_directory(
    plugins: Callable[..., Plugins], write: Callable[..., Path], tmp_path: Path
) -> None:
    hello = write("hello.py")
    write("key-auth.py")
    write("packed/__init__.py", "from .core import Plugin\nfrom .core import version, priority\n")
    write("packed/core.py")
    write("_private.py")
    write(".hidden.py")
    write("__init__.py")
    write("nothing/readme.txt")
    write("notes.txt")
    registry = plugins()
    registry.load()
    assert registry.names() == ["hello", "key-auth", "packed"]
    assert registry.failures == {}
    assert registry.directory == tmp_path
    found = registry.get("hello")
    assert (found.source, found.modtime) == (hello, 1_000_000_000)
    assert found.load_time > found.modtime
    assert registry.get("packed").source == tmp_path / "packed"


def test_describe(plugins: Callable[..., Plugins], write: Callable[..., Path]) -> None:
    write("hello.py", HELLO + "    def log(self, kong): ...\n")
    assert plugins().get("hello").describe() == {
        "Name": "hello",
        "Phases": ["access", "log"],
        "Version": "1.0.0",
        "Priority": 100,
        "Schema": {
            "name": "hello",
            "fields": [
                {
                    "config": {
                        "type": "record",
                        "fields": [{"message": {"type": "string", "default": "hello"}}],
                    }
                }
            ],
        },
    }


def test_a_plugin_may_name_itself(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write("a.py", HELLO + "name = 'greeter'\n")
    assert plugins().get("greeter").name == "greeter"


def test_get_loads_what_is_called_so_first_and_no_more(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write("a.py", "raise RuntimeError  # Plugin\n")
    write("key_auth.py", HELLO + "name = 'key-auth'\n")
    registry = plugins()
    assert registry.get("key-auth").name == "key-auth"
    assert registry.failures == {}


def test_an_unknown_name_makes_it_look_for_new_and_changed_files(
    plugins: Callable[..., Plugins], write: Callable[..., Path], tmp_path: Path
) -> None:
    registry = plugins()
    registry.load()
    with pytest.raises(
        UnknownPluginError, match=f"^there is not a plugin hello in {tmp_path}: none is loaded$"
    ):
        registry.get("hello")
    write("hello.py", "version = 1; Plugin = 3\n")
    with pytest.raises(
        UnknownPluginError, match=r"hello\.py is not a plugin: it defines no priority"
    ):
        registry.get("hello")
    write("hello.py", "raise RuntimeError('boom')  # Plugin\n")
    with pytest.raises(UnknownPluginError, match="boom"):
        registry.get("hello")
    write("hello.py")
    assert registry.get("hello").name == "hello"
    assert registry.failures == {}
    with pytest.raises(UnknownPluginError, match="the loaded ones are hello"):
        registry.get("other")


def test_a_file_is_tried_once_until_it_changes(
    plugins: Callable[..., Plugins], write: Callable[..., Path], log: Callable[[], list[Any]]
) -> None:
    write("bad.py", "raise RuntimeError('boom')  # Plugin\n")
    registry = plugins()
    registry.load()
    assert [record["level"] for record in log()] == ["error", "debug"]
    registry.load()
    with pytest.raises(UnknownPluginError, match="boom"):
        registry.get("bad")
    with pytest.raises(UnknownPluginError, match="there is not a plugin other"):
        registry.get("other")
    assert log() == []


def test_a_file_that_is_no_plugin_is_passed_over_with_one_line_and_may_not_even_run(
    plugins: Callable[..., Plugins],
    write: Callable[..., Path],
    log: Callable[[], list[Any]],
    tmp_path: Path,
) -> None:
    write("helper.py", "raise SystemExit('ran')\n")
    write("half.py", "class Plugin: ...\nversion = '1.0.0'\n")
    write("starred.py", "from helper import *\n")
    write("helper.py", "X = 1\n")
    registry = plugins()
    registry.load()
    assert registry.all() == []
    assert registry.failures == {}
    assert [(record["level"], record["message"]) for record in log()] == [
        (
            "warning",
            f"passed over: {tmp_path}/half.py is not a plugin: it defines no priority: "
            f"write priority = 100 ({tmp_path}/half.py:1)",
        ),
        ("info", f"passed over: {tmp_path}/helper.py is not a plugin: it defines no class Plugin"),
        (
            "info",
            f"passed over: {tmp_path}/starred.py is not a plugin: "
            "it defines no Plugin and no version and no priority",
        ),
    ]


def test_a_script_without_the_word_is_never_run(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write("script.py", "raise SystemExit('ran')\n")
    registry = plugins()
    registry.load()
    assert registry.failures == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import attrs\n\nraise RuntimeError('two\\nlines')  # Plugin\n", "two lines (…:3)"),
        ("raise SystemExit(3)  # Plugin\n", "SystemExit: 3 (…:1)"),
        ("class Plugin(:\n", "SyntaxError: "),
        ("import nothing_like_it  # Plugin\n", "ModuleNotFoundError: No module named"),
        ("class Odd(BaseException): ...\nraise Odd  # Plugin\n", "cannot be loaded: Odd (…:2)"),
    ],
)
def test_a_file_that_fails_costs_only_itself(
    plugins: Callable[..., Plugins],
    write: Callable[..., Path],
    log: Callable[[], list[Any]],
    text: str,
    words: str,
) -> None:
    write("hello.py")
    path = write("broken.py", text)
    registry = plugins()
    registry.load()
    assert registry.names() == ["hello"]
    error, trace = log()
    assert words.replace("…", str(path)) in error["message"]
    assert error["message"] == str(registry.failures["broken"])
    assert str(path) in error["message"]
    assert "loader.py" in trace["traceback"]


def test_a_file_that_cannot_be_read_costs_only_itself(
    plugins: Callable[..., Plugins], write: Callable[..., Path], tmp_path: Path
) -> None:
    write("hello.py")
    registry = plugins(tmp_path / "gone.py", tmp_path / "hello.py")
    registry.load()
    assert registry.names() == ["hello"]
    assert "FileNotFoundError" in str(registry.failures["gone"])


def test_an_interrupt_stops_the_loading(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write("hello.py", "raise KeyboardInterrupt  # Plugin\n")
    registry = plugins()
    with pytest.raises(KeyboardInterrupt):
        registry.load()
    write("hello.py", "raise KeyboardInterrupt  # Plugin, again\n")
    thread = threading.Thread(target=registry.load)
    thread.start()
    thread.join()
    assert "KeyboardInterrupt" in str(registry.failures["hello"])


def test_two_plugins_with_one_name(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    first = write("a.py", HELLO + "name = 'hello'\n")
    second = write("b.py", HELLO + "name = 'hello'\n")
    registry = plugins()
    registry.load()
    assert [plugin.source for plugin in registry.all()] == [first]
    text = str(registry.failures["b"])
    assert text == (
        f"the name hello is used twice, by {first} and by {second}: "
        f"the first stays; give one of them another name ({second}:9)"
    )


def test_a_package_and_a_file_of_one_name(
    plugins: Callable[..., Plugins], write: Callable[..., Path], tmp_path: Path
) -> None:
    write("hello.py")
    write("hello/__init__.py")
    registry = plugins()
    registry.load()
    assert [plugin.source for plugin in registry.all()] == [tmp_path / "hello"]
    assert list(registry.failures) == ["hello"]


# What a program names


def test_sources_come_before_the_directory(
    plugins: Callable[..., Plugins], write: Callable[..., Path], tmp_path: Path
) -> None:
    inside = write("hello.py")
    outside = write("elsewhere/hello.py")
    registry = plugins(str(outside), directory=tmp_path)
    registry.load()
    assert [plugin.source for plugin in registry.all()] == [outside]
    assert f"by {outside} and by {inside}" in str(registry.failures["hello"])


def test_one_file_named_twice_is_one_plugin(
    plugins: Callable[..., Plugins], write: Callable[..., Path], tmp_path: Path
) -> None:
    path = write("hello.py")
    registry = plugins(path, str(path), directory=tmp_path)
    registry.load()
    assert registry.names() == ["hello"]
    assert registry.failures == {}


def test_directories_as_sources(
    plugins: Callable[..., Plugins], write: Callable[..., Path], tmp_path: Path
) -> None:
    write("many/a.py")
    write("many/b.py")
    write("packed/__init__.py")
    write("empty/readme.txt")
    registry = plugins(tmp_path / "many", tmp_path / "packed", tmp_path / "empty")
    registry.load()
    assert registry.names() == ["a", "b", "packed"]


def test_a_named_file_that_is_no_plugin_is_a_failure(
    plugins: Callable[..., Plugins], write: Callable[..., Path], log: Callable[[], list[Any]]
) -> None:
    path = write("helper.py", "X = 1\n")
    registry = plugins(path)
    registry.load()
    assert (
        str(registry.failures["helper"]) == f"{path} is not a plugin: it defines no class Plugin"
    )
    assert [record["level"] for record in log()] == ["error"]


def module(module_name: str, text: str = HELLO, **names: Any) -> types.ModuleType:
    made = types.ModuleType(module_name)
    exec(text, made.__dict__)
    made.__dict__.update(names)
    return made


def test_modules_as_sources(plugins: Callable[..., Plugins], write: Callable[..., Path]) -> None:
    path = write("main.py")
    registry = plugins(
        module("some.where"),
        module("__main__", __file__=str(path)),
        module("b", name="named"),
        module("helper", "X = 1"),
        directory=path.parent,
    )
    registry.load()
    assert registry.names() == ["where", "main", "named"]
    assert registry.get("main").source == path
    assert registry.get("main").modtime == 1_000_000_000
    assert registry.reload(path) is registry.get("main")
    assert registry.get("where").source == "some.where"
    assert str(registry.failures["helper"]) == (
        "helper is not a plugin: it defines no Plugin and no version and no priority"
    )


class RateLimitPlugin:
    def access(self, kong: Any) -> None: ...


@attrs.define
class Attributed:
    version: ClassVar[str] = "2.0.0"
    on_error: ClassVar[str] = "continue"
    name = "by-attribute"
    priority: int = 5

    def access(self, kong: Any) -> None: ...


def test_classes_as_sources(plugins: Callable[..., Plugins]) -> None:
    made = module("my_module")
    made.Plugin.__module__ = "my_module"  # type: ignore[attr-defined]

    class HTTPThing:
        log = staticmethod(lambda kong: None)

    registry = plugins(RateLimitPlugin, Attributed, HTTPThing, made.Plugin)  # type: ignore[attr-defined]
    sys.modules["my_module"] = made
    try:
        registry.load()
    finally:
        del sys.modules["my_module"]
    assert registry.failures == {}
    first, second, third, fourth = registry.all()
    assert (first.name, first.version, first.priority) == ("rate-limit", "0.0.0", 0)
    assert first.source == f"{__name__}.RateLimitPlugin"
    assert (second.name, second.version, second.priority) == ("by-attribute", "2.0.0", 0)
    assert second.on_error == "continue"
    assert third.name == "http-thing"
    assert (fourth.name, fourth.priority) == ("my_module", 100)


def test_entry_points(
    plugins: Callable[..., Plugins],
    write: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    write("installed_one.py", HELLO + "print('loud')\n")
    write("installed_two.py", HELLO + "X = 3\nY = Plugin\n")
    group = "pluginserver.plugins"
    lines = [
        "from-module = installed_one",
        "from-class = installed_two:Plugin",
        "other-class = installed_two:Y",
        "no-plugin = installed_two:X",
        "missing = not_installed_at_all",
    ]
    write("one-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n")
    write("one-1.0.dist-info/entry_points.txt", "\n".join([f"[{group}]", *lines, ""]))
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    registry = plugins(directory=None, entry_points=True)
    try:
        assert registry.get("from-class").source == (
            "the entry point from-class = installed_two:Plugin"
        )
        assert registry.failures == {}
        registry.load()
    finally:
        for name in ("installed_one", "installed_two"):
            sys.modules.pop(name, None)
    assert registry.names() == ["from-class", "from-module", "other-class"]
    assert registry.get("from-module").modtime == 1_000_000_000
    assert "it must name a module or a class" in str(registry.failures["no-plugin"])
    assert "ModuleNotFoundError" in str(registry.failures["missing"])
    monkeypatch.undo()


# What is wrong with a plugin


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HELLO + "version = 1\n", 'version must be a string such as "1.0.0", got 1'),
        (HELLO + "priority = '1'\n", "priority must be an integer such as 100, got '1'"),
        (HELLO + "priority = True\n", "priority must be an integer such as 100, got True"),
        (HELLO + "name = 'a b'\n", "has the name 'a b': use a string of letters"),
        (HELLO + "name = 3\n", "has the name 3: use a string of letters"),
        (HELLO + "round_trips = 2\n", 'round_trips must be "fewer" or "plain", got 2'),
        (HELLO + "on_error = 'stop'\n", 'on_error must be "close" or "continue", got \'stop\''),
        (HELLO + "Plugin = 3\n", "Plugin must be a class, got 3"),
        (HELLO + "Plugin = [1]\n", "Plugin must be a class, got [1]"),
        (with_class("x: int = 1"), "Plugin has no handler: define one of the methods certificate"),
        (with_class("async def log(self, kong): ..."), "log is async"),
        (with_class("async def log(self, kong): yield"), "log is async"),
        (with_class("def log(self, kong): yield"), "log is a generator"),
        (with_class("log = 3"), "log must be a method, got 3"),
        (with_class("def log(self): ..."), "log must take one argument, kong (too many"),
        (
            with_class("def log(self, kong, more): ..."),
            "log must take one argument, kong (missing",
        ),
        (with_class("def log(self, *, kong): ..."), "log must take one argument, kong ("),
        (with_class("log: str = 'x'"), "the field log has the name of a phase"),
        (
            with_class("x: bytes = b''\n    log = print"),
            "config.x: Kong has no type for bytes: use str",
        ),
        (
            with_class("log = print", "import dataclasses\n@dataclasses.dataclass"),
            "is a dataclass",
        ),
        (
            with_class("def __init__(self): ...", ""),
            "must take one argument, the config as a dict",
        ),
        (CLASSIC + "Schema = {'a': {'type': 'string'}}\n", "the fields must be a list of one-key"),
        (CLASSIC + "Schema = [{'a': {'type': 'text'}}]\n", "config.a: the type must be one of"),
        (CLASSIC + "Schema = [{'a': {'type': str}}]\n", "use what JSON can hold"),
        (HELLO + "name = 'a.b'\n", "has the name 'a.b': use a string of letters"),
        (HELLO + "protocols = ['gopher']\n", "protocols must be a list of some of grpc"),
    ],
)
def test_what_is_wrong_with_a_plugin_is_said_when_it_is_loaded(
    plugins: Callable[..., Plugins], write: Callable[..., Path], text: str, words: str
) -> None:
    assert words in broken(plugins, write, text)


def test_a_bad_schema_is_a_schema_error(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    broken(plugins, write, with_class("x: bytes = b''\n    log = print"))
    registry = plugins()
    registry.load()
    assert isinstance(registry.failures["broken"], SchemaError)


def test_handlers_of_many_shapes(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write(
        "hello.py",
        """
import functools

version = "1.0.0"
priority = 1

def loud(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper

class Base:
    def certificate(self, kong):
        return "certificate", kong
    def rewrite(self, kong):
        return "never"

class Callable:
    def __call__(self, kong):
        return "log", kong


class Plugin(Base):
    rewrite = None
    log = Callable()
    preread = getattr
    @loud
    def access(self, kong, optional=1):
        return "access", kong
    @staticmethod
    def response(kong):
        return "response", kong
    @classmethod
    def preread(cls, kong):
        return "preread", kong
""",
    )
    plugin = plugins().get("hello")
    assert plugin.phases == ("certificate", "access", "response", "preread", "log")
    handlers = plugin.configure("").handlers()
    assert {phase: call("kong") for phase, call in handlers.items()} == {
        phase: (phase, "kong") for phase in plugin.phases
    }


def test_a_handler_whose_signature_nobody_knows_is_taken(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write("hello.py", with_class("log = getattr"))
    assert plugins().get("hello").phases == ("log",)


def test_a_version_that_kong_refuses_is_told(
    plugins: Callable[..., Plugins], write: Callable[..., Path], log: Callable[[], list[Any]]
) -> None:
    write("hello.py", HELLO + "version = '1.0'\n")
    assert plugins().get("hello").version == "1.0"
    (record,) = log()
    assert (record["level"], record["plugin"]) == ("warning", "hello")
    assert "Kong 3 refuses the version '1.0'" in record["message"]


# Configurations


def test_an_attrs_plugin_is_configured(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write("hello.py")
    plugin = plugins().get("hello")
    configured = plugin.configure(b'{"message": "hi", "__plugin_id": "x"}')
    assert configured.handlers()["access"](None) == "hi"
    assert configured.public_config() == {"message": "hi"}
    assert plugin.configure("").object is not configured.object
    with pytest.raises(
        ConfigError, match=r"^Decoding config: config\.message: .* \(plugin hello\)$"
    ):
        plugin.configure('{"message": 3}')
    with pytest.raises(ConfigError, match=r"^Decoding config: this is not JSON"):
        plugin.configure("{")


def test_what_the_plugin_does_to_its_fields_never_breaks_its_public_config(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write("hello.py")
    plugin = plugins().get("hello")
    configured = plugin.configure("")
    configured.object.message = {1, 2}
    assert configured.public_config() == {"message": [1, 2]}
    configured.object.message = object
    assert configured.public_config() == {"message": repr(object)}
    del configured.object.message
    assert configured.public_config() == {"message": None}


def test_another_class_gets_a_dict(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write("classic.py", CLASSIC)
    plugin = plugins().get("classic")
    assert plugin.schema["fields"] == [
        {"config": {"type": "record", "fields": [{"message": {"type": "string"}}]}}
    ]
    given = {"message": "hi", "__plugin_id": "x"}
    configured = plugin.configure(json.dumps(given))
    assert configured.handlers()["access"](None) == given
    assert configured.public_config() == given


def test_another_class_that_refuses_its_configuration(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    path = write(
        "classic.py", CLASSIC.replace("self.config = config", "self.config = config['a']")
    )
    with pytest.raises(ConfigError) as caught:
        plugins().get("classic").configure("{}")
    assert str(caught.value) == (
        f"Decoding config: Plugin was refused: KeyError: 'a' ({path}:9) (plugin classic)"
    )


def test_a_class_without_a_constructor(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write("plain.py", with_class("def log(self, kong): ...", ""))
    plugin = plugins().get("plain")
    assert plugin.schema["fields"] == [{"config": {"type": "record", "fields": []}}]
    assert plugin.configure('{"a": 1}').public_config() == {"a": 1}


def test_a_class_with_slots(plugins: Callable[..., Plugins], write: Callable[..., Path]) -> None:
    body = "__slots__ = ()\n    def log(self, kong): return 'ran'"
    write("slots.py", with_class(body, decorator=""))
    configured = plugins().get("slots").configure('{"a": 1}')
    assert configured.public_config() == {"a": 1}
    assert configured.handlers()["log"](None) == "ran"


def test_what_an_author_should_know_of_a_schema_is_logged(
    plugins: Callable[..., Plugins], write: Callable[..., Path], log: Callable[[], list[Any]]
) -> None:
    fields = (
        "a: dict = attrs.field(factory=dict)\n"
        "    b: str = attrs.field(default='(?|a)', metadata=attributes(is_regex=True))\n"
        "    c: Inner | None = None\n"
        "    def log(self, kong): ..."
    )
    head = "from pluginserver import attributes\nimport attrs\n@attrs.define\nclass Inner: ...\n"
    write("hello.py", head + with_class(fields))
    plugins().get("hello")
    needed, surprise, doubt = log()
    assert doubt["level"] == "warning"
    assert doubt["message"].startswith("config.b: the default may not be a regular expression")
    assert (needed["level"], needed["message"]) == (
        "info",
        "the schema needs Kong 3.5 or later: config.a has type json",
    )
    assert (surprise["level"], surprise["message"]) == (
        "info",
        "config.c: Kong fills a record in: it never arrives as None",
    )


def test_a_given_schema_comes_before_the_inferred_one(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write("hello.py", HELLO + "Schema = [{'message': {'type': 'string', 'len_max': 5}}]\n")
    plugin = plugins().get("hello")
    assert plugin.schema["fields"][0]["config"]["fields"] == [
        {"message": {"type": "string", "len_max": 5}}
    ]
    assert plugin.configure('{"message": "hi"}').object.message == "hi"


# Modules, and what loading does to the process


def test_modules_can_be_found_while_the_registry_is_open(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    path = write("hello.py", "from __future__ import annotations\n" + HELLO)
    registry = plugins()
    configured = registry.get("hello").configure('{"message": "hi"}')
    cls = type(configured.object)
    assert pickle.loads(pickle.dumps(configured.object)) == configured.object
    assert inspect.getsourcefile(cls) == str(path)
    assert attrs.fields(cls).message.type is str
    registry.close()
    assert cls.__module__ not in sys.modules


def test_plugins_share_the_modules_of_their_directory(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    for name in ("a", "b"):
        write(
            f"{name}.py", "import shared_one, space.two\n" + HELLO + "M = shared_one, space.two\n"
        )
    write("shared_one.py", "X = []\n")
    write("space/two.py", "X = []\n")
    registry = plugins()
    registry.load()
    first, second = (sys.modules[type(p.configure("").object).__module__] for p in registry.all())
    assert first.M == second.M
    assert sys.modules["shared_one"] is first.M[0]
    registry.close()
    assert not {"shared_one", "space", "space.two"} & set(sys.modules)
    assert not list(write("x").parent.rglob("__pycache__"))


def test_two_registries_keep_out_of_each_others_way(
    plugins: Callable[..., Plugins], write: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        text = f"import shared_one\n{HELLO}    def log(self, kong): return shared_one.X\n"
        write(f"{name}/hello.py", text)
        write(f"{name}/shared_one.py", f"X = '{name}'\n")
    a, b = plugins(directory=tmp_path / "a"), plugins(directory=tmp_path / "b")
    again = plugins(directory=tmp_path / "a")

    def answer(plugin: Plugin) -> Any:
        return plugin.configure("").handlers()["log"](None)

    assert [answer(registry.get("hello")) for registry in (a, b, again)] == ["a", "b", "a"]
    kept = sys.modules["shared_one"]
    assert kept.X == "a"
    write("b/late.py", (tmp_path / "b/hello.py").read_text())
    assert answer(b.get("late")) == "b"
    assert sys.modules["shared_one"] is kept
    b.close()
    again.close()
    assert sys.modules["shared_one"] is kept
    assert answer(a.get("hello")) == "a"
    a.close()
    assert "shared_one" not in sys.modules


def test_a_library_below_the_directory_is_not_dropped(
    plugins: Callable[..., Plugins],
    write: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    write("venv/library_one.py", "X = 1\n")
    write("hello.py", "import library_one\n" + HELLO)
    monkeypatch.syspath_prepend(str(tmp_path / "venv"))
    registry = plugins()
    registry.load()
    registry.close()
    assert sys.modules.pop("library_one").X == 1
    monkeypatch.undo()


def test_what_a_plugin_prints_goes_to_stderr(
    plugins: Callable[..., Plugins], write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        "hello.py",
        "import sys\nprint('loud')\nkept = sys.stdout\n"
        + HELLO
        + "    def log(self, kong): print('later', file=kept)\n",
    )
    plugin = plugins().get("hello")
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "loud\n")
    plugin.configure("").handlers()["log"](None)
    assert capsys.readouterr().out == "later\n"


def test_other_threads_print_where_they_did(
    plugins: Callable[..., Plugins], write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    text = "import threading\nt = threading.Thread(target=print, args=['other'])\nt.start()\nt.join()\n"
    write("hello.py", text + HELLO)
    plugins().load()
    assert capsys.readouterr() == ("other\n", "")


def test_a_process_without_stdout(
    plugins: Callable[..., Plugins], write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("hello.py")
    monkeypatch.setattr(sys, "stdout", None)
    assert plugins().get("hello")
    monkeypatch.undo()


def test_a_plugin_that_replaces_stdout_and_the_path_keeps_its_way(
    plugins: Callable[..., Plugins], write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "path", list(sys.path))
    write("hello.py", "import io, sys\nsys.stdout = io.StringIO()\nsys.path.pop(0)\n" + HELLO)
    assert plugins().get("hello")
    assert isinstance(sys.stdout, io.StringIO)
    monkeypatch.undo()


# Directories and changes


def test_another_directory(
    plugins: Callable[..., Plugins], write: Callable[..., Path], tmp_path: Path
) -> None:
    write("a/hello.py")
    write("a/bad.py", "raise RuntimeError('boom')  # Plugin\n")
    write("b/other.py")
    registry = plugins(directory=tmp_path / "a")
    registry.load()
    with pytest.raises(PluginError, match=r"there is no directory .*/gone: create it"):
        registry.set_directory(tmp_path / "gone")
    registry.set_directory(str(tmp_path / "b"))
    assert registry.get("other").name == "other"
    assert registry.names() == ["hello", "other"]
    assert registry.failures == {}
    registry.set_directory(tmp_path / "a")
    with pytest.raises(UnknownPluginError, match="boom"):
        registry.get("bad")
    with pytest.raises(PluginError, match="there is no directory"):
        Plugins(directory=tmp_path / "gone")


def test_a_directory_that_is_gone_holds_nothing(
    plugins: Callable[..., Plugins], tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    registry = plugins(directory=tmp_path / "a")
    (tmp_path / "a").rmdir()
    with pytest.raises(UnknownPluginError, match="there is not a plugin hello in"):
        registry.get("hello")


def test_reload_puts_the_new_plugin_in_the_place_of_the_old(
    plugins: Callable[..., Plugins], write: Callable[..., Path], tmp_path: Path
) -> None:
    path = write("hello.py")
    registry = plugins()
    old = registry.get("hello")
    configured = old.configure("")
    write("hello.py", HELLO.replace('"hello"', '"HELLO"'))
    assert registry.get("hello") is old
    new = registry.reload(path)
    assert registry.get("hello") is new
    assert new.configure("").object.message == "HELLO"
    assert configured.handlers()["access"](None) == "hello"
    assert type(configured.object).__module__ not in sys.modules
    write("hello.py", HELLO + "name = 'other'\n")
    assert registry.reload(path).name == "other"
    assert registry.names() == ["other"]


def test_a_reload_that_fails_leaves_the_old_plugin(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write("other.py")
    path = write("hello.py")
    registry = plugins()
    registry.load()
    old = registry.get("hello")
    for text, words in [
        ("raise RuntimeError('boom')  # Plugin\n", "boom"),
        ("X = 1\n", "is not a plugin"),
        (HELLO + "version = 1\n", "version must be a string"),
        (HELLO + "name = 'other'\n", "the name other is used twice"),
    ]:
        write("hello.py", text)
        with pytest.raises(PluginError, match=words):
            registry.reload(path)
        assert registry.get("hello") is old
    assert registry.names() == ["hello", "other"]
    assert pickle.loads(pickle.dumps(old.configure("").object))


def test_reload_of_a_package_by_any_of_its_files(
    plugins: Callable[..., Plugins], write: Callable[..., Path], tmp_path: Path
) -> None:
    write("packed/__init__.py", "from .core import Plugin, version, priority\n")
    core = write("packed/core.py")
    registry = plugins()
    old = registry.get("packed")
    write("packed/core.py", HELLO.replace("1.0.0", "2.0.0"))
    for path in (core, tmp_path / "packed/__init__.py", tmp_path / "packed"):
        new = registry.reload(path)
        assert new.version == "2.0.0"
        assert new is registry.get("packed") is not old
    assert sum(name.startswith("_pluginserver_") for name in sys.modules) == 2


def test_reload_of_what_was_not_loaded(
    plugins: Callable[..., Plugins], write: Callable[..., Path], tmp_path: Path
) -> None:
    path = write("hello.py", "raise RuntimeError('boom')  # Plugin\n")
    registry = plugins()
    registry.load()
    assert "hello" in registry.failures
    write("hello.py")
    assert registry.reload(path).name == "hello"
    assert registry.failures == {}
    write("packed/__init__.py")
    assert registry.reload(tmp_path / "packed/__init__.py").source == tmp_path / "packed"


def test_a_changed_shared_module_is_loaded_again_once(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    text = "import shared_one\n" + HELLO + "    def log(self, kong): return shared_one\n"
    paths = [write("a.py", text), write("b.py", text)]
    write("shared_one.py", "X = 1\n")
    registry = plugins()
    registry.load()

    def shared() -> list[Any]:
        return [p.configure("").handlers()["log"](None) for p in registry.all()]

    (old, _) = shared()
    registry.reload(paths[0])
    assert shared() == [old, old]
    write("shared_one.py", "X = 2\n")
    for path in paths:
        registry.reload(path)
    first, second = shared()
    assert first is second is not old
    assert first.X == 2


def test_a_class_is_never_loaded_again(plugins: Callable[..., Plugins]) -> None:
    registry = plugins(RateLimitPlugin)
    registry.load()
    plugin = registry.get("rate-limit")
    registry.load()
    assert registry.get("rate-limit") is plugin
    assert registry.failures == {}


# Threads


def test_a_loaded_plugin_is_found_while_another_is_loading(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write("hello.py")
    write("slow.py", "import sys\nsys.modules['the_test'].wait()\n" + HELLO)
    started, go_on = threading.Event(), threading.Event()
    test = types.ModuleType("the_test")
    test.wait = lambda: (started.set(), go_on.wait(60))  # type: ignore[attr-defined]
    sys.modules["the_test"] = test
    registry = plugins()
    try:
        plugin = registry.get("hello")
        thread = threading.Thread(target=registry.get, args=["slow"])
        thread.start()
        assert started.wait(60)
        assert registry.get("hello") is plugin
        assert registry.names() == ["hello"]
    finally:
        go_on.set()
        thread.join(60)
        del sys.modules["the_test"]
    assert registry.names() == ["hello", "slow"]


def test_many_threads_that_ask_for_one_name_get_one_plugin(
    plugins: Callable[..., Plugins], write: Callable[..., Path]
) -> None:
    write("hello.py")
    registry = plugins()
    found: list[Plugin] = []
    threads = [
        threading.Thread(target=lambda: found.append(registry.get("hello"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(plugin) for plugin in found}) == 1


# What a dump needs


def test_describing_imports_neither_cattrs_nor_structlog(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write("hello.py")
    write("helper.py", "X = 1\n")
    code = (
        "import sys\n"
        "from pluginserver.plugins import Plugins\n"
        "plugins = Plugins(directory=sys.argv[1])\n"
        "plugins.load()\n"
        "[plugin.describe() for plugin in plugins.all()]\n"
        "assert plugins.names() == ['hello']\n"
        "print(sorted({'cattrs', 'structlog', 'msgpack'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_entry_points_are_not_asked_for_where_no_distribution_names_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is where a distribution names it, and where there is an archive on the path."""
    asked: list[object] = []
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda **group: asked.append(group) or ()
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "gone")])
    monkeypatch.setattr(sys, "meta_path", [PathFinder])
    assert list(installed()) == []
    assert asked == []
    (tmp_path / "other-1.0.dist-info").mkdir()
    (tmp_path / "other-1.0.dist-info" / "entry_points.txt").write_text(
        "[console_scripts]\na = b\n"
    )
    assert list(installed()) == []
    assert asked == []
    (tmp_path / "archive.zip").write_bytes(b"")
    sys.path.append(str(tmp_path / "archive.zip"))
    assert list(installed()) == []
    assert asked == [{"group": "pluginserver.plugins"}]
    sys.path.pop()
    (tmp_path / "ours-1.0.egg-info").mkdir()
    (tmp_path / "ours-1.0.egg-info" / "entry_points.txt").write_text(
        "[pluginserver.plugins]\na = b\n"
    )
    assert list(installed()) == []
    assert len(asked) == 2
