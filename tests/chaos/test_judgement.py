"""Chaos can fail: a wrong answer is never explained, a loss only by what was done at its time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from chaos.load import ANSWERED, REFUSED, Expected, judge
from chaos.process import AFTER, Server
from pluginserver.testing import Exchange, Request, Response, make_request


def exchange(status: int | None, answer: str | None = None, body: bytes = b"") -> Exchange:
    request: Request = make_request("GET")
    headers = [] if answer is None else [("x-answer", answer)]
    response = None if status is None else Response(status, body, headers)
    return Exchange("1", 0.0, request, response=response)


@pytest.mark.parametrize(
    ("expected", "got", "verdict"),
    [
        (ANSWERED, exchange(200, "mine"), "right"),
        (ANSWERED, exchange(200), "lost"),
        (ANSWERED, exchange(500), "lost"),
        (ANSWERED, exchange(None), "lost"),
        (ANSWERED, exchange(200, "another"), "wrong"),
        (ANSWERED, exchange(598), "wrong"),
        (REFUSED, exchange(500), "right"),
        (REFUSED, exchange(200), "lost"),
        (REFUSED, exchange(500, "another"), "wrong"),
        (Expected(403), exchange(403, body=b"mine"), "right"),
        (Expected(403), exchange(403, body=b"another"), "wrong"),
    ],
)
def test_an_answer_is_judged(expected: Expected, got: Exchange, verdict: str) -> None:
    assert judge(expected, "mine", got) == verdict


def test_a_loss_is_explained_by_its_time_alone(prefix: Path) -> None:
    plugins = prefix / "plugins"
    plugins.mkdir()
    server = Server(prefix, plugins)
    try:
        with server.window("a restart"):
            during = time.monotonic()
            assert server.explains(during - 5, during) == "a restart"
        assert server.explains(during - 5, during - 1) is None
        assert server.explains(during, during) == "a restart"
        assert server.explains(during + AFTER + 5, during + AFTER + 6) is None
        server.process.kill()
        server.process.wait()
    finally:
        server.close()
    assert server.findings == ["the server had ended by itself with status -9"]
