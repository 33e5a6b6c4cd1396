"""Transcripts: see pluginserver/testing/record/transcript.py."""

from __future__ import annotations

import re

from support.scripted import Scripted, does

from pluginserver.testing import Gateway, Quirks, transcript


def text_of(kong: Gateway) -> str:
    """The transcript without what differs from run to run."""
    return re.sub(r"\d+\.\d\d m?s", "T", transcript(kong.exchange))


def test_a_whole_request() -> None:
    kong = Gateway(
        Scripted(
            p={
                "access": does(
                    ("kong.request.get_header", "host"),
                    ("kong.response.set_header", "x-a", "1"),
                    ("kong.response.set_header", "x-a", "2"),
                    ("kong.response.clear_header", "x-a"),
                    ("kong.service.set_upstream", "none"),
                ),
                "response": does(("kong.response.set_status", 201)),
                "log": does(("kong.log.warn", "careful")),
            }
        )
    )
    kong.plugin("p")
    kong.upstream = lambda _request: "hello"
    kong.get("/a?b")
    lines = text_of(kong).splitlines()
    assert lines[:18] == [
        "GET http://localhost/a?b -> 201 from the service (T, 10 round trips)",
        "  access p instance 1 (T)",
        "    kong.request.get_header('host') -> 'localhost' (T)",
        "    kong.response.set_header('x-a', '1') -> None (T)",
        "      response header x-a: '1'",
        "    kong.response.set_header('x-a', '2') -> None (T)",
        "      response header x-a: '1' -> '2'",
        "    kong.response.clear_header('x-a') -> None (T)",
        "      response header x-a: '2' -> removed",
        "    kong.service.set_upstream('none') -> None (Kong said: could not find an Upstream named "
        "'none') (T)",
        "    ret",
        "  service GET http://echo:80/a?b -> 200 (T)",
        "  response p instance 1 (T)",
        "    kong.response.set_status(201) -> None (T)",
        "      response status: 200 -> 201",
        "    ret",
        "  log p instance 1 (T)",
        "    kong.log.warn('careful') -> None (T)",
    ]
    assert "  response 201" in lines
    assert "    'hello'" in lines
    assert lines[-1] == "  log [warn] p: careful"
    assert kong.transcript() == transcript(kong.exchange)


def test_an_exit() -> None:
    kong = Gateway(Scripted(p={"access": does(("kong.response.exit", 401))}))
    kong.plugin("p")
    kong.get()
    lines = text_of(kong).splitlines()
    assert lines[0] == "GET http://localhost/ -> 401 from kong.response.exit (T, 1 round trip)"
    assert lines[2] == "    kong.response.exit(401) -> no answer (T)"
    assert lines[3] == "  response 401"


def test_a_throw_and_a_bug() -> None:
    kong = Gateway(Scripted(p={"access": does(("kong.response.set_status", "x" * 100))}))
    kong.plugin("p")
    kong.get(raise_bugs=False)
    text = text_of(kong)
    assert "500 from Kong" in text
    assert "…) -> throws: code must be a number (T)" in text
    assert "    throw: code must be a number" in text
    assert "  BUG (bad argument): p called kong.response.set_status" in text
    kong.quirks = Quirks(silent_throw=False)
    kong.get(raise_bugs=False)
    assert "-> StepError 'code must be a number'" in text_of(kong)


def test_no_response_at_all() -> None:
    kong = Gateway(Scripted(p={"certificate": does(("kong.request.get_path",))}))
    kong.plugin("p")
    try:
        kong.get("https://localhost/", raise_bugs=False)
    except Exception as error:
        assert type(error).__name__ == "HandshakeFailed"
    assert "-> no response" in text_of(kong)


def test_a_service_that_is_down() -> None:
    def down(_request: object) -> None:
        raise ConnectionError("down")

    kong = Gateway(Scripted())
    kong.upstream = down
    kong.get()
    assert "  service GET http://echo:80/ -> no response (T)" in text_of(kong)
    assert "  log [err] kong: upstream failed: down" in text_of(kong)
