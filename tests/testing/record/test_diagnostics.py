"""Plugins with bugs, and what their authors are told: see pluginserver/testing/record/diagnostics.py."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pluginserver.testing import Exchange, Gateway, PluginBug, Quirks

HEAD = """
import greenlet

version = "1.0.0"
priority = 1


class Plugin:
"""

pytestmark = pytest.mark.filterwarnings("ignore::pluginserver.testing.PluginWarning")

Make = Callable[..., Gateway]


@pytest.fixture(params=["in-process", "embedded"])
def make(request: pytest.FixtureRequest, tmp_path: Path, protocol: str) -> Iterator[Make]:
    """Makes a gateway with a plugin of this body on it."""
    gateways: list[Gateway] = []

    def start(body: str, timeout: float = 20.0, quirks: Quirks | None = None) -> Gateway:
        (tmp_path / "buggy.py").write_text(HEAD + textwrap.indent(textwrap.dedent(body), "    "))
        gateway = Gateway(
            request.param, root=tmp_path, timeout=timeout, quirks=quirks, protocol=protocol
        )
        gateways.append(gateway)
        gateway.plugin("buggy.py")
        return gateway

    start.server = request.param  # type: ignore[attr-defined]
    yield start
    for gateway in gateways:
        gateway.close()


def bug(kong: Gateway) -> tuple[str, str, Exchange]:
    """The one bug that a request shows: its kind and message, and the request's record."""
    with pytest.raises(PluginBug) as failure:
        kong.get("/")
    [problem] = failure.value.exchange.problems
    assert str(failure.value) == problem.message
    assert problem.plugin == "buggy"
    assert "buggy" in problem.message
    assert problem.phase in problem.message
    return problem.kind, problem.message, failure.value.exchange


def status(exchange: Exchange) -> int:
    assert exchange.response is not None
    return exchange.response.status


def test_a_handler_that_raises(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            kong.log("before")
            {}["missing"]
    """)
    kind, message, exchange = bug(kong)
    assert kind == "raised"
    assert "KeyError: 'missing'" in message
    assert "buggy.py" in message
    assert status(exchange) == 500


def test_the_exception_itself_is_the_cause(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            raise LookupError("here")
    """)
    with pytest.raises(PluginBug) as failure:
        kong.get("/")
    if make.server == "in-process":  # type: ignore[attr-defined]
        assert isinstance(failure.value.__cause__, LookupError)


def test_a_handler_that_raises_in_log(make: Make) -> None:
    kong = make("""
        def log(self, kong):
            raise ValueError("late")
    """)
    kind, message, exchange = bug(kong)
    assert kind == "raised"
    assert "ValueError: late" in message
    assert "goes on" in message
    assert status(exchange) == 200


def test_a_call_in_the_wrong_phase(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            kong.response.get_status()
    """)
    kind, message, exchange = bug(kong)
    assert kind == "wrong phase"
    assert message.startswith(
        "buggy failed in access: kong.response.get_status cannot be called in access: it works in response,"
    )
    assert re.search(r"/buggy\.py:\d+\)$", message)
    assert status(exchange) == 500


def test_a_call_that_can_be_made_nowhere(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            kong.call("kong.response.set_raw_body", "x")
    """)
    kind, message, _ = bug(kong)
    assert kind == "wrong phase"
    assert "body_filter" in message


def test_a_none_in_the_middle(make: Make) -> None:
    """Our PDK refuses to send it; whoever goes around it learns what Kong makes of it."""
    kong = make("""
        def access(self, kong):
            from pluginserver.events.callbacks import callback
            callback("kong.response.set_header", "x-a", None, "lost")
    """)
    with pytest.raises(PluginBug) as failure:
        kong.get("/")
    kinds = [problem.kind for problem in failure.value.exchange.problems]
    assert kinds == ["cut arguments", "bad argument"]
    assert "kong.response.set_header('x-a', None, 'lost')" in str(failure.value)
    assert "'lost' never reaches it" in str(failure.value)


def test_an_exit_in_finally(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            try:
                kong.response.exit(201)
            finally:
                kong.response.exit(202)
    """)
    kind, message, exchange = bug(kong)
    assert kind == "after the end"
    assert "after kong.response.exit" in message
    assert "finally" in message
    assert status(exchange) == 201


def test_an_exit_in_finally_that_hides_an_error(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            try:
                raise ValueError("lost")
            finally:
                kong.response.exit(202)
    """)
    kind, message, exchange = bug(kong)
    assert kind == "hidden"
    assert "ValueError: lost" in message
    assert "an exit in a finally block hid it" in message
    assert status(exchange) == 202


def test_an_exception_while_unwinding(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            try:
                kong.response.exit(201)
            finally:
                raise RuntimeError("in finally")
    """)
    kind, message, exchange = bug(kong)
    assert kind == "after the end"
    assert "RuntimeError: in finally" in message
    assert status(exchange) == 201


def test_an_endless_loop(make: Make, protocol: str) -> None:
    kong = make(
        """
        def access(self, kong):
            kong.log.notice("into the loop")
            while True:
                pass
        """,
        timeout=0.5,
    )
    kind, message, exchange = bug(kong)
    assert kind == "time-out"
    assert "in access within 0.5 s, after kong.log.notice('into the loop')" in message
    assert "endless loop" in message
    assert status(exchange) == (200 if protocol == "msgpack" else 500)
    assert [run.ended for run in exchange.runs] == ["failed"]


def test_an_endless_loop_before_any_callback(make: Make) -> None:
    kong = make(
        """
        def access(self, kong):
            while True:
                try:
                    while True:
                        pass
                except BaseException:
                    break
            kong.log("too late")
        """,
        timeout=0.5,
    )
    kind, message, _ = bug(kong)
    assert kind == "time-out"
    assert "before its first callback" in message


def test_an_unknown_function(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            assert kong.call("kong.request.get_heder", "x") is None
    """)
    kind, message, exchange = bug(kong)
    assert kind == "unknown function"
    assert "did you mean kong.request.get_header?" in message
    assert "could not find pdk method" in exchange.logs[0].message


def test_a_function_of_kong_enterprise(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            kong.response.set_header("x", str(kong.call("kong.client.get_consumer_group")))
    """)
    kind, message, _ = bug(kong)
    assert kind == "unknown function"
    assert "Enterprise" in message
    kong.functions["kong.client.get_consumer_group"] = lambda: "gold"
    assert kong.get("/").headers["x"] == "gold"


def test_an_argument_that_kong_refuses(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            kong.call("kong.response.set_status", 42)
    """)
    kind, message, exchange = bug(kong)
    assert kind == "bad argument"
    assert "kong.response.set_status(42)" in message
    assert "between 100 and 599" in message
    assert status(exchange) == 500
    assert exchange.runs[0].ended == "throw"


def test_a_greenlet_that_is_left_behind(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            def wait():
                greenlet.getcurrent().parent.switch()
            self.left = greenlet.greenlet(wait)
            self.left.switch()
    """)
    if make.server == "in-process":  # type: ignore[attr-defined]
        kind, message, exchange = bug(kong)
        assert kind == "leaked greenlet"
        assert "buggy.py" in message
        assert "wait" in message
        assert status(exchange) == 200
    else:
        assert kong.get("/").status == 200


def test_a_greenlet_that_ends_is_no_bug(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            def work():
                greenlet.getcurrent().parent.switch()
            mine = greenlet.greenlet(work)
            mine.switch()
            mine.switch()
            dropped = greenlet.greenlet(work)
            dropped.switch()
    """)
    assert kong.get("/").status == 200


def test_a_call_in_a_greenlet_of_ones_own(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            greenlet.greenlet(lambda: kong.request.get_method()).switch()
    """)
    kind, message, _ = bug(kong)
    assert kind == "raised"
    assert "OutsideEventError" in message


def test_a_configuration_that_the_plugin_refuses(make: Make, protocol: str) -> None:
    kong = make("""
        def __init__(self, config):
            raise ValueError("no good")

        def access(self, kong):
            pass
    """)
    kind, message, exchange = bug(kong)
    assert kind == "bad instance"
    if protocol == "msgpack" or make.server == "in-process":  # type: ignore[attr-defined]
        assert "no good" in message
    assert status(exchange) == 500


def test_bugs_can_be_looked_at_instead_of_raised(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            raise ValueError("x")
    """)
    assert kong.get("/", raise_bugs=False).status == 500
    kong.raise_bugs = False
    assert kong.get("/").json()["message"] == "An unexpected error occurred"
    assert [problem.kind for problem in kong.exchange.problems] == ["raised"]
    with pytest.raises(PluginBug):
        kong.get("/", raise_bugs=True)


def test_a_plugin_without_bugs_has_none(make: Make) -> None:
    kong = make("""
        def access(self, kong):
            try:
                kong.response.exit(201)
            finally:
                pass

        def log(self, kong):
            kong.log.err("an error of its own")
    """)
    assert kong.get("/").status == 201
    assert kong.exchange.problems == []


def test_a_call_of_what_only_lua_has(make: Make, protocol: str) -> None:
    if protocol == "protobuf":
        pytest.skip("in ProtoBuf:1 our server refuses the function before Kong hears of it")
    kong = make("""
        def access(self, kong):
            kong.call("kong.cache.get", "a")
    """)
    kind, message, _ = bug(kong)
    assert kind == "unknown function"
    assert "kong.cache is in Kong's Lua code alone: keep it in this process" in message
