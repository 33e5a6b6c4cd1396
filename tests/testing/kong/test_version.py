"""Which Kong is played: see pluginserver/testing/kong/version.py."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from support.scripted import Failed, Scripted, does

from pluginserver.testing import Gateway, GatewayError, PluginBug, Quirks
from pluginserver.testing.kong.version import KongVersion


def failing(**options: Any) -> Gateway:
    def access() -> Generator[tuple[Any, ...], Any, None]:
        yield "kong.log", "x"
        raise Failed("oops")

    kong = Gateway(Scripted(p={"access": access, "log": access}), raise_bugs=False, **options)
    kong.plugin("p")
    return kong


@pytest.mark.parametrize(
    ("version", "status"),
    [(None, 200), ("3.0", 200), ("3.9", 200), ("3.13", 200), ("3.14", 500), ("3.15.0.1", 500)],
)
def test_a_failed_rpc_passes_the_request_up_to_3_13(version: str | None, status: int) -> None:
    kong = failing(kong=version)
    assert kong.get(headers={"accept": "text/plain"}).status == status
    assert kong.exchange.runs[0].ended == "failed"
    if status == 500:
        assert kong.response is not None
        assert kong.response.text.startswith("An unexpected error occurred\nrequest_id: ")
        assert kong.exchange.service_request is None


@pytest.mark.parametrize(("version", "is_open"), [("3.9", False), ("3.14", True)])
def test_the_quirk_overrules_the_version(version: str, is_open: bool) -> None:
    kong = failing(kong=version, quirks=Quirks(fail_open=is_open))
    assert kong.get().status == (200 if is_open else 500)


@pytest.mark.parametrize(
    ("version", "function", "since"),
    [
        ("3.7", "kong.telemetry.log", "3.8"),
        ("3.8", "kong.service.request.clear_query_arg", "3.9"),
        (None, "kong.request.get_id", "3.12"),
        ("3.13", "kong.client.get_token", "3.14"),
    ],
)
def test_what_a_version_lacks_is_unknown(version: str | None, function: str, since: str) -> None:
    kong = Gateway(Scripted(p={"access": does((function, "a", {}, "t", "m", {}))}), kong=version)
    kong.plugin("p")
    with pytest.raises(PluginBug, match=f"{function} in access: Kong has it from {since} on"):
        kong.get()
    assert kong.callbacks[0].answer is None


def test_what_a_version_has_is_there() -> None:
    call = ("kong.service.request.clear_query_arg", "a")
    kong = Gateway(Scripted(p={"access": does(call)}), kong="3.9")
    kong.plugin("p")
    kong.get("/?a=1&b=2")
    assert kong.service_request.query == "b=2"


def test_a_later_function_that_is_not_played_can_be_given() -> None:
    kong = Gateway(Scripted(p={"access": does(("kong.client.get_token",))}), kong="3.14")
    kong.plugin("p")
    with pytest.raises(PluginBug, match=r"does not play it. Give it one with kong.functions"):
        kong.get()
    kong.functions["kong.client.get_token"] = lambda: "t"
    kong.get()
    assert kong.callbacks[0].answer == "t"


@pytest.mark.parametrize(("version", "throws"), [("3.7", True), ("3.8", False)])
def test_bodies_have_a_size_since_3_8(version: str, throws: bool) -> None:
    script = Scripted(p={"access": does(("kong.request.get_raw_body", 0))})
    kong = Gateway(script, kong=version, raise_bugs=False)
    kong.plugin("p")
    assert kong.post(body="x" * 9000).status == (500 if throws else 200)


@pytest.mark.parametrize(
    ("version", "server"),
    [
        (None, "kong/3.9.3"),
        ("3.9", "kong/3.9.0"),
        ("3.14", "kong/3.14.0.0-enterprise-edition"),
        ("3.14.0.2", "kong/3.14.0.2-enterprise-edition"),
    ],
)
def test_what_it_calls_itself(version: str | None, server: str) -> None:
    assert KongVersion.parse(version).server == server


@pytest.mark.parametrize("version", ["", "3", "2.8", "three", "3.9-x"])
def test_a_version_that_is_none_is_one_sentence(version: str) -> None:
    with pytest.raises(GatewayError, match=r"is not a version of Kong from 3.0 on: write 3.9"):
        Gateway(Scripted(), kong=version)
