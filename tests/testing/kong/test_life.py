"""What Kong does while its plugin server ends, and when Kong itself is reloaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.scripted import Scripted, does

from pluginserver.testing import Gateway, Quirks

PLUGIN = """
version, priority = "1.0.0", 1
class Plugin:
    def access(self, kong):
        kong.response.set_header("x-own", str(id(self)))
    def log(self, kong):
        kong.log.notice("over")
"""

SERVERS = ("in-process", "embedded", "command")


@pytest.fixture(params=SERVERS)
def kong(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    (tmp_path / "own.py").write_text(PLUGIN)
    server = request.param
    if server == "command":
        line = f"{sys.executable} -m pluginserver -socket {{socket}} -plugins-directory {tmp_path}"
        server = f"command:{line}"
    with Gateway(server, root=tmp_path, timeout=10) as gateway:
        gateway.plugin("own" if server.startswith("command") else "own.py")
        yield gateway


def test_a_request_passes_without_the_plugin_while_its_server_is_down(kong: Gateway) -> None:
    assert "x-own" in kong.get().headers
    response = kong.restart(kong.get)
    assert response is not None
    assert response.status == 200
    assert "x-own" not in response.headers
    assert [run.ended for run in kong.exchange.runs] == ["failed", "failed"]
    assert "x-own" in kong.get().headers


def test_a_new_instance_cannot_be_started_while_the_server_is_down(kong: Gateway) -> None:
    response = kong.restart(kong.get)
    assert response is not None
    assert response.status == 500
    assert "x-own" in kong.get().headers


def test_a_server_starts_again_after_what_failed_meanwhile(kong: Gateway) -> None:
    with pytest.raises(ZeroDivisionError):
        kong.restart(lambda: 1 // 0)
    assert "x-own" in kong.get().headers
    assert not kong.node.server_down


def test_a_reload_begins_with_new_instances_while_both_servers_run(kong: Gateway) -> None:
    kong.get()
    pid = kong.worker_pid
    response = kong.reload(kong.get)
    assert response is not None
    assert "x-own" in response.headers
    assert kong.worker_pid == pid + 1
    assert "x-own" in kong.get().headers
    assert kong.reload() is None


@pytest.mark.parametrize("protocol", ["msgpack", "protobuf"])
@pytest.mark.parametrize("server", ["in-process", "embedded"])
def test_a_request_that_is_under_way_at_a_reload_ends_well(
    tmp_path: Path, server: str, protocol: str
) -> None:
    (tmp_path / "own.py").write_text(PLUGIN)
    with Gateway(server, root=tmp_path, protocol=protocol) as kong:
        kong.plugin("own.py")
        kong.functions["kong.response.set_header"] = lambda *_: kong.reload()
        assert kong.get().status == 200
        assert [run.ended for run in kong.exchange.runs] == ["ret", "ret"]


def test_no_instance_is_closed_by_a_restart_or_a_reload() -> None:
    script = Scripted(p={"access": does(("kong.log", "x"))})
    kong = Gateway(script)
    kong.plugin("p")
    kong.get()
    kong.restart()
    kong.get()
    kong.reload()
    kong.get()
    assert script.methods.count("plugin.StartInstance") == 3
    assert "plugin.CloseInstance" not in script.methods
    kong.close()
    assert script.methods.count("plugin.CloseInstance") == 2


def test_while_the_server_is_down_a_late_kong_answers_500(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PLUGIN)
    with Gateway(root=tmp_path, kong="3.14") as kong:
        kong.plugin("own.py")
        kong.get()
        response = kong.restart(kong.get)
        assert response is not None
        assert response.status == 500


# -- the prefixes of log lines


def prefixes(kong: Gateway) -> list[str | None]:
    return [line.prefix for line in kong.exchange.logs]


def two_that_log(quirks: Quirks | None = None) -> Gateway:
    script = Scripted(
        first={"access": does(("kong.log.err", "f"))},
        second={"access": does(("kong.log.err", "s"), ("kong.log.warn", "s"))},
    )
    script.priorities = {"first": 2, "second": 1}
    kong = Gateway(script, quirks=quirks)
    kong.plugin("first")
    kong.plugin("second")
    kong.get()
    return kong


def test_a_line_names_the_plugin_that_called_its_function_first() -> None:
    kong = two_that_log()
    assert prefixes(kong) == ["first", "first", "second"]
    assert [line.plugin for line in kong.exchange.logs] == ["first", "second", "second"]
    kong.reload()
    kong.bindings.reverse()
    kong.bindings[-1].enabled = False
    kong.get()
    assert prefixes(kong) == ["second", "second"]


def test_a_line_names_its_own_plugin_without_the_habit() -> None:
    assert prefixes(two_that_log(Quirks(log_prefix_by_name=False))) == [
        "first",
        "second",
        "second",
    ]
