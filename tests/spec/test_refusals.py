"""Why a function cannot be called, and what is there instead: spec/refusals.py and spec/lua_only.py."""

from __future__ import annotations

import re

import pytest

from pluginserver import kong
from pluginserver.spec.functions import FORBIDDEN, FUNCTIONS
from pluginserver.spec.lua_only import LUA_ONLY
from pluginserver.spec.phases import PHASES
from pluginserver.spec.refusals import refusal

NAME = re.compile(r"kong(?:\.\w+)+")


@pytest.mark.parametrize("phase", PHASES)
def test_a_refusal_says_where_it_works_and_names_nothing_that_does_not_work_here(
    phase: str,
) -> None:
    for name in FORBIDDEN[phase]:
        text = refusal(name, (phase,))
        function = FUNCTIONS[name]
        if function.unusable:
            assert text == f"{name} {function.unusable}"
            continue
        begins = f"{name} cannot be called in {phase}: it works in "
        assert text.startswith(begins)
        works, _, instead = text.removeprefix(begins).partition("; ")
        assert {*works.split(", ")} == function.phases
        for other in NAME.findall(instead):
            assert other not in FORBIDDEN[phase]


def test_several_phases_are_named_in_the_order_of_a_request() -> None:
    assert refusal("kong.response.exit", {"log", "certificate"}, ", as it is").startswith(
        "kong.response.exit cannot be called in certificate, log, as it is: it works in rewrite, "
    )


def test_in_log_the_record_of_the_request_is_there_instead() -> None:
    assert "kong.log.serialize() has the request" in refusal("kong.request.get_method", ("log",))
    assert "kong.log.serialize() has client_ip" in refusal("kong.client.get_ip", ("log",))


@pytest.mark.parametrize("name", LUA_ONLY)
def test_what_only_lua_has_says_what_to_use_instead(name: str) -> None:
    _, *parts, last = name.split(".")
    here: object = kong
    for part in parts:
        here = getattr(here, part)
    with pytest.raises(AttributeError) as raised:
        getattr(here, last)
    assert str(raised.value) == f"{name} is in Kong's Lua code alone: {LUA_ONLY[name]}"
    for other in NAME.findall(LUA_ONLY[name]):
        known: object = kong
        for part in other.split(".")[1:]:
            known = getattr(known, part)


def test_what_nobody_has_says_what_was_meant() -> None:
    with pytest.raises(AttributeError, match=r"no kong\.reqest in .*: did you mean 'request'\?"):
        getattr(kong, "reqest")  # noqa: B009
    with pytest.raises(
        AttributeError, match=r"write kong\.nginx\.ctx\['a'\] for kong\.nginx\.ctx\.a"
    ):
        getattr(kong.nginx.ctx, "a")  # noqa: B009


def test_a_private_name_is_not_looked_for_in_kong() -> None:
    assert not hasattr(kong, "__wrapped__")
    with pytest.raises(AttributeError, match="'Kong' object has no attribute '_x'"):
        getattr(kong, "_x")  # noqa: B009
