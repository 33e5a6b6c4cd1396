"""The bytes of a response: the gateway's headers, and the framing that HTTP wants."""

from __future__ import annotations

import pytest

from pluginserver.dev.http import response_head
from pluginserver.testing import Headers, Response


def lines(
    response: Response,
    method: str = "GET",
    version: tuple[int, int] = (1, 1),
    keep_alive: bool = True,
) -> list[bytes]:
    """The head's lines, in order."""
    head = response_head(response, "Fine", method, version, keep_alive)
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].split(b"\r\n")


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Response:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Response(status, body, Headers([*pairs, ("date", "today")]))


def test_headers_keep_their_bytes_and_their_order() -> None:
    given = Headers(
        [("x-b", "caf\udce9"), ("X-A", "1"), ("x-b", "gr\u00fc\u00df"), ("Date", "today")]
    )
    assert lines(Response(200, b"", given)) == [
        b"HTTP/1.1 200 Fine",
        b"x-b: caf\xe9",
        b"X-A: 1",
        b"x-b: gr\xc3\xbc\xc3\x9f",
        b"Date: today",
        b"Content-Length: 0",
    ]


def test_the_length_is_the_bodys() -> None:
    found = lines(answer(body=b"four", content_length="17"))
    assert [line for line in found if line.lower().startswith(b"content-length")] == [
        b"Content-Length: 4"
    ]


@pytest.mark.parametrize(
    ("response", "length"),
    [
        (answer(content_length="17"), b"content-length: 17"),
        (answer(body=b"four"), b"Content-Length: 4"),
        (answer(), None),
    ],
)
def test_a_response_to_head_has_the_length_that_get_would_have(
    response: Response, length: bytes | None
) -> None:
    found = [
        line for line in lines(response, "HEAD") if line.lower().startswith(b"content-length")
    ]
    assert found == ([] if length is None else [length])


@pytest.mark.parametrize("status", [101, 204, 304])
def test_a_status_without_a_body_has_no_length(status: int) -> None:
    assert lines(answer(status, b"four", content_length="4")) == [
        b"HTTP/1.1 %d Fine" % status,
        b"date: today",
    ]


@pytest.mark.parametrize(
    ("version", "keep_alive", "connection"),
    [
        ((1, 1), True, []),
        ((1, 1), False, [b"Connection: close"]),
        ((1, 0), True, [b"Connection: keep-alive"]),
        ((1, 0), False, []),
    ],
)
def test_the_connection_is_named_where_it_is_not_the_versions_default(
    version: tuple[int, int], keep_alive: bool, connection: list[bytes]
) -> None:
    found = lines(answer(connection="upgrade"), "GET", version, keep_alive)
    assert [line for line in found if line.lower().startswith(b"connection")] == connection


def test_a_date_is_added_where_there_is_none() -> None:
    (date,) = (line for line in lines(Response(200)) if line.startswith(b"Date: "))
    assert date.endswith(b" GMT")
