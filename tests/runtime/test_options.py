"""The options of a server: what is refused, and that they are described."""

from __future__ import annotations

from typing import Any, get_type_hints

import attrs
import pytest

from pluginserver.cli.main import LISTS, OPTIONS, SWITCHES
from pluginserver.runtime.options import HELP, OptionArguments, Options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("socket_mode", -1),
        ("socket_mode", 0o1777),
        ("socket_mode", "0660"),
        ("max_threads", 0),
        ("max_threads", 1.5),
        ("max_threads", True),
        ("max_connections", 0),
        ("max_events", 0.5),
        ("io_timeout", 0),
        ("request_timeout", 0),
        ("request_timeout", float("nan")),
        ("callback_timeout", -1.0),
        ("callback_timeout", float("inf")),
        ("grace", -0.1),
        ("grace", "10"),
        ("watch_parent", 1),
        ("socket_group", "no such group"),
        ("socket_group", 0),
        ("allow_user", "no such user"),
        ("allow_user", ["root", 0]),
        ("allow_user", [str(2**32 - 1)]),
        ("fixed_plugins_directory", 1),
        ("report_cost", 1),
        ("otel", "yes"),
        ("round_trips", "some"),
        ("round_trips", True),
        ("parent", -1),
        ("parent", True),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: .* is not "):
        Options(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("socket_mode", 0),
        ("max_threads", 1),
        ("max_connections", 1),
        ("max_events", 1),
        ("request_timeout", 1),
        ("callback_timeout", 0.001),
        ("grace", 0),
        ("watch_parent", True),
        ("socket_group", str(2**32 - 2)),
        ("allow_user", ()),
        ("allow_user", ("root", "54321")),
        ("round_trips", "plain"),
        ("parent", 0),
    ],
)
def test_the_extreme_that_can_work_is_taken(name: str, value: Any) -> None:
    assert getattr(Options(**{name: value}), name) == value


def test_the_fields_are_spelt_alike_wherever_they_are_given() -> None:
    fields = get_type_hints(Options)
    assert get_type_hints(OptionArguments) == fields
    assert list(HELP) == [field.name for field in attrs.fields(Options)]
    assert {*OPTIONS, *LISTS, *SWITCHES, "watch_parent", "replace"} == set(fields)


def test_one_user_is_a_list_of_one() -> None:
    assert (
        Options(allow_user="root").allow_user
        == Options(allow_user=["root"]).allow_user
        == ("root",)
    )
