"""Conversations that are played again: see pluginserver/testing/cassettes/replay.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from pluginserver.spec.secrets import MASK
from pluginserver.testing import CassetteError, Gateway, GatewayError, ReplayDiffers
from pluginserver.testing.cassettes.cassette import Call, Conversation, write

PLUGIN = """
import attrs
version, priority = "1.0.0", 1
@attrs.define
class Plugin:
    word: str
    def access(self, kong):
        user = kong.request.get_header("x-user")
        if user is None:
            kong.response.exit(401, {"message": "who?"})
        kong.service.request.set_header("x-seen", f"{self.word} {user}")
        kong.response.set_header("x-a", "1")
        kong.response.set_header("x-b", "2")
"""

GREETS = Conversation(
    "seen",
    "access",
    {"word": "hi"},
    [
        Call("kong.request.get_header", ["X-User"], "ann"),
        Call("kong.service.request.set_header", ["x-seen", "hi ann"]),
        Call("kong.response.set_headers", [{"x-a": "1", "x-b": "2"}]),
    ],
)
REFUSES = Conversation(
    "seen",
    "access",
    {"word": "hi"},
    [
        Call("kong.request.get_headers", [], {"host": ["h"]}),
        Call("kong.response.exit", [401, {"message": "who?"}]),
    ],
    "exit",
)


@pytest.fixture(params=["in-process", "embedded"])
def kong(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    (tmp_path / "seen.py").write_text(PLUGIN)
    with Gateway(request.param, root=tmp_path) as gateway:
        yield gateway


def differences(kong: Gateway, *said: Conversation, **more: Any) -> list[str]:
    write(kong.root / "case.json", list(said))
    done = kong.replay("case.json", "seen.py", check=False, **more)
    return [text for one in done for text in one.differences]


@pytest.mark.parametrize("protocol", ["msgpack", "protobuf"])
def test_a_plugin_that_does_the_same(kong: Gateway, protocol: str) -> None:
    assert differences(kong, attrs.evolve(GREETS, protocol=protocol)) == []


def test_an_exit_is_compared_too(kong: Gateway) -> None:
    assert differences(kong, REFUSES) == []


def test_what_differs_is_shown(kong: Gateway) -> None:
    (kong.root / "seen.py").write_text(
        PLUGIN.replace('"x-a", "1"', '"x-a", "9"').replace('set_header("x-b", "2")', "get_source()")
        .replace("kong.response.get_source()", "kong.node.get_id()")
    )  # fmt: skip
    assert differences(kong, GREETS) == [
        "- kong.response.set_header('x-a', '1')",
        "- kong.response.set_header('x-b', '2')",
        "+ kong.response.set_header('x-a', '9')",
        "asks kong.node.get_id(), which was not asked then: it got nothing",
    ]
    with pytest.raises(ReplayDiffers) as caught:
        kong.replay("case.json", "seen.py")
    first, second, *_ = str(caught.value).splitlines()
    assert first == "case.json is not what the plugin does now:"
    assert second == "seen in access:"


def test_another_end_is_a_difference(kong: Gateway) -> None:
    (kong.root / "seen.py").write_text(PLUGIN.replace("user is None", "True"))
    found = differences(kong, GREETS)
    assert "+ kong.response.exit(401, {'message': 'who?'})" in found
    assert "ended with 'ret' then, ends with 'exit' now" in found


def test_a_plugin_that_fails_now(kong: Gateway) -> None:
    (kong.root / "seen.py").write_text(PLUGIN.replace('f"{self.word} {user}"', "1 / 0"))
    found = differences(kong, GREETS)
    assert any("ended with 'ret' then" in one for one in found)


def test_what_was_masked_is_like_anything(kong: Gateway) -> None:
    said = Conversation(
        "seen",
        "access",
        {"word": MASK},
        [
            Call("kong.request.get_header", ["x-user"], MASK),
            Call("kong.service.request.set_header", ["x-seen", MASK]),
            Call("kong.response.set_header", ["x-a", "1"]),
            Call("kong.response.set_header", ["x-b", "2"]),
        ],
    )
    assert differences(kong, said) == []
    assert differences(kong, said, word="mine") == []


def test_calls_can_be_left_out(kong: Gateway) -> None:
    (kong.root / "seen.py").write_text(PLUGIN + "        kong.log.notice('new')\n")
    assert differences(kong, GREETS) == ["+ kong.log.notice('new')"]
    assert differences(kong, GREETS, ignore=["kong.log.*"]) == []


def test_the_plugin_may_be_on_the_gateway(kong: Gateway) -> None:
    write(kong.root / "case.json", [GREETS])
    with pytest.raises(GatewayError, match="no plugin named 'seen' is on the gateway: give the"):
        kong.replay("case.json")
    kong.plugin("seen.py", word="other")
    (done,) = kong.replay("case.json")
    assert [one.method for one in done.run.callbacks][-1] == "kong.response.set_header"
    assert not kong.exchanges
    assert not kong.instances


def test_what_cannot_be_played_is_said_in_a_sentence(kong: Gateway) -> None:
    with pytest.raises(CassetteError, match="cannot be read"):
        kong.replay("none.json", "seen.py")
    write(kong.root / "case.json", [Conversation("other", "access")])
    with pytest.raises(
        GatewayError, match=r"case\.json has no conversation of a plugin named 'seen'"
    ):
        kong.replay("case.json", "seen.py")
    write(kong.root / "case.json", [Conversation("seen", "access", {"brew": 1})])
    with pytest.raises(GatewayError, match="Kong refuses this configuration of seen: "):
        kong.replay("case.json", "seen.py")
