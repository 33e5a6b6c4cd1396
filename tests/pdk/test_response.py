"""``exit`` and ``error``: bodies, headers, and that nothing runs after them."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import attrs
import pytest
from support.driving import ask, drive

from pluginserver import EventEndedError, OutsideEventError, kong
from pluginserver.pdk.response import MESSAGES
from pluginserver.spec.multimap import Headers

JSON = {"Content-Type": "application/json; charset=utf-8"}


@attrs.define
class Answer:
    items: list[str]
    note: str | None = None
    _private: int = 5


def last(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
    calls, _ = ask(kong.response.exit, *args, **kwargs)
    ((method, sent),) = calls
    assert method == "kong.response.exit"
    return sent


@pytest.mark.parametrize(
    "body",
    [
        {"a": None},
        {"a": []},
        [],
        {"a": [1, None]},
        {"id": 2**53 + 1},
        {"a": 0.1 + 0.2},
        {"a": 123456789012345678},
        [[{"deep": []}]],
    ],
)
def test_json_that_lua_would_change_is_made_here(body: Any) -> None:
    status, text, headers = last(200, body)
    assert (status, headers) == (200, JSON)
    assert json.loads(text) == body


@pytest.mark.parametrize("body", [{}, {"a": {}}, ["x"], {"a": [1, {"b": True}], "c": 1.5}])
def test_json_that_lua_would_not_change_is_made_by_kong(body: Any) -> None:
    assert last(200, body) == (200, body)


def test_an_attrs_object() -> None:
    status, text, headers = last(200, Answer(["a"]))
    assert (status, headers) == (200, JSON)
    assert json.loads(text) == {"items": ["a"], "note": None}
    assert last(200, Answer(["a"], "n")) == (200, {"items": ["a"], "note": "n"})


def test_bytes_and_odd_text_in_json() -> None:
    assert json.loads(last(200, {"a": [b"\xc3\xa9\xff"], "b": None})[1]) == {
        "a": ["é\udcff"],
        "b": None,
    }


@pytest.mark.parametrize("name", ["content-type", "Content-Type", "content_type"])
def test_a_content_type_of_the_handler_stays(name: str) -> None:
    assert last(200, {"a": None}, {name: "application/problem+json"}) == (
        200,
        '{"a":null}',
        {name: "application/problem+json"},
    )


def test_a_multi_map_of_headers() -> None:
    headers = Headers({"Set-Cookie": ["a=1", "b=2"], "x": "1"})
    assert last(200, b"x", headers) == (200, b"x", {"set-cookie": ["a=1", "b=2"], "x": ["1"]})


def test_no_argument_is_cut_off() -> None:
    assert last(401, headers={"WWW-Authenticate": "Basic"}) == (
        401,
        "",
        {"WWW-Authenticate": "Basic"},
    )


def test_exit_unwinds_and_cannot_be_caught() -> None:
    seen: list[str] = []

    class Guard:
        def __enter__(self) -> None:
            seen.append("enter")

        def __exit__(self, *_: object) -> None:
            seen.append("leave")

    def handler() -> None:
        try:
            with Guard():
                kong.response.exit(403, {"message": "no"})
        except Exception:
            seen.append("caught")
        finally:
            with pytest.raises(EventEndedError):
                kong.response.set_header("x", "too late")
            with pytest.raises(EventEndedError):
                kong.response.exit(200)

    calls, ending, failures = drive(handler)
    assert (calls, failures, seen) == ([], [], ["enter", "leave"])
    assert ending.call == ("kong.response.exit", (403, {"message": "no"}))


def test_a_wrong_body_does_not_end_the_event() -> None:
    def handler() -> None:
        with pytest.raises(TypeError):
            kong.response.exit(200, {"a": object()})
        kong.response.exit(500)

    _, ending, failures = drive(handler)
    assert failures == []
    assert ending.call == ("kong.response.exit", (500,))


def error(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
    calls, _ = ask(kong.response.error, *args, **kwargs)
    ((method, sent),) = calls
    assert method == "kong.response.error"
    return sent


@pytest.mark.parametrize("status", MESSAGES)
def test_kongs_own_words_stand_before_headers(status: int) -> None:
    assert error(status, headers={"x": "1"}) == (status, MESSAGES[status], {"x": "1"})


@pytest.mark.parametrize(
    "kind",
    ["application/json", "text/html; charset=utf-8", "application/xml", "text/plain"],
)
def test_the_form_of_an_error_page(kind: str) -> None:
    assert error(400, "no", {"content-type": kind}) == (400, "no", {"Content-Type": kind})


def test_a_message_that_is_json() -> None:
    assert error(400, {"a": [1]}) == (400, {"a": [1]})
    assert error(400, {"a": None}, {"x": 1}) == (400, '{"a":null}', {"x": 1})


@pytest.mark.parametrize("status", [200, 404])
def test_outside_of_an_event(status: int) -> None:
    with pytest.raises(
        OutsideEventError, match=r"^kong\.response\.exit was called while no event"
    ):
        kong.response.exit(status)
    with pytest.raises(
        OutsideEventError, match=r"^kong\.response\.error was called while no event"
    ):
        kong.response.error(404)


def test_a_status_of_the_standard_library() -> None:
    assert last(HTTPStatus.FORBIDDEN, {"status": HTTPStatus.FORBIDDEN}) == (403, {"status": 403})
