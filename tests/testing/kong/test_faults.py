"""Injected faults: see pluginserver/testing/kong/faults.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pluginserver.testing import Gateway

PLUGIN = """
from pluginserver import PDKError

version = "1.0.0"
priority = 1


class Plugin:
    def access(self, kong):
        try:
            who = kong.request.get_header("host")
        except PDKError as error:
            who = f"nobody: {error}"
        kong.response.set_header("x-who", who)
        kong.response.set_header("x-done", "yes")

    def log(self, kong):
        kong.log("logged")
"""


@pytest.fixture(params=["in-process", "embedded"])
def kong(request: pytest.FixtureRequest, tmp_path: Path, protocol: str) -> Iterator[Gateway]:
    (tmp_path / "steady.py").write_text(PLUGIN)
    with Gateway(request.param, root=tmp_path, timeout=20.0, protocol=protocol) as gateway:
        gateway.plugin("steady.py")
        yield gateway


def well(kong: Gateway) -> bool:
    """Whether the next request goes as if nothing had happened."""
    response = kong.get("/")
    assert kong.exchange.problems == []
    return response.headers["x-who"] == "localhost" and "x-done" in response.headers


def ends(kong: Gateway) -> list[str]:
    return [run.ended for run in kong.exchange.runs]


def test_a_function_that_throws(kong: Gateway) -> None:
    fault = kong.faults.throw("kong.request.get_header", "out of luck")
    response = kong.get("/")
    assert response.status == 500
    assert response.json()["message"] == "An unexpected error occurred"
    assert ends(kong) == ["throw", "ret"]
    assert fault.hits == 1
    assert kong.exchange.logs[0].message == "out of luck"
    assert kong.exchange.problems == []
    assert well(kong)


def test_a_function_that_fails(kong: Gateway) -> None:
    kong.faults.error("kong.request.*", "not today")
    assert kong.get("/").headers["x-who"] == "nobody: not today"
    assert kong.callbacks[0].step == "plugin.StepError"
    assert well(kong)


def test_an_answer_of_ones_own(kong: Gateway) -> None:
    kong.faults.answer("kong.request.get_header", "canned")
    assert kong.get("/").headers["x-who"] == "canned"
    kong.faults.answer("kong.request.get_header", lambda name: f"no {name}", times=2)
    assert kong.get("/").headers["x-who"] == "no host"
    assert kong.get("/").headers["x-who"] == "no host"
    assert well(kong)


def test_a_connection_that_dies_at_a_step(kong: Gateway, protocol: str) -> None:
    """In ProtoBuf:1 the event runs again."""
    kong.faults.disconnect(step=2)
    response = kong.get("/")
    assert response.status == 200
    assert ("x-done" in response.headers) == (protocol == "protobuf")
    assert ends(kong) == [{"msgpack": "failed", "protobuf": "ret"}[protocol], "ret"]
    assert kong.exchange.logs[0].message == "closed"
    assert well(kong)


def test_a_step_that_never_comes(kong: Gateway) -> None:
    kong.faults.silence("kong.request.get_header")
    assert kong.get("/").status == 499
    assert ends(kong) == ["abandoned", "ret"]
    assert well(kong)


def test_a_slow_kong(kong: Gateway) -> None:
    kong.faults.delay(0.05, step=1)
    assert kong.get("/").headers["x-done"] == "yes"
    assert kong.callbacks[0].duration >= 0.05
    assert well(kong)


def test_a_restart_in_mid_request(kong: Gateway, protocol: str) -> None:
    """In ProtoBuf:1 the event runs again."""
    kong.faults.restart(step=2)
    assert kong.get("/").status == 200
    if protocol == "protobuf":
        assert ends(kong) == ["ret", "ret"]
        assert kong.exchange.response is not None
        assert kong.exchange.response.headers["x-done"] == "yes"
        assert kong.exchange.logs[0].message == "closed"
    else:
        assert ends(kong) == ["failed", "ret"]
        assert "No running event" in kong.exchange.logs[0].message
    assert well(kong)


def test_where_a_fault_strikes(kong: Gateway) -> None:
    kong.faults.throw(plugin="other", times=None)
    kong.faults.throw(phase="rewrite", times=None)
    kong.faults.throw("kong.no_such", times=None)
    kong.faults.throw(step=9, times=None)
    assert well(kong)
    kong.faults.throw(plugin="steady", phase="log", times=None)
    for _ in range(2):
        assert kong.get("/").status == 200
        assert ends(kong) == ["ret", "throw"]
    kong.faults.clear()
    assert well(kong)


def test_two_faults_at_once(kong: Gateway) -> None:
    kong.faults.delay(0.01)
    kong.faults.error("kong.request.*", "slow and wrong")
    second = kong.faults.error("kong.request.*", "the next one")
    assert kong.get("/").headers["x-who"] == "nobody: slow and wrong"
    assert second.hits == 0
    assert kong.get("/").headers["x-who"] == "nobody: the next one"
