"""Requests that run again, and that are stored: see pluginserver/dev/again.py and ``--record``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.devgateway import HELLO, dev
from support.plugins import eventually

from pluginserver.testing import Gateway
from pluginserver.testing.cassettes.cassette import read


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    directory = tmp_path / "plugins"
    directory.mkdir()
    (directory / "hello.py").write_text(HELLO)
    return directory


def test_a_request_runs_again_as_it_came(plugins: Path) -> None:
    with dev(plugins) as gateway:
        gateway.request("PUT", "/thing?a=1", b"body", x_one="1")
        (first,) = gateway.gateway.history.entries()
        path = f"/__pluginserver/requests/{first.id}"
        assert f'data-again="{path}"' in gateway.page(f"/requests/{first.id}").text
        answer = gateway.request("POST", f"{path}/again")
        assert answer.status == 200
        newer, older = gateway.gateway.history.entries()
    assert json.loads(answer.body) == {"id": newer.id}
    assert (older, newer.exchange.request) == (first, first.exchange.request)
    assert newer.exchange.request.body == b"body"
    assert newer.exchange.response is not None
    assert newer.exchange.response.headers["x-hello"] == "hello"


def test_nothing_runs_again_for_other_sites_or_without_a_request(plugins: Path) -> None:
    with dev(plugins) as gateway:
        gateway.get("/")
        (entry,) = gateway.gateway.history.entries()
        path = f"/__pluginserver/requests/{entry.id}/again"
        for headers in (
            {"origin": "https://example.com"},
            {"origin": "null", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
            {"sec_fetch_site": "cross-site"},
        ):
            assert gateway.request("POST", path, **headers).status == 403
        assert gateway.request("POST", "/__pluginserver/requests/none/again").status == 404
        assert gateway.request("GET", path).status == 404
        assert gateway.gateway.history.count == 1


def test_the_last_request_runs_again_when_a_plugin_has_changed(plugins: Path) -> None:
    with dev(plugins, replay=True) as gateway:
        gateway.get("/first")
        gateway.get("/last")
        (plugins / "hello.py").write_text(HELLO.replace('"hello"', '"changed"'))
        history = gateway.gateway.history
        eventually(lambda: history.count == 3 and history.entries()[0].over)
        exchange = history.entries()[0].exchange
    assert exchange.request.target == "/last"
    assert exchange.response is not None
    assert exchange.response.headers["x-hello"] == "changed"


def test_nothing_runs_again_without_being_asked_for(plugins: Path) -> None:
    with dev(plugins) as gateway:
        gateway.get("/")
        (plugins / "hello.py").write_text(HELLO.replace('"hello"', '"changed"'))
        gateway.screen.wait_for("reloaded hello")
        (plugins / "hello.py").write_text(HELLO)
        gateway.screen.wait_for("reloaded hello", 2)
        assert gateway.gateway.history.count == 1


def test_each_request_is_stored_and_can_be_played_again(plugins: Path, tmp_path: Path) -> None:
    source = HELLO.replace(
        'message: str = "hello"',
        'message: str = attrs.field(default="a-secret", metadata=attributes(referenceable=True))',
    ).replace("import attrs", "import attrs\nfrom pluginserver.schema import attributes")
    (plugins / "hello.py").write_text(source)
    into = tmp_path / "into"
    into.mkdir()
    with dev(plugins, record=into) as gateway:
        assert gateway.get("/").header("x-hello") == "a-secret"
        gateway.request("POST", "/", b"x")
        eventually(lambda: len(list(into.iterdir())) == 2)
    assert sorted(path.name for path in into.iterdir()) == ["0001-GET.json", "0002-POST.json"]
    assert "a-secret" not in (into / "0001-GET.json").read_text()
    (said,) = read(into / "0001-GET.json")
    assert (said.plugin, said.phase, said.config) == ("hello", "access", {"message": "(secret)"})
    with Gateway(root=tmp_path) as kong:
        assert kong.replay("into/0001-GET.json", "plugins/hello.py")[0].differences == []
        (plugins / "hello.py").write_text(source.replace("x-hello", "x-other"))
    with Gateway(root=tmp_path) as kong:
        (done,) = kong.replay("into/0001-GET.json", "plugins/hello.py", check=False)
        assert done.differences == [
            "- kong.response.set_header('x-hello', '(secret)')",
            "+ kong.response.set_header('x-other', '(secret)')",
        ]
