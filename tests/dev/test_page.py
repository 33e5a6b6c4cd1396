"""The page of the development gateway: what it shows, to whom, and how it hears of changes."""

from __future__ import annotations

import html.parser
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.devgateway import HELLO, TIMEOUT, Dev, dev

from pluginserver.dev import history as histories
from pluginserver.dev.history import Errors, History
from pluginserver.dev.page import view
from pluginserver.events.event import Event
from pluginserver.events.handler import Handler
from pluginserver.testing import Exchange, LogLine, make_request

NASTY = '"><script>alert(1)</script><img src=x onerror=alert(2)>'

ECHOES = """
import attrs
version = "1.0.0"
priority = 1
@attrs.define
class Plugin:
    def access(self, kong):
        value = kong.request.get_header("x-in")
        kong.log.notice("saw", value)
        kong.response.set_header("x-out", value)
        kong.service.request.set_raw_body(b"\\x00\\xff" * 5000)
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    directory = tmp_path / "plugins"
    directory.mkdir()
    return directory


class Tags(html.parser.HTMLParser):
    """The elements of a page; it must close all that it opens."""

    VOID = frozenset({"meta", "link", "img", "rect", "br", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser.found


def test_the_list_shows_the_last_requests(plugins: Path) -> None:
    (plugins / "hello.py").write_text(HELLO)
    with dev(plugins) as gateway:
        empty = gateway.page().text
        gateway.get("/one?a=1")
        gateway.request("POST", "/two", b"x")
        page = gateway.page().text
    assert re.search(r"data-empty[^>]*>No request came yet", empty)
    assert re.search(r"data-empty hidden", page)
    tags(page)
    assert page.index("/two") < page.index("/one?a=1")
    assert '<b>POST</b> <span class="path">/two</span>' in page
    assert '<span class="status good">200</span>' in page
    assert "<b>hello</b>" in page
    assert "2</span> so far, upstream: an echo" in page


def test_a_timeline_shows_everything_about_a_request(plugins: Path) -> None:
    (plugins / "echoes.py").write_text(ECHOES)
    with dev(plugins) as gateway:
        gateway.request("PUT", "/x?y=1", b"body of it", x_in="something")
        gateway.screen.wait_for("service  PUT")
        (entry,) = gateway.gateway.history.entries()
        page = gateway.page(f"/requests/{entry.id}").text
    tags(page)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    assert "PUT /x?y=1" in text
    assert "200 from the service" in text
    assert "access echoes" in text
    assert "kong.request.get_header(&#39;x-in&#39;) → &#39;something&#39;" in text
    assert "notice saw" in text
    assert "response header x-out: &#39;something&#39;" in text
    assert "service PUT http://echo:80/x?y=1" in text
    assert "Body from the client 10 bytes" in text
    assert "Body to the service 10,000 bytes" in text
    assert "0000 00 ff 00 ff" in text
    assert re.search(
        r'<tr class="added"><td>.*?</td><th scope="row">x-out</th><td>something<', page
    )
    assert re.search(r'<tr class="removed"><td>.*?</td><th scope="row">Host</th>', page)
    assert re.search(r'<tr class="same"><td></td><th scope="row">x-in</th><td>something<', page)


def test_what_comes_from_outside_is_text(plugins: Path) -> None:
    (plugins / "echoes.py").write_text(ECHOES)
    with dev(plugins) as gateway:
        gateway.raw(
            f"GET /?q={NASTY.replace(' ', '')} HTTP/1.1\r\nHost: {NASTY}\r\nX-In: {NASTY}\r\n"
            f"X-{'A'}: caf".encode()
            + b"\xe9\r\nConnection: close\r\n\r\n"
        )
        page = gateway.page("/latest").text
        rows = gateway.page().text
    for shown in (page, rows):
        found = tags(shown)
        assert [name for name, _ in found].count("script") == 1
        assert not [name for name, given in found if any(key.startswith("on") for key in given)]
        assert {given["src"] for name, given in found if name == "img"} == {
            "/__pluginserver/icon.svg"
        }
    assert "&lt;script&gt;alert(1)" in page
    assert r"caf\xe9" in page


def test_the_page_asks_nobody_else(plugins: Path) -> None:
    with dev(plugins) as gateway:
        gateway.get()
        for path in ("", "/latest", "/plugins"):
            answer = gateway.page(path)
            for _, given in tags(answer.text):
                for link in (given.get("href"), given.get("src")):
                    assert link is None or link.startswith(("/__pluginserver", "#")), link
                assert "style" not in given
            assert "default-src 'none'" in (answer.header("content-security-policy") or "")
            assert answer.header("cache-control") == "no-store"
        for path, kind in {
            "/page.css": "text/css",
            "/page.js": "text/javascript",
            "/icon.svg": "image/svg+xml",
        }.items():
            answer = gateway.page(path)
            assert answer.status == 200
            assert (answer.header("content-type") or "").startswith(kind)
            links = re.findall(r"https?://[^\s\"')]+", answer.text)
            assert set(links) <= {"http://www.w3.org/2000/svg"}


def test_what_is_not_there(plugins: Path) -> None:
    with dev(plugins) as gateway:
        assert gateway.page("/latest").status == 200
        assert "No request yet" in gateway.page("/latest").text
        assert gateway.page("/requests/0123").status == 404
        assert "is forgotten" in gateway.page("/requests/0123").text
        assert gateway.page("/other").status == 404
        assert gateway.page("/../gateway.py").status == 404
        assert gateway.request("POST", "/__pluginserver", b"x").status == 405
        assert gateway.get("/__pluginserverx").status == 200
        (entry,) = gateway.gateway.history.entries()
    assert entry.exchange.request.target == "/__pluginserverx"


FORBIDDEN: list[dict[str, str]] = [
    {"Host": "evil.example"},
    {"Host": "evil.example:8000"},
    {"Host": "localhost.evil.example"},
    {"Host": ""},
    {"Origin": "http://evil.example"},
    {"Origin": "http://localhost:1"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
]


@pytest.mark.parametrize("headers", FORBIDDEN, ids=lambda headers: " ".join(headers.values()))
@pytest.mark.parametrize("path", ["", "/latest", "/plugins", "/events", "/page.js"])
def test_other_sites_do_not_see_the_page(
    looked_at: Dev, path: str, headers: dict[str, str]
) -> None:
    answer = looked_at.page(path, **headers)
    assert answer.status == 403
    assert "other" in answer.text
    assert answer.header("access-control-allow-origin") is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost"},
        {"Host": "localhost:8000"},
        {"Host": "plugins.localhost:8000"},
        {"Host": "127.0.0.1:8000"},
        {"Host": "[::1]:8000"},
        {"Host": "192.0.2.1"},
        {"Host": "localhost:1", "Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {
            "Sec-Fetch-Site": "cross-site",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
        },
    ],
    ids=lambda headers: " ".join(headers.values()),
)
def test_whoever_sits_here_sees_the_page(looked_at: Dev, headers: dict[str, str]) -> None:
    answer = looked_at.page(**headers)
    assert answer.status == 200
    assert answer.header("access-control-allow-origin") is None


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with dev(tmp_path_factory.mktemp("none")) as gateway:
        yield gateway


class Listener:
    """An open page's connection for changes."""

    def __init__(self, gateway: Dev, since: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", gateway.port), TIMEOUT)
        self._socket.sendall(
            f"GET /__pluginserver/events?since={since} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
        )
        self._file = self._socket.makefile("rb")
        self.head = list(iter(self._file.readline, b"\r\n"))

    def next(self) -> tuple[str, dict[str, Any], str]:
        """The next message: its event, its data, its id."""
        fields: dict[str, str] = {}
        for line in self._file:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            fields[name] = value
            if line == b"\n" and "event" in fields:
                return fields["event"], json.loads(fields["data"]), fields.get("id", "")
        raise EOFError

    def rest(self) -> bytes:
        return self._file.read()

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def mark(gateway: Dev) -> str:
    found = re.search(r'data-mark="([^"]+)"', gateway.page().text)
    assert found
    return found[1]


def test_an_open_page_hears_of_requests_and_plugins(plugins: Path) -> None:
    with dev(plugins) as gateway:
        listener = Listener(gateway, mark(gateway))
        assert b"Content-Type: text/event-stream; charset=utf-8\r\n" in listener.head
        gateway.get("/first")
        event, data, _ = listener.next()
        assert event == "request"
        assert "/first" in data["html"]
        assert data["count"] == 1
        (plugins / "hello.py").write_text(HELLO)
        while event != "plugins":
            event, data, last = listener.next()
        assert "<b>hello</b>" in data["html"]
        listener.close()
        gateway.get("/second")
        gateway.screen.wait_for("GET http://echo:80/second")
        again = Listener(gateway, last)
        event, data, _ = again.next()
        assert (event, data["count"]) == ("request", 2)
        assert "/second" in data["html"]
        again.close()


def test_an_old_page_is_told_to_start_afresh(looked_at: Dev) -> None:
    for since in ("", "other-1", "nonsense", f"{mark(looked_at)}x"):
        listener = Listener(looked_at, since)
        assert listener.next()[0] == "afresh"
        assert listener.rest() == b""
        listener.close()


def test_a_quiet_connection_is_kept_and_ends_with_the_gateway(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pluginserver.dev.page.site.KEEPALIVE", 0.05)
    with dev(plugins) as gateway:
        listener = Listener(gateway, mark(gateway))
        heard = b""
        while heard.count(b": all is quiet\n") < 2:
            heard += listener._file.readline()
    assert listener.rest().strip(b": alisquet\n") == b""
    listener.close()


def exchange(number: int, body: bytes = b"") -> Exchange:
    return Exchange(f"{number:032x}", 0.0, make_request("POST", f"/{number}", body=body))


def remember(history: History, one: Exchange) -> None:
    history.observe("request", one, one)
    history.observe("end", one, one)


def test_so_many_requests_are_remembered() -> None:
    history = History(Errors())
    for number in range(histories.KEPT + 10):
        remember(history, exchange(number))
    entries = history.entries()
    assert len(entries) == histories.KEPT
    assert [entry.number for entry in entries[:2]] == [histories.KEPT + 10, histories.KEPT + 9]
    assert history.count == histories.KEPT + 10
    assert history.get(exchange(0).id) is None


def test_large_requests_push_out_others_but_not_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(histories, "WEIGHT", 1000)
    history = History(Errors())
    for number in range(5):
        remember(history, exchange(number, b"x" * 300))
    assert [entry.number for entry in history.entries()] == [5, 4, 3]
    remember(history, exchange(9, b"x" * 5000))
    assert [entry.number for entry in history.entries()] == [6]
    remember(history, exchange(10))
    assert [entry.number for entry in history.entries()] == [7]


def test_what_ends_after_it_was_forgotten_is_no_error() -> None:
    history = History(Errors())
    first = exchange(0)
    history.observe("request", first, first)
    for number in range(1, histories.KEPT + 1):
        remember(history, exchange(number))
    history.observe("end", first, first)
    assert history.get(first.id) is None


def test_changes_are_told_in_order() -> None:
    history = History(Errors())
    first, second = exchange(1), exchange(2)
    history.observe("request", first, first)
    remember(history, second)
    seen = history.version
    assert [entry.number for entry in history.since(0)] == [1, 2]
    history.observe("end", first, first)
    assert [entry.number for entry in history.since(seen)] == [1]
    assert history.since(history.version) == []


def test_a_request_with_endless_callbacks_is_cut(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "STEPS", 10)
    (plugins / "chatty.py").write_text(
        HELLO.replace(
            'kong.response.set_header("x-hello", self.message)',
            'for n in range(25):\n            kong.log.notice(f"line {n}")',
        )
    )
    with dev(plugins) as gateway:
        gateway.get()
        page = gateway.page("/latest").text
    assert "40 more callbacks and log lines are not shown" in page
    assert "line 4" in page
    assert "line 5" not in page


def test_a_request_without_response_can_be_shown() -> None:
    history = History(Errors())
    one = exchange(1)
    history.observe("request", one, one)
    (entry,) = history.entries()
    shown = view.request(entry)
    assert (shown.row.status, shown.row.took, shown.row.tone) == ("…", "…", "open")
    assert shown.blocks == []
    assert [one.title for one in shown.comparisons] == ["Request"]


def test_a_line_of_kongs_own_has_its_place() -> None:
    one = exchange(1)
    one.logs.append(LogLine("err", "no plugin's fault", None, None, 0.001))
    history = History(Errors())
    remember(history, one)
    (block,) = view.request(history.entries()[0]).blocks
    assert (block.title, block.lines[0].text) == ("Kong", "no plugin's fault")


def test_exceptions_that_nobody_asks_for_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "ERRORS", 2)
    errors = Errors()
    for number in range(3):
        event = Event(number, Handler("one", 1, "access", print, errors.report))
        errors.report(event, ValueError(number))
    assert [errors.take(number) for number in (0, 1, None)] == [[], ["ValueError: 1"], []]
    assert errors.take(1) == []


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read(looked_at: Dev, scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", looked_at.page("/page.css").text, re.S)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[scheme]))
    pairs = [
        (text, ground) for text in ("text", "quiet") for ground in ("ground", "paper", "sunk")
    ]
    pairs += [(tone, f"{tone}-ground") for tone in ("good", "moved", "refused", "bad", "open")]
    pairs += [("text", "bad-ground"), ("bad", "paper"), ("good", "paper"), ("refused", "paper")]
    pairs += [("link", "ground"), ("bad", "ground"), ("moved", "paper"), ("quiet", "open-ground")]
    pairs += [("link", "bad-ground"), ("bad", "bad-ground"), ("link", "paper")]
    phases = ("certificate", "rewrite", "access", "service", "response", "preread", "log")
    pairs += [(phase, ground) for phase in phases for ground in ("paper", "ground")]
    poor = {
        pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2)
        for pair in pairs
        if contrast(colours[pair[0]], colours[pair[1]]) < 4.5
    }
    assert poor == {}
