"""Plain requests and responses: see pluginserver/testing/kong/messages.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pluginserver.testing import TLS, Headers, Request, Response, ServiceRequest, make_request
from pluginserver.testing.kong.messages import encode_query, host_name, media_type


def test_the_simplest_request() -> None:
    request = make_request("get")
    assert request.method == "GET"
    assert request.target == "/"
    assert request.headers.pairs() == [("host", "localhost")]
    assert (request.path, request.query, request.host) == ("/", "", "localhost")


def test_a_whole_url() -> None:
    request = make_request("GET", "https://Example.com:9443/a/b?c=1", tls=TLS(server_name="x"))
    assert (request.scheme, request.port, request.host) == ("https", 9443, "example.com")
    assert (request.path, request.query) == ("/a/b", "c=1")
    assert request.headers["host"] == "Example.com:9443"
    assert make_request("GET", "http://a").target == "/"
    assert make_request("GET", "http://a?b=1").target == "/?b=1"
    assert make_request("GET", "https://a").port == 8443


def test_a_host_that_is_given_stays() -> None:
    request = make_request("GET", "http://a.b/", headers={"Host": "c.d"})
    assert request.headers.pairs() == [("Host", "c.d")]


@pytest.mark.parametrize("url", ["", "a/b", "ftp://x/", "http:///x"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="neither a path"):
        make_request("GET", url)


def test_queries_are_appended() -> None:
    assert make_request("GET", "/a?b=1", query={"c": ["2", True], "d": "x y"}).target == (
        "/a?b=1&c=2&c&d=x%20y"
    )
    assert make_request("GET", "/a", query="raw+query").target == "/a?raw+query"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (None, ""),
        ("a=1", "a=1"),
        ({"a": True, "b": False, "c": None, "d": ""}, "a&d="),
        ({"é": b"\xff"}, "%C3%A9=%FF"),
        ({"n": 5}, "n=5"),
    ],
)
def test_encoding_a_query(query: Any, text: str) -> None:
    assert encode_query(query) == text


def test_bodies() -> None:
    request = make_request("POST", json={"a": 1})
    assert json.loads(request.body) == {"a": 1}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == str(len(request.body))
    form = make_request("POST", form={"a": "1 2"})
    assert form.body == b"a=1%202"
    assert media_type(form.headers) == "application/x-www-form-urlencoded"
    own = make_request("POST", json=[], headers={"content-type": "text/x; charset=utf-8"})
    assert media_type(own.headers) == "text/x"
    assert make_request("POST", body="é").body == "é".encode()
    assert media_type(Headers()) == ""


def test_one_body_only() -> None:
    with pytest.raises(ValueError, match="one of"):
        make_request("POST", body="x", json={})


@pytest.mark.parametrize(
    ("host", "name"),
    [("A.b:80", "a.b"), ("user@x:1", "x"), ("[::1]:80", "[::1]"), ("", "")],
)
def test_host_names(host: str, name: str) -> None:
    assert host_name(host) == name


def test_a_response() -> None:
    response = Response(201, '{"a": 1}', {"X": "y"})
    assert response.json() == {"a": 1}
    assert response.text == '{"a": 1}'
    assert response.headers["x"] == "y"
    with pytest.raises(ValueError, match=r"not JSON.*status 200, body b'oops'"):
        Response(200, "oops").json()


def test_a_request_to_the_service() -> None:
    request = ServiceRequest(
        method="GET", scheme="http", host="h", port=80, path="/p", query="q=1",
        headers=Headers(), body=b"[1]",
    )  # fmt: skip
    assert request.url == "http://h:80/p?q=1"
    assert request.target == "/p?q=1"
    assert request.json() == [1]
    assert request.text == "[1]"
    request.query = ""
    assert request.target == "/p"


def test_a_request_made_by_hand() -> None:
    request = Request(target="/x", headers=[("a", "b")], body="t")
    assert request.body == b"t"
    assert request.host == ""
