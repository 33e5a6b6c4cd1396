"""What changes the request to the service in more than one call, or not as it seems."""

from __future__ import annotations

import enum
import json
from typing import Any

import attrs
import pytest
from support.driving import ask

from pluginserver import PDKError, kong

UP = kong.service.request


@attrs.define
class Order:
    number: int
    note: str | None = None


def test_each_value_that_is_added_is_a_call() -> None:
    calls, _ = ask(UP.add_header, "x", ["1", 2])
    assert calls == [
        ("kong.service.request.add_header", ("x", "1")),
        ("kong.service.request.add_header", ("x", "2")),
    ]


def test_the_type_of_a_body_is_that_of_the_request() -> None:
    calls, result = ask(UP.set_body, {"a": 1}, answers=["application/json; charset=utf-8", True])
    assert calls == [
        ("kong.request.get_header", ("content-type",)),
        ("kong.service.request.set_body", ({"a": 1}, "application/json; charset=utf-8")),
    ]
    assert result is True


def test_a_request_without_a_type() -> None:
    calls, result = ask(UP.set_body, {"a": 1})
    assert [method for method, _ in calls] == ["kong.request.get_header"]
    assert result is None


def test_a_request_of_a_type_that_kong_cannot_make() -> None:
    with pytest.raises(PDKError, match=r"the request's type is 'text/plain'.* give mimetype"):
        ask(UP.set_body, {"a": 1}, answers=["text/plain"])


@pytest.mark.parametrize("value", [{"a": None}, {"a": []}, Order(1)])
def test_json_that_lua_would_change_is_made_here(value: Any) -> None:
    calls, result = ask(UP.set_body, value, "application/json")
    (first, (text,)), second = calls
    assert first == "kong.service.request.set_raw_body"
    expected = attrs.asdict(value) if isinstance(value, Order) else value
    assert json.loads(text) == expected
    assert second == ("kong.service.request.set_header", ("Content-Type", "application/json"))
    assert result is True


def test_a_form_of_an_attrs_object() -> None:
    calls, _ = ask(UP.set_body, Order(1), "application/x-www-form-urlencoded", answers=[True])
    assert calls == [
        (
            "kong.service.request.set_body",
            ({"number": 1}, "application/x-www-form-urlencoded"),
        )
    ]


class Method(str, enum.Enum):
    POST = "POST"


def test_a_text_that_is_an_enum() -> None:
    calls, _ = ask(UP.set_method, Method.POST)
    ((_, (method,)),) = calls
    assert type(method) is str
