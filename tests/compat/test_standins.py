"""The modules that plugins for kong-pdk import."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from support.commands import run
from support.kongpdk import without_kong_pdk, write

from pluginserver import PluginError
from pluginserver.compat import standins
from pluginserver.compat.standins import FINDER
from pluginserver.plugins.registry import Plugins

NAMESPACES = (
    *("client", "client.tls", "cluster", "ctx", "ctx.shared", "enterprise_edition"),
    *("enterprise_edition.jwe", "ip", "log", "nginx", "nginx.shared", "node", "plugin", "request"),
    *("response", "router", "service", "service.request", "service.response", "vault"),
)

IMPORTS = """
import kong_pdk.pdk.kong as kong
from kong_pdk.pdk.kong import kong as other, number, table, cdata, err
from kong_pdk.pdk.kong.request import request
from kong_pdk.pdk.kong.service.response import response
import kong_pdk.pdk.kong.client.tls
from kong_pdk.cli import start_dedicated_server, start_server, parse, display_lua_style_notice
from kong_pdk.exception import PDKException, PluginServerException
from kong_pdk.const import __version__, PY3K, IRONPYTHON, EXEBUNDLE, LOCALE, CODEPAGE, FILEPATH
from kong_pdk.pdk import Kong, non_return_methods
from kong_pdk.server import PluginServer
from kong_pdk.listener import UnixStreamServer, DEFAULT_SOCKET_NAME
from kong_pdk.module import Module, Instance, phases
from kong_pdk.logger import Logger
from kong_pdk.kong import kong as empty
import kong_pdk

assert kong_pdk.pdk.kong is kong and other is kong.kong
assert request is kong.kong.request and response is kong.kong.service.response
assert kong.kong.request.get_header("host") is None and kong.kong.log.err("x") is None
assert not issubclass(PDKException, PluginServerException)
assert (__version__, PY3K) == (0.36, True)
assert non_return_methods == {"kong.response.exit", "kong.response.error"}
assert DEFAULT_SOCKET_NAME == "python_pluginserver.sock"
Logger().info("a line")

class Plugin(object):
    def __init__(self, config):
        pass
    def access(self, kong: kong):
        pass
"""


def names() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "kong_pdk"]


def test_every_form_of_import_is_served(tmp_path: Path) -> None:
    (tmp_path / "all.py").write_text(IMPORTS)
    plugins = Plugins([tmp_path / "all.py"], entry_points=False)
    plugins.load()
    assert plugins.failures == {}
    assert plugins.names() == ["all"]
    plugins.close()


@pytest.mark.parametrize("name", NAMESPACES)
def test_each_namespace_has_a_module_with_a_class_of_its_name(name: str) -> None:
    holder = Plugins(entry_points=False)
    FINDER.hold(holder)
    found = getattr(import_module(f"kong_pdk.pdk.kong.{name}"), name.rpartition(".")[2])
    expected = import_module("kong_pdk.pdk.kong").kong
    for part in name.split("."):
        expected = getattr(expected, part)
    assert found is expected and isinstance(found, type)
    FINDER.let_go(holder)


def test_nothing_is_found_before_a_load_or_after_the_close(tmp_path: Path) -> None:
    assert import_fails()
    plugins = Plugins([write(tmp_path, "one")], entry_points=False)
    assert import_fails()
    plugins.load()
    assert not import_fails()
    plugins.close()
    assert names() == []
    assert FINDER not in sys.meta_path
    assert import_fails()


def test_the_last_registry_takes_the_modules_away(tmp_path: Path) -> None:
    first, second = (Plugins([write(tmp_path, name)], entry_points=False) for name in ("a", "b"))
    first.load()
    second.load()
    first.close()
    assert not import_fails()
    second.close()
    assert import_fails()


def import_fails() -> bool:
    try:
        import_module("kong_pdk.exception")
    except ModuleNotFoundError:
        return True
    return False


def test_a_handler_can_import_while_it_runs(tmp_path: Path) -> None:
    path = write(tmp_path, "late", "from kong_pdk.exception import PDKException")
    plugins = Plugins([path], entry_points=False)
    plugins.load()
    plugins.get("late").configure("{}").handlers()["access"](None)
    plugins.close()


def test_the_real_one_is_never_shadowed(tmp_path: Path, real: None) -> None:
    plugins = Plugins([write(tmp_path, "one")], entry_points=False)
    plugins.load()
    assert plugins.names() == ["one"]
    module = sys.modules["kong_pdk.pdk.kong"]
    assert module.__file__ is not None and not standins.is_standin(module)
    assert standins.is_installed()
    plugins.close()
    assert sys.modules["kong_pdk.pdk.kong"] is module


def test_the_inside_of_their_server_says_what_to_use() -> None:
    holder = Plugins(entry_points=False)
    FINDER.hold(holder)
    for module, name in (("server", "PluginServer"), ("listener", "UnixStreamServer")):
        cls = getattr(import_module(f"kong_pdk.{module}"), name)
        with pytest.raises(standins.PluginServerException, match="pluginserver run FILE"):
            cls("anything", at="all")
    FINDER.let_go(holder)


def test_a_file_that_starts_its_server_while_it_is_loaded_says_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path, "one")
    call = (
        "\nfrom kong_pdk.cli import start_dedicated_server\nstart_dedicated_server('x', Plugin)\n"
    )
    path.write_text(path.read_text() + call)
    plugins = Plugins([path], entry_points=False)
    plugins.load()
    assert "put the call under if __name__" in str(plugins.failures["one"])
    with pytest.raises(PluginError, match="pluginserver run FILE"):
        plugins.get("one")
    plugins.close()


def test_an_interpreter_and_our_package_alone_find_nothing() -> None:
    done: subprocess.CompletedProcess[bytes] = run(
        "-c",
        "import pluginserver, pluginserver.server, importlib.util as u, sys;"
        "print(u.find_spec('kong_pdk'), [n for n in sys.modules if 'kong_pdk' in n])",
        env=without_kong_pdk(),
    )
    assert done.stdout == b"None []\n", done.stderr
