"""A record as text that is the same in each run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.scripted import Scripted, does

from pluginserver.testing import Gateway

PLUGIN = """
version, priority = "1.0.0", 1

class Plugin:
    def access(self, kong):
        kong.request.get_start_time()
        kong.nginx.get_var("msec")
        kong.router.get_service()
        kong.response.set_header("x-request", kong.request.get_header("x-request-id") or kong.node.get_id())
        kong.log.warn("careful")

    def log(self, kong):
        kong.log.serialize()
        raise KeyError("missing")
"""


def played(directory: Path, server: str) -> str:
    with Gateway(server, root=directory, raise_bugs=False) as kong:
        kong.plugin("changes.py")
        return str(kong.get("/a?b", headers={"x-tag": "1"}).exchange)


@pytest.mark.parametrize("server", ["in-process", "embedded"])
def test_it_is_the_same_in_each_run(server: str, tmp_path: Path) -> None:
    texts = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "changes.py").write_text(PLUGIN)
        texts.add(played(tmp_path / name, server))
    (text,) = texts
    assert "kong.request.get_start_time() -> <varies>" in text
    assert "kong.nginx.get_var('msec') -> <varies>" in text
    assert "kong.log.serialize() -> <varies>" in text
    assert "'created_at': '<time>'" in text
    assert "response header x-request: '<id>'" in text
    assert "    x-kong-request-id: <id>" in text.lower()
    assert "    x-kong-proxy-latency: <time>" in text.lower()
    assert "(changes.py:" in text, "the place of a bug has no directory"
    assert str(tmp_path) not in text


def test_a_whole_request() -> None:
    kong = Gateway(
        Scripted(
            p={
                "access": does(
                    ("kong.request.get_header", "host"),
                    ("kong.response.set_header", "x-a", "1"),
                    ("kong.response.set_header", "x-a", "2"),
                    ("kong.response.clear_header", "x-a"),
                ),
                "log": does(("kong.log.warn", "careful")),
            }
        )
    )
    kong.plugin("p")
    kong.upstream = lambda _request: "http://127.0.0.1:43210/ and 127.0.0.1:8"
    lines = str(kong.get("/a?b").exchange).splitlines()
    assert lines[:9] == [
        "GET http://localhost/a?b -> 200 from the service",
        "  access p",
        "    kong.request.get_header('host') -> 'localhost'",
        "    kong.response.set_header('x-a', '1') -> None",
        "      response header x-a: '1'",
        "    kong.response.set_header('x-a', '2') -> None",
        "      response header x-a: '1' -> '2'",
        "    kong.response.clear_header('x-a') -> None",
        "      response header x-a: '2' -> removed",
    ]
    assert lines[9:12] == ["    ret", "  service GET http://echo:80/a?b", "    Host: echo"]
    assert "  the service answers 200" in lines
    assert "    'http://127.0.0.1:<port>/ and 127.0.0.1:<port>'" in lines
    assert lines[-1] == "  log [warn] p: careful"
    assert not re.search(r"\d m?s\b|instance|round trip", "\n".join(lines))


def test_an_answer_knows_its_request_and_the_record_does_not_hold_itself() -> None:
    kong = Gateway(Scripted(p={"access": does()}))
    kong.plugin("p")
    first, second = kong.get("/1"), kong.get("/2")
    assert first.exchange is kong.exchanges[-2]
    assert second.exchange is kong.exchange
    assert "exchange" not in kong.exchange.to_dict()["response"]
    assert "exchange" not in repr(first)
